"""Judged in doubt: ``repeats`` chooses whom to measure again, ``second`` reads both runs as numbers, ``confirm`` decides."""
