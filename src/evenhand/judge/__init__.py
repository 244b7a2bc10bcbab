"""Rates, disparities, comparisons and verdicts from tables. Imports no torch; scipy late."""
