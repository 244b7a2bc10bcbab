"""Datasets: one file each, with an `INFO` card, a `Config` and `load(config) -> Examples`. No torch.

A dataset's file imports only the standard library, numpy and `evenhand` at the top. Code that several
datasets share is in `lib`.
"""

from evenhand.datasets.lib.leaks import Leaks, find_leaks
from evenhand.datasets.lib.membership_splits import draw_attack_rows, draw_half, reference_pool
from evenhand.datasets.lib.pictures import to_rgb
from evenhand.datasets.lib.prompts.build import build_prompts
from evenhand.datasets.lib.reading.files import local_files_only
from evenhand.datasets.lib.reading.hub import hub_is_unavailable, hub_page, hub_reason
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
from evenhand.datasets.lib.splits import MIN_PART_ROWS, SplitCheck, check_split, split, split_from_column

__all__ = [
    "MIN_PART_ROWS",
    "DatasetInfo",
    "Examples",
    "Leaks",
    "Parts",
    "Picture",
    "Prompt",
    "PromptSet",
    "PromptTemplate",
    "SplitCheck",
    "Task",
    "Translations",
    "build_prompts",
    "check_split",
    "draw_attack_rows",
    "draw_half",
    "find_leaks",
    "hub_is_unavailable",
    "hub_page",
    "hub_reason",
    "local_files_only",
    "reference_pool",
    "split",
    "split_from_column",
    "to_rgb",
]
