"""Intervals, families, paired differences, differences of disparities, permutation and power.

All functions take and return arrays, and are independent of files, groups and metrics.
"""
