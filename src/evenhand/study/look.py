"""Check a study before any training: its folder, its models, and its rows, loaded as its runs do."""

from __future__ import annotations

from typing import Any

from evenhand.errors import Complaint, InputError, NotHereError
from evenhand.spec.stored import as_plain
from evenhand.spec.study import Dataset, Study
from evenhand.store.folder import StudyFolder
from evenhand.study import bases
from evenhand.study.data import load_checked, sizes
from evenhand.study.plan import plan
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


def check_study(study: Study, folder: StudyFolder) -> dict[str, Any]:
    """Load the rows, and check them and the folder.

    Returns:
        Facts of the rows; the rows themselves are discarded, because every worker loads them.

    Raises:
        InputError: all complaints about the rows and the folder.
    """
    facts, complaints = look_at_rows(study.dataset, study)
    complaints += folder.complaints(as_plain(study), facts)
    if not complaints and facts is not None:
        try:
            bases.read_bases(plan(study), folder.runs_of(facts))
        except InputError as error:
            complaints += error.complaints
    if complaints or facts is None:
        raise InputError(complaints)
    return facts
