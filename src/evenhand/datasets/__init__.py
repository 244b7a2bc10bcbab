"""Datasets: one file each, with an `INFO` card, a `Config` and `load(config) -> Examples`. No torch.

A dataset's file imports only the standard library, numpy and `evenhand` at the top. Files that begin with
an underscore are no datasets: what several of them share.
"""

from evenhand.datasets.lib.leaks import Leaks, leaks
from evenhand.datasets.lib.membership_splits import attack_rows, half, pool
from evenhand.datasets.lib.pictures import rgb
from evenhand.datasets.lib.prompts.build import build_prompts
from evenhand.datasets.lib.reading.files import only_here
from evenhand.datasets.lib.reading.hub import hub_is_silent, hub_page, hub_reason
from evenhand.datasets.lib.schema import (
    DatasetInfo,
    Examples,
    Parts,
    Picture,
    Prompt,
    PromptSet,
    PromptTemplate,
    Task,
    Translations,
)
from evenhand.datasets.lib.splits import LEAST_ROWS, Checked, check, from_column, split

__all__ = [
    "LEAST_ROWS",
    "Checked",
    "DatasetInfo",
    "Examples",
    "Leaks",
    "Parts",
    "Picture",
    "Prompt",
    "PromptSet",
    "PromptTemplate",
    "Task",
    "Translations",
    "attack_rows",
    "build_prompts",
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
