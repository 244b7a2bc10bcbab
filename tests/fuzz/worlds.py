"""Small random tables of predictions, of plain Python values: what a file says, before it has a dialect."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

Frame = list[tuple[str, list[Any]]]

#: Names of groups, each list for one attribute. All are tidy: no blanks around them, no `1.0`.
GROUPS: tuple[tuple[Any, ...], ...] = (
    ("a", "b"),
    (1, 2, 10),
    (True, False),
    (0.5, 2.25, 3.0),
    ("Zoë", "Ærø", "日本", "🙂"),
    ("New York", "Los  Angeles"),
    ("O'Neil", 'say "hi"'),
    ("a, b", "c;d", "e|f"),
    ("tab\there", "none"),
    ("line\none", "two\r\nlines"),
    ("bare\rreturn", "x"),
    ("1", "2", "10"),
    ("1.5", "-2.25", "1e5"),
    ("007", "7", "0x7"),
    ("true", "false", "maybe"),
    ("x" * 300, "y"),
    ("2024-01-01", "2024-02-29"),
    ("<b>bold</b>", "&amp;"),
    ("=1+1", "-1", "+2", "@x"),
    ("50%", "{", "[a]", "a: 1"),
    ("all", "overall", "null island", "not a"),
    ("\\N ext", "back\\slash", "a\\"),
    ("#comment", "# 2"),
    ("'single'", "`tick`"),
    ("العربية", "עברית"),
    ("x" + "\u00a0" + "y", "x y"),
)
ATTRIBUTES = (
    "g",
    "race, ethnicity",
    "Größe",
    "a b",
    'say "x"',
    "c0",
    "select",
    "n",
    "p0",
    "id;x",
    "G",
    "s'x",
)
WORDS = {
    "01": (0, 1),
    "bool": (False, True),
    "words": ("neg", "pos"),
    "odd words": ("not so", "so, so"),
    "three": ("neg", "neu", "pos"),
    "three numbers": (0, 1, 2),
}
METRICS = ("accuracy", "selection_rate", "true_positive_rate", "accuracy_difference", "balanced_accuracy")
SCORED = ("log_loss", "brier_score", "roc_auc")


@dataclass(frozen=True)
class World:
    """A table in long form (a row is an example in an arm and run), and how to call it.

    Attributes:
        frame: columns in order.
        classes: values of the label.
        options: options of the audit, as keywords of `evenhand.audit`.
        arms: names of arms.
        runs: names of runs.
        scores: columns of scores.
    """

    frame: Frame
    classes: tuple[Any, ...]
    options: dict[str, Any]
    arms: tuple[str, ...]
    runs: tuple[str, ...]
    scores: tuple[str, ...] = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """On one line: hypothesis would print a line for every cell."""
        printer.text(repr(self))

    def column(self, name: str) -> list[Any]:
        return next(values for own, values in self.frame if own == name)

    def having(self, name: str, values: list[Any]) -> World:
        """The same with other values of one column."""
        return replace(self, frame=[(own, values if own == name else old) for own, old in self.frame])

    def ordered(self, rng: random.Random) -> World:
        """The same rows and columns in another order; columns of memberships stay in theirs."""
        order = list(range(len(self.frame[0][1])))
        rng.shuffle(order)
        frame = [(name, [values[i] for i in order]) for name, values in self.frame]
        rng.shuffle(frame)
        members = iter([column for column in self.frame if column[0].startswith("m_")])
        rows = dict(frame)
        frame = [(name := next(members)[0] if old.startswith("m_") else old, rows[name]) for old, _ in frame]
        return replace(self, frame=frame)


def take(frame: Frame, rows: Sequence[int]) -> Frame:
    """Some rows."""
    return [(name, [values[i] for i in rows]) for name, values in frame]


@st.composite
def worlds(draw: st.DrawFn, *, most_arms: int = 2) -> World:
    """A table with 12 to 40 examples."""
    kind = draw(st.sampled_from(sorted(WORDS)))
    classes = WORDS[kind]
    said = draw(st.sampled_from(["prediction", "score", "both"]))
    arms = ("reference", "candidate")[: draw(st.integers(1, most_arms))]
    runs = ("1", "2")[: draw(st.sampled_from([1, 1, 2]))]
    names = draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2))
    attributes = draw(
        st.lists(st.sampled_from(ATTRIBUTES), min_size=len(names), max_size=len(names), unique_by=str.lower)
    )
    ids = draw(st.sampled_from(["whole", "text", "padded", "large", "odd"]))
    extra = draw(st.sets(st.sampled_from(["weight", "cluster", "member", "split", "where"]), max_size=2))
    size = draw(st.integers(12, 40))
    rng = random.Random(draw(st.integers(0, 9999)))
    metric = [draw(st.sampled_from(METRICS))]
    lists = draw(st.booleans())

    keys = [(a, r, i) for a in arms for r in runs for i in range(size)]
    example = [_example(ids, i, rng) for i in range(size)]
    label = [classes[i % len(classes)] if i < 2 * len(classes) else rng.choice(classes) for i in range(size)]
    frame: Frame = [("example_id", [example[i] for *_, i in keys]), ("label", [label[i] for *_, i in keys])]
    answers = [label[i] if rng.random() < 0.7 else rng.choice(classes) for *_, i in keys]
    options: dict[str, Any] = {}
    if said != "score":
        frame.append(("prediction", answers))
    scores: tuple[str, ...] = ()
    if said != "prediction":
        metric.append(draw(st.sampled_from(SCORED)))
        added = _scores(answers, classes, rng, lists=lists)
        frame += added
        scores = tuple(name for name, _ in added)
    for name, groups in zip(attributes, names, strict=True):
        own = [groups[i % len(groups)] if i < 6 else rng.choice(groups) for i in range(size)]
        frame.append((name, [own[i] for *_, i in keys]))
    options["by"] = attributes
    if len(attributes) > 1 and not any("," in a for a in attributes) and draw(st.booleans()):
        options["intersect"] = [tuple(attributes)]
    frame += _extra(extra, keys, size, rng, options)
    if len(arms) > 1:
        frame.append(("arm", [a for a, *_ in keys]))
        options |= {"arm": "arm", "reference": "reference"}
    if len(runs) > 1:
        frame.append(("run", [int(r) for _, r, _ in keys]))
        options["run"] = "run"
    if isinstance(classes[0], str) and len(classes) == 2:
        options["positive"] = classes[1]
    options |= {"metric": metric, "min_group_size": 2}
    return World(frame, classes, options, arms, runs, scores)


def _example(kind: str, i: int, rng: random.Random) -> Any:
    return {
        "whole": i,
        "text": f"r{i}",
        "padded": f"{i:05d}",
        "large": 9_007_199_254_740_993 + i,
        "odd": f"row, {i} 'ü'",
    }[kind]


def _scores(answers: list[Any], classes: tuple[Any, ...], rng: random.Random, *, lists: bool) -> Frame:
    """One column of P(positive), a column of lists, or one column a class; the answer is the likeliest."""
    rows = []
    for answer in answers:
        shares = [rng.randint(1, 40) for _ in classes]
        shares[classes.index(answer)] += 61
        total = sum(shares)
        rows.append([share / total for share in shares])
    if lists:
        return [("score", rows)]
    if len(classes) == 2 and rng.random() < 0.7:
        return [("score", [row[1] for row in rows])]
    return [(f"score_{c}", [row[i] for row in rows]) for i, c in enumerate(classes)]


def _extra(
    extra: set[str], keys: list[tuple[str, str, int]], size: int, rng: random.Random, options: dict[str, Any]
) -> Frame:
    """Weights, clusters, memberships, parts and filters, the same for an example in all arms and runs."""
    frame: Frame = []

    def add(name: str, values: list[Any]) -> None:
        frame.append((name, [values[i] for *_, i in keys]))

    if "weight" in extra:
        add("w", [rng.choice([0.5, 1.0, 2.25, 3.0]) for _ in range(size)])
        options["weight"] = "w"
    if "cluster" in extra:
        add("house", [f"h{i % 7}" for i in range(size)])
        options["cluster"] = "house"
    if "member" in extra:
        add("m_a", [int(i % 3 == 0) for i in range(size)])
        add("m_Ö b", [int(i % 2 == 0 or rng.random() < 0.3) for i in range(size)])
        options["memberships"] = ["m_*"]
    if "split" in extra:
        add("split", ["train" if i % 11 == 10 else "test" for i in range(size)])
    if "where" in extra:
        add("lang", ["de, at" if i % 13 == 12 else "en" for i in range(size)])
        options["where"] = {"lang": "en"}
    return frame
