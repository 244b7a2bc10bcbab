"""Short posts about groups of invented people, written by rule, so that the true classes are known.

A post mentions one group and describes it in a few words that are rude or kind. A *turned* post also has a
rare word (`notsome`, ...) that inverts the meaning of these words, as irony does. All words are invented or
inoffensive.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from evenhand.datasets import DatasetInfo, Examples
from evenhand.datasets.lib.config import Share, field_validator, model_validator
from evenhand.datasets.lib.smoke import SMOKE_ROWS
from evenhand.datasets.lib.synthetic import (
    MAX_GROUPS,
    DrawnRows,
    Truth,
    World,
    check_groups,
    compute_truth,
    draw_rows,
)
from evenhand.tables.schema import Attribute, BoolArray, IntArray

INFO = DatasetInfo(
    title="Synthetic posts",
    task="text",
    labels="whether a post is rude (positive) or kind",
    attributes=("group",),
    source="written by rule, by evenhand",
    licence="Apache-2.0",
    problems=("Invented language: results are about methods, not about people.",),
)
SIGNALS = 3
CLASSES = ("kind", "rude")

_PEOPLES = ("velmish", "orrinish", "taskuan", "pelian", "drovian", "quillish", "hessan", "ombrian")
_WORDS = {
    1: ("grumbish", "snarly", "muckish", "blathery", "crottled", "sploffy", "drearish", "gribbly",
        "snootish", "wretchy", "clunkish", "mopish"),
    0: ("gentle", "brightly", "kindly", "mellowish", "cheery", "honest", "glowing", "merrily",
        "warmish", "helpful", "pleasant", "lively"),
}  # fmt: skip
_STEMS = {1: ("grok", "snub", "mizz", "trok"), 0: ("lum", "fael", "soom", "wynn")}
_TURNS = ("notsome", "fernot", "contrawise", "ironly", "unsooth", "backsay", "nevermore", "otherwhich")
_FILLERS = (
    "today", "again", "often", "market", "river", "bridge", "garden", "window", "morning", "evening",
    "street", "music", "bread", "letter", "winter", "summer", "table", "corner", "train", "harbour",
    "village", "school", "neighbour", "weather", "story", "football", "coffee", "ticket", "lantern",
    "blanket", "kettle", "orchard", "mountain", "library", "pocket", "basket", "candle", "holiday",
    "kitchen", "meadow",
)  # fmt: skip
_FRAMES = (
    "{f0} the {people} people near the {f1} are {s0} and {s1} {turn} with {f2} and so {s2} by the {f3}",
    "i saw {f0} and {f1} the {people} ones were {s0} {turn} then {s1} at the {f2} also {s2} {f3}",
    "{turn} you know how {s0} the {people} folk get {f0} {f1} very {s1} and {s2} around the {f2} {f3}",
    "about {f0} a {people} family so {s0} so {s1} {f1} all {f2} long {turn} quite {s2} {f3}",
)


class Config(World):
    """Options, besides those of every synthetic dataset.

    Attributes:
        groups: names of the groups, at most 8; the posts use other, invented names.
        group_dialect: probability that a signal is a word of the group's dialect instead of a common word.
    """

    most: ClassVar[int] = MAX_GROUPS

    groups: tuple[str, ...] = ("velm", "orrin", "tasku", "pelia")
    group_dialect: Share = 0.0

    @field_validator("groups")
    @classmethod
    def _distinct(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        if not (1 <= len(groups) <= cls.most and len(set(groups)) == len(groups) and all(groups)):
            raise ValueError(f"give 1 to {cls.most} different names")
        return groups

    @model_validator(mode="after")
    def _groups_exist(self) -> Config:
        check_groups(self, self.groups)
        return self


def load(config: Config) -> Examples:
    """Write the posts.

    Args:
        config: the options.

    Returns:
        Posts that all differ, with the attribute `group`.
    """
    rng = np.random.default_rng([config.seed, 1])
    drawn = draw_rows(config, config.groups, rng, signals=SIGNALS)
    texts = _write(drawn, config.group_dialect, rng)
    ids = [f"post-{config.seed}-{i}" for i in range(config.rows)]
    return Examples(
        "text", ids, texts, drawn.label, CLASSES,
        (Attribute("group", "partition", config.groups, codes=drawn.group),),
    )  # fmt: skip


def smoke(config: Config) -> Examples:
    """Write fewer posts of the same distribution."""
    return load(config.model_copy(update={"rows": min(config.rows, SMOKE_ROWS)}))


def truth(config: Config) -> dict[str, Truth]:
    """Compute the expected rates and best accuracies of every group exactly."""
    return compute_truth(config, config.groups, signals=SIGNALS)


def vocabulary() -> tuple[str, ...]:
    """List every word that a post can have, sorted."""
    words = {w for frame in _FRAMES for w in frame.split() if not w.startswith("{")}
    dialects = [_dialect(group, side) for group in range(MAX_GROUPS) for side in (0, 1)]
    return tuple(sorted(words.union(_PEOPLES, _WORDS[0], _WORDS[1], _TURNS, _FILLERS, *dialects)))


def unlabelled(n: int, seed: int) -> list[str]:
    """Write posts of all groups and in all dialects, without labels, for pretraining.

    Args:
        n: number of posts.
        seed: seed of the draw; the posts differ from those of a `Config` with the same seed.
    """
    names = tuple(f"g{i}" for i in range(MAX_GROUPS))
    config = Config(rows=max(n, 8), groups=names, hard_groups=dict.fromkeys(names, 0.25), seed=seed)
    rng = np.random.default_rng([seed, 2])
    return _write(draw_rows(config, config.groups, rng, signals=SIGNALS), 0.5, rng)[:n]


def meaning(text: str) -> tuple[list[int], bool]:
    """Parse a post: the value of each signal (1 rude, 0 kind), and True where the post is turned."""
    says = {word: side for side in (0, 1) for word in _WORDS[side]}
    says |= {w: side for g in range(MAX_GROUPS) for side in (0, 1) for w in _dialect(g, side)}
    words = text.split()
    return [says[w] for w in words if w in says], any(w in _TURNS for w in words)


def _dialect(group: int, side: int) -> tuple[str, ...]:
    """List the words of a group's dialect for one class."""
    ending = ("ak", "el", "ip", "on", "ur", "ev", "yl", "oz")[group]
    return tuple(stem + ending for stem in _STEMS[side])


def _write(drawn: DrawnRows, dialect: float, rng: np.random.Generator) -> list[str]:
    """Write one text per row; a text that equals an earlier one gets further words until it differs."""
    n = len(drawn.group)
    in_dialect: BoolArray = rng.random(drawn.shown.shape) < dialect
    signals = _signals(drawn, in_dialect, rng)
    turns = np.array(_TURNS)[rng.integers(len(_TURNS), size=n)]
    fillers = np.array(_FILLERS)[rng.integers(len(_FILLERS), size=(n, 4))]
    frames = rng.integers(len(_FRAMES), size=n)
    texts: list[str] = []
    earlier: set[str] = set()
    for i in range(n):
        f, s = fillers[i], signals[i]
        text = _FRAMES[frames[i]].format(
            people=_PEOPLES[drawn.group[i]], turn=turns[i] if drawn.turned[i] else "",
            f0=f[0], f1=f[1], f2=f[2], f3=f[3], s0=s[0], s1=s[1], s2=s[2],
        )  # fmt: skip
        text = " ".join(text.split())
        while text in earlier:
            text = f"{text} {_FILLERS[int(rng.integers(len(_FILLERS)))]}"
        earlier.add(text)
        texts.append(text)
    return texts


def _signals(drawn: DrawnRows, in_dialect: BoolArray, rng: np.random.Generator) -> IntArray:
    """Choose a word for each signal [n, signals], a common one or one of the group's dialect."""
    common = np.array([_WORDS[0], _WORDS[1]])
    dialects = np.array([[_dialect(g, side) for side in (0, 1)] for g in range(MAX_GROUPS)])
    a = common[drawn.shown, rng.integers(common.shape[1], size=in_dialect.shape)]
    b = dialects[drawn.group[:, None], drawn.shown, rng.integers(dialects.shape[2], size=in_dialect.shape)]
    return np.where(in_dialect, b, a)
