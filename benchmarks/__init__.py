"""Benchmarks, peers side by side, and the labelled fleets that the judge is scored on."""
