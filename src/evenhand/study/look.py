"""All that is wrong with the rows of a study, by loading them as its runs do."""

from __future__ import annotations

from typing import Any

from evenhand.errors import Complaint, InputError, NotHereError
from evenhand.spec.study import Dataset, Study
from evenhand.study.data import load_checked, sizes
from evenhand.study.results.document import attribute_faults


def look_at_rows(dataset: Dataset, study: Study | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Load rows as every run of a study does, and look at all that the study says of them.

    Args:
        dataset: which rows.
        study: whose they are; None where the rest of it cannot be read: the rows alone are looked at.

    Returns:
        Facts of the rows, or None where they cannot be loaded; and every complaint about them.

    Raises:
        NotHereError: they are on a hub that may not be asked (`datasets.local_files_only`).
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
            f"dataset {dataset.name}: has no validation rows, on which 'tune' chooses; give it some, or take "
            "'tune' out."
        )
        complaints.append(Complaint(what, "dataset"))
    return facts, complaints + ([] if study is None else attribute_faults(study, facts))
