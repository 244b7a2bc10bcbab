"""Made-up rows that stand for those of a dataset when a study is only tried out."""

from __future__ import annotations

#: Enough that both classes are in every part.
SMOKE_ROWS = 400
SMOKE = "The rows are made up, in the form of the dataset: results say nothing."
