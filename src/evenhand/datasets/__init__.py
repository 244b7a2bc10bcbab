"""Datasets: one file each, with an `INFO` card, a `Config` and `load(config) -> Examples`. No torch.

A dataset's file imports only the standard library, numpy and `evenhand` at the top. Files that begin with
an underscore are no datasets: what several of them share.
"""

from evenhand.datasets._halves import attack_rows, half, pool
from evenhand.datasets._leaks import Leaks, leaks
from evenhand.datasets._schema import DatasetInfo, Examples, Parts, Picture
from evenhand.datasets._splits import LEAST_ROWS, Checked, check, from_column, in_two_parts, split

__all__ = [
    "LEAST_ROWS",
    "Checked",
    "DatasetInfo",
    "Examples",
    "Leaks",
    "Parts",
    "Picture",
    "attack_rows",
    "check",
    "from_column",
    "half",
    "in_two_parts",
    "leaks",
    "pool",
    "split",
]
