"""Rates by group, paired differences, families of comparisons and their verdicts."""
