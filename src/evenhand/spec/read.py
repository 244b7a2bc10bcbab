"""Reading of study files, or mappings with the same keys: defaults are filled in, all problems reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evenhand.errors import InputError, SpecError
from evenhand.spec.plugins import DATASETS, config_of, plugin
from evenhand.spec.recipes import locate_study_file
from evenhand.spec.sections.arms import read_arms
from evenhand.spec.sections.existing import check_existing
from evenhand.spec.sections.judging import known_attributes, read_audit
from evenhand.spec.sections.models import read_models
from evenhand.spec.sections.privacy import check_privacy, read_privacy
from evenhand.spec.study import Dataset, Split, Study
from evenhand.spec.wording import suggestion
from evenhand.spec.yaml.check import Complaints, select_fields, validated
from evenhand.spec.yaml.document import from_file, from_python
from evenhand.spec.yaml.overrides import apply_overrides, read_overrides
from evenhand.spec.yaml.tree import Node, Origin, format_value, merge

#: Keys with the same form in a file and in a `Study`.
COPIED_KEYS = ("name", "description", "training", "seeds", "resplit")
REQUIRED_KEYS = ("dataset", "model", "methods")
KEYS = (
    "name", "description", "dataset", "model", "methods", "training", "seeds", "resplit", "audit", "privacy",
)  # fmt: skip
#: The largest seed that numpy and transformers accept.
MAX_SEED = 2**32 - 1


#: Returns complaints about the rows of a dataset, given also its study where that could be read.
RowCheck = Callable[[Dataset, Study | None], Sequence[str]]


def read_studies(
    source: str | Path | Mapping[str, object], *, overrides: Sequence[str] = ()
) -> tuple[Study, ...]:
    """Read studies; see `read_located_studies` for arguments and errors."""
    return tuple(study for study, _ in read_located_studies(source, overrides=overrides))


def read_located_studies(
    source: str | Path | Mapping[str, object], *, overrides: Sequence[str] = (), look: RowCheck | None = None
) -> tuple[tuple[Study, Node], ...]:
    """Read studies, each with the locations of its values.

    Args:
        source: a file, the name of a recipe, or a mapping with the keys of a file.
        overrides: `key=value`, with dotted keys and values in YAML, for every study; `studies.0.key=value`
            for one.
        look: checks the rows of every dataset that can be read, and returns complaints.

    Returns:
        The studies, in the order of the file.

    Raises:
        SpecError: all problems at once, with location, value, allowed values, and the nearest name.
    """
    tree = _read_tree(source)
    complaints = Complaints()
    parts = _split_studies(tree, complaints)
    single = not (isinstance(tree.value, dict) and "studies" in tree.value)
    options = read_overrides(overrides, None if single else len(parts), complaints)
    studies = []
    for number, part in enumerate(parts):
        combined = apply_overrides(part, options, number, complaints)
        dataset, study = _read_study(combined, complaints)
        if study is not None:
            studies.append((study, combined))
        if look is not None and dataset is not None:
            name = "" if single or study is None else study.name
            for what in look(dataset, study):
                complaints.add_complaint(combined, what, name)
    _check_names(studies, complaints)
    complaints.raise_if_any()
    return tuple(studies)


def _read_tree(source: str | Path | Mapping[str, object]) -> Node:
    """Read the values of a file or mapping, with their locations."""
    if isinstance(source, Mapping):
        return from_python(source, Origin("study", has_lines=False))
    path = locate_study_file(source)
    return from_file(path, Origin(str(source) if Path(source) == path else f"recipe {source}"))


def _split_studies(tree: Node, complaints: Complaints) -> list[Node]:
    """List the studies of a file, each merged with the keys beside `studies`, which they share."""
    if not isinstance(tree.value, dict) or not tree.value:
        value = "nothing" if tree.value is None or tree.value == {} else format_value(tree.plain)
        raise SpecError(f"{tree.location}: got {value}; must be a mapping with keys of: {', '.join(KEYS)}.")
    if "studies" not in tree.value:
        return [tree]
    shared = dict(tree.value)
    studies = shared.pop("studies")
    if not isinstance(studies.value, list) or not studies.value:
        complaints.add(studies.location, f"got {format_value(studies.plain)}; must be a list of studies.")
        return []
    parts = []
    for study in studies.value:
        if not isinstance(study.value, dict):
            complaints.add(
                study.location, f"got {format_value(study.plain)}; must be a mapping with keys of a study."
            )
            continue
        base = {
            # `dataset: name` is short for a mapping, to which a study may add options.
            key: node.under({"name": node}) if isinstance(node.value, str) and key in {"dataset", "model"}
            and isinstance(study.value.get(key, node).value, dict) else node
            for key, node in shared.items()
        }  # fmt: skip
        parts.append(merge(study.under(base), study))
    return parts


def _read_study(tree: Node, complaints: Complaints) -> tuple[Dataset | None, Study | None]:
    """Read a dataset and its study; None for what cannot be read.

    All sections are read even after a complaint, so that all problems are reported together. Checks between
    sections follow only when each section is valid.
    """
    before = len(complaints)
    entries = tree.value if isinstance(tree.value, dict) else {}
    for key, node in entries.items():
        if key not in KEYS:
            complaints.add(node.location, f"unknown key. {suggestion(key, KEYS)}")
    same = {key: node for key, node in entries.items() if key in COPIED_KEYS}
    if "training" in same and same["training"].value is None:
        del same["training"]
    head = validated(select_fields(Study, *COPIED_KEYS), tree.under(same), complaints)
    _check_seeds(entries.get("seeds"), complaints)
    for key in REQUIRED_KEYS:
        if key not in entries:
            complaints.add(tree.location.child(key), "is missing.")
    dataset, attributes = (
        _read_dataset(entries["dataset"], complaints) if "dataset" in entries else (None, ())
    )
    models = read_models(entries["model"], complaints) if "model" in entries else []
    arms = read_arms(entries["methods"], complaints) if "methods" in entries else []
    node = entries.get("audit", Node(None, tree.location.child("audit")))
    task = None if dataset is None else plugin(DATASETS, dataset.name).INFO.task
    audit = read_audit(node, arms, attributes, complaints, task=task)
    privacy = read_privacy(entries["privacy"], complaints) if "privacy" in entries else None
    if len(complaints) > before or head is None or dataset is None or audit is None:
        return dataset, None
    study = Study(
        dataset=dataset, models=tuple(models), arms=tuple(arms), audit=audit, privacy=privacy, **dict(head)
    )
    _check_parts(study, entries, complaints)
    return dataset, study if len(complaints) == before else None


def _check_parts(study: Study, entries: Mapping[str, Node], complaints: Complaints) -> None:
    """Check that the split supports trials (a validation part) and `resplit` (a split that is drawn)."""
    split_column = getattr(study.dataset.config, "split_column", None)
    if study.tuned and split_column is None and study.dataset.split.validation == 0:
        complaints.add(
            entries["methods"].location,
            "'tune' selects on validation rows, and dataset.split.validation is 0; give it a share above 0.",
        )
    check_existing(study, entries["methods"].location, complaints)
    if study.privacy is not None:
        check_privacy(study, entries["privacy"], complaints)
    if not study.resplit:
        return
    location = entries["resplit"].location
    if plugin(DATASETS, study.dataset.name).INFO.task == "language":
        complaints.add(
            location, "the task 'language' compares answers about the same texts; remove 'resplit'."
        )
    if split_column is not None:
        complaints.add(
            location, f"the column '{split_column}' says each row's part, so no seed can draw its own split."
        )
    dataset = entries["dataset"].plain
    shares = dataset.get("split") if isinstance(dataset, dict) else None
    if isinstance(shares, dict) and "seed" in shares:
        complaints.add(location, "every seed draws its own split; take dataset.split.seed out.")


def _read_dataset(node: Node, complaints: Complaints) -> tuple[Dataset | None, tuple[str, ...]]:
    """Read the dataset, and its attributes as far as they are known before it is loaded."""
    if isinstance(node.value, str):
        node = node.under({"name": node})
    named = node.value.get("name") if isinstance(node.value, dict) else None
    if not isinstance(node.value, dict) or named is None or not isinstance(named.value, str):
        location = named.location if named else node.location
        complaints.add(
            location,
            f"got {format_value((named or node).plain)}; must be a dataset's name, or a mapping with a "
            "'name'.",
        )
        return None, ()
    same = {key: value for key, value in node.value.items() if key in {"split", "leaks"}}
    if "split" in same and same["split"].value is None:
        del same["split"]
    rows = validated(select_fields(Dataset, "split", "leaks"), node.under(same), complaints)
    if rows is not None:
        _check_shares(dict(rows)["split"], same.get("split", node), complaints)
    try:
        config, info = config_of(DATASETS, named.value), plugin(DATASETS, named.value).INFO
    except InputError as error:
        for what in error.complaints:
            complaints.add(named.location, what)
        return None, ()
    rest = {key: value for key, value in node.value.items() if key not in {"name", "split", "leaks"}}
    options = validated(config, node.under(rest), complaints, ("split", "leaks"))
    attributes = known_attributes(tuple(info.attributes), named.value, options)
    if rows is None or options is None:
        return None, attributes
    return Dataset(name=named.value, config=options, **dict(rows)), attributes


def _check_shares(split: Split, node: Node, complaints: Complaints) -> None:
    """Check that the shares of the parts sum to 1."""
    shares = {"train": split.train, "validation": split.validation, "test": split.test}
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-9:
        listed = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        complaints.add(node.location, f"{listed} = {total:g}; the shares must sum to 1.")


def _check_seeds(node: Node | None, complaints: Complaints) -> None:
    """Check that seeds are distinct and not too large."""
    earlier: set[object] = set()
    for item in node.value if node and isinstance(node.value, list) else []:
        if not isinstance(item.value, int) or isinstance(item.value, bool):
            continue
        if item.value in earlier:
            complaints.add(item.location, f"the seed {item.value} is given twice.")
        if item.value > MAX_SEED:
            complaints.add(item.location, f"got {format_value(item.value)}; must be at most {MAX_SEED}.")
        earlier.add(item.value)


def _check_names(studies: Sequence[tuple[Study, Node]], complaints: Complaints) -> None:
    """Check that studies have distinct folders, also on file systems that ignore case."""
    earlier: dict[str, str] = {}
    for study, node in studies:
        same = earlier.get(study.name.casefold())
        if same is not None:
            complaints.add(
                node.location.child("name"), f"two studies are called '{same}'; each needs its own folder."
            )
        earlier[study.name.casefold()] = study.name
