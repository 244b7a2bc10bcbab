"""Check the rows of a study by loading them as its runs do."""

from __future__ import annotations

from typing import Any

from evenhand.errors import Complaint, InputError, NotHereError
from evenhand.spec.study import Dataset, Study
from evenhand.study.data import load_checked, sizes
from evenhand.study.results.document import attribute_faults


def look_at_rows(dataset: Dataset, study: Study | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Load rows as every run of a study does, and check everything that the study requires of them.

    Args:
        dataset: the dataset and its options.
        study: the study; None if the rest of it cannot be read, which checks the rows alone.

    Returns:
        Facts of the rows, or None if they cannot be loaded; and all complaints about them.

    Raises:
        NotHereError: the rows are on a hub, and downloads are not allowed (`datasets.local_files_only`).
    """
    seeds, privacy = ((), None) if study is None else (study.split_seeds, study.privacy)
    try:
        facts = load_checked(dataset, seeds, privacy=privacy).facts
    except NotHereError:
        raise
    except InputError as error:
        return None, list(error.complaints)
    complaints: list[str] = []
    if study is not None and study.tuned and not sizes(facts)["validation"]:
        what = (
            f"dataset {dataset.name}: it has no validation rows, which 'tune' needs to choose; add some, or "
            "remove 'tune'."
        )
        complaints.append(Complaint(what, "dataset"))
    return facts, complaints + ([] if study is None else attribute_faults(study, facts))
