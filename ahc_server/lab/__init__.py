"""A fleet in a box: real agents, a real server, real measurements, faults on purpose, all on one machine."""
