"""A study file, or the same from Python, to studies: every default written out, every problem at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evenhand.errors import InputError, SpecError
from evenhand.spec.plugins import DATASETS, config_of, plugin
from evenhand.spec.recipes import find
from evenhand.spec.sections.arms import read_arms
from evenhand.spec.sections.judging import attributes_of, read_audit
from evenhand.spec.sections.models import read_models
from evenhand.spec.sections.privacy import check_privacy, read_privacy
from evenhand.spec.study import Dataset, Split, Study
from evenhand.spec.wording import guessed
from evenhand.spec.yaml.check import Complaints, picked, validated
from evenhand.spec.yaml.document import from_file, from_python
from evenhand.spec.yaml.overrides import overridden, read_overrides
from evenhand.spec.yaml.tree import Node, Origin, merged, shown

#: Keys that stand in a file as they stand in a study.
SAME = ("name", "description", "training", "seeds", "resplit")
NEEDED = ("dataset", "model", "methods")
KEYS = (
    "name", "description", "dataset", "model", "methods", "training", "seeds", "resplit", "audit", "privacy",
)  # fmt: skip
#: numpy and transformers take no larger seed.
MOST_SEED = 2**32 - 1


#: What is wrong with the rows of a dataset, and of its study where that could be read.
Look = Callable[[Dataset, Study | None], Sequence[str]]


def read_studies(
    source: str | Path | Mapping[str, object], *, overrides: Sequence[str] = ()
) -> tuple[Study, ...]:
    """Read studies, as `read_placed` does."""
    return tuple(study for study, _ in read_placed(source, overrides=overrides))


def read_placed(
    source: str | Path | Mapping[str, object], *, overrides: Sequence[str] = (), look: Look | None = None
) -> tuple[tuple[Study, Node], ...]:
    """Read studies, each with the places of its values.

    Args:
        source: a file, the name of a recipe, or a mapping with the keys of a file.
        overrides: `key=value`, with dotted keys and values in YAML, for every study; `studies.0.key=value`
            for one.
        look: says what is wrong with the rows of every dataset that can be read.

    Returns:
        The studies, in the order of the file.

    Raises:
        SpecError: every problem at once: where it is, what was given, what is allowed, the nearest name.
    """
    tree = _tree(source)
    complaints = Complaints()
    parts = _parts(tree, complaints)
    single = not (isinstance(tree.value, dict) and "studies" in tree.value)
    options = read_overrides(overrides, None if single else len(parts), complaints)
    studies = []
    for number, part in enumerate(parts):
        whole = overridden(part, options, number, complaints)
        dataset, study = _study(whole, complaints)
        if study is not None:
            studies.append((study, whole))
        if look is not None and dataset is not None:
            name = "" if single or study is None else study.name
            for what in look(dataset, study):
                complaints.add_of(whole, what, name)
    _distinct(studies, complaints)
    complaints.refuse()
    return tuple(studies)


def _tree(source: str | Path | Mapping[str, object]) -> Node:
    """The values of a file or mapping, with their places."""
    if isinstance(source, Mapping):
        return from_python(source, Origin("study", lined=False))
    path = find(source)
    return from_file(path, Origin(str(source) if Path(source) == path else f"recipe {source}"))


def _parts(tree: Node, complaints: Complaints) -> list[Node]:
    """The studies of a file, each with the keys that stand beside them."""
    if not isinstance(tree.value, dict) or not tree.value:
        got = "nothing" if tree.value is None or tree.value == {} else shown(tree.plain)
        raise SpecError(f"{tree.place}: got {got}; must be a mapping with keys of: {', '.join(KEYS)}.")
    if "studies" not in tree.value:
        return [tree]
    shared = dict(tree.value)
    studies = shared.pop("studies")
    if not isinstance(studies.value, list) or not studies.value:
        complaints.add(studies.place, f"got {shown(studies.plain)}; must be a list of studies.")
        return []
    parts = []
    for study in studies.value:
        if not isinstance(study.value, dict):
            complaints.add(study.place, f"got {shown(study.plain)}; must be a mapping with keys of a study.")
            continue
        base = {
            # `dataset: name` is short for a mapping, to which a study may add options.
            key: node.under({"name": node}) if isinstance(node.value, str) and key in {"dataset", "model"}
            and isinstance(study.value.get(key, node).value, dict) else node
            for key, node in shared.items()
        }  # fmt: skip
        parts.append(merged(study.under(base), study))
    return parts


def _study(tree: Node, complaints: Complaints) -> tuple[Dataset | None, Study | None]:
    """A dataset and its study, each as far as it can be read."""
    before = len(complaints)
    entries = tree.value if isinstance(tree.value, dict) else {}
    for key, node in entries.items():
        if key not in KEYS:
            complaints.add(node.place, f"there is no such key. {guessed(key, KEYS)}")
    same = {key: node for key, node in entries.items() if key in SAME}
    if "training" in same and same["training"].value is None:
        del same["training"]
    head = validated(picked(Study, *SAME), tree.under(same), complaints)
    _check_seeds(entries.get("seeds"), complaints)
    for key in NEEDED:
        if key not in entries:
            complaints.add(tree.place.child(key), "is missing.")
    dataset, attributes = _dataset(entries["dataset"], complaints) if "dataset" in entries else (None, ())
    models = read_models(entries["model"], complaints) if "model" in entries else []
    arms = read_arms(entries["methods"], complaints) if "methods" in entries else []
    node = entries.get("audit", Node(None, tree.place.child("audit")))
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
    """Complain of parts of the rows that trials lack, or that no seed can draw anew."""
    own = getattr(study.dataset.config, "split_column", None)
    if study.tuned and own is None and study.dataset.split.validation == 0:
        complaints.add(
            entries["methods"].place,
            "'tune' chooses on validation rows, and dataset.split.validation is 0; give it a share.",
        )
    if study.privacy is not None:
        check_privacy(study, entries["privacy"], complaints)
    if not study.resplit:
        return
    place = entries["resplit"].place
    if plugin(DATASETS, study.dataset.name).INFO.task == "language":
        complaints.add(place, "answers about the same texts are compared (language); take it out.")
    if own is not None:
        complaints.add(place, f"the column '{own}' says each row's part, so no seed can draw its own split.")
    dataset = entries["dataset"].plain
    shares = dataset.get("split") if isinstance(dataset, dict) else None
    if isinstance(shares, dict) and "seed" in shares:
        complaints.add(place, "every seed draws its own split; take dataset.split.seed out.")


def _dataset(node: Node, complaints: Complaints) -> tuple[Dataset | None, tuple[str, ...]]:
    """The dataset, and its attributes as far as they are known."""
    if isinstance(node.value, str):
        node = node.under({"name": node})
    named = node.value.get("name") if isinstance(node.value, dict) else None
    if not isinstance(node.value, dict) or named is None or not isinstance(named.value, str):
        place = named.place if named else node.place
        complaints.add(
            place,
            f"got {shown((named or node).plain)}; must be a dataset's name, or a mapping with a 'name'.",
        )
        return None, ()
    same = {key: value for key, value in node.value.items() if key in {"split", "leaks"}}
    if "split" in same and same["split"].value is None:
        del same["split"]
    rows = validated(picked(Dataset, "split", "leaks"), node.under(same), complaints)
    if rows is not None:
        _check_shares(dict(rows)["split"], same.get("split", node), complaints)
    try:
        config, info = config_of(DATASETS, named.value), plugin(DATASETS, named.value).INFO
    except InputError as error:
        for what in error.complaints:
            complaints.add(named.place, what)
        return None, ()
    rest = {key: value for key, value in node.value.items() if key not in {"name", "split", "leaks"}}
    options = validated(config, node.under(rest), complaints, ("split", "leaks"))
    attributes = attributes_of(tuple(info.attributes), named.value, options)
    if rows is None or options is None:
        return None, attributes
    return Dataset(name=named.value, config=options, **dict(rows)), attributes


def _check_shares(split: Split, node: Node, complaints: Complaints) -> None:
    """Complain of shares that are not shares of one whole."""
    shares = {"train": split.train, "validation": split.validation, "test": split.test}
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-9:
        told = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        complaints.add(node.place, f"{told} = {total:g}; the shares must sum to 1.")


def _check_seeds(node: Node | None, complaints: Complaints) -> None:
    """Complain of seeds that are given twice, or are too large."""
    seen: set[object] = set()
    for item in node.value if node and isinstance(node.value, list) else []:
        if not isinstance(item.value, int) or isinstance(item.value, bool):
            continue
        if item.value in seen:
            complaints.add(item.place, f"the seed {item.value} is given twice.")
        if item.value > MOST_SEED:
            complaints.add(item.place, f"got {shown(item.value)}; must be at most {MOST_SEED}.")
        seen.add(item.value)


def _distinct(studies: Sequence[tuple[Study, Node]], complaints: Complaints) -> None:
    """Refuse two studies whose folder would be one, on some file systems even if cases differ."""
    seen: dict[str, str] = {}
    for study, node in studies:
        same = seen.get(study.name.casefold())
        if same is not None:
            complaints.add(node.place.child("name"), f"two studies are called '{same}'; a name is a folder.")
        seen[study.name.casefold()] = study.name
