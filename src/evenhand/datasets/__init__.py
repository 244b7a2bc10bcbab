"""Datasets: one file each, with an `INFO` card, a `Config` and `load(config) -> Examples`. No torch.

A dataset's file imports only the standard library, numpy and `evenhand` at the top. Files that begin with
an underscore are no datasets: what several of them share.
"""

from evenhand.datasets.lib.leaks import Leaks, leaks
from evenhand.datasets.lib.membership_splits import attack_rows, half, pool
from evenhand.datasets.lib.pictures import rgb
from evenhand.datasets.lib.prompts.build import asked
from evenhand.datasets.lib.reading.files import only_here
from evenhand.datasets.lib.reading.hub import hub_is_silent, hub_page, hub_reason
from evenhand.datasets.lib.schema import (
    Asked,
    DatasetInfo,
    Examples,
    Form,
    Parts,
    Picture,
    Question,
    Task,
    Translations,
)
from evenhand.datasets.lib.splits import LEAST_ROWS, Checked, check, from_column, split

__all__ = [
    "LEAST_ROWS",
    "Asked",
    "Checked",
    "DatasetInfo",
    "Examples",
    "Form",
    "Leaks",
    "Parts",
    "Picture",
    "Question",
    "Task",
    "Translations",
    "asked",
    "attack_rows",
    "check",
    "from_column",
    "half",
    "hub_is_silent",
    "hub_page",
    "hub_reason",
    "leaks",
    "only_here",
    "pool",
    "rgb",
    "split",
]
