"""Hardware profiles: what a node must have, measure and be found to be, to serve as controller, compute or storage."""
