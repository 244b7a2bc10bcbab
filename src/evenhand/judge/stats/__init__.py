"""Intervals, families, paired differences, differences of disparities, permutation and power.

Everything here takes and returns arrays; nothing knows about files, groups or metrics.
"""
