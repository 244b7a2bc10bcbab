"""Constants of smoke tests, which replace the rows of a dataset by synthetic ones."""

from __future__ import annotations

#: Number of synthetic rows: enough for both classes in every part.
SMOKE_ROWS = 400
SMOKE = "The rows are synthetic, in the form of the dataset: results are meaningless."
