"""Reports draw what the judge found: as text, JSON or csv. They decide nothing."""
