"""`python -m benchmarks.simulate.claims`: how often are verdicts wrong, and how much do they decide?

Worlds as in `shifts`, in which the candidate loses or gains something in every group: nothing, exactly the
margin (where every `harmless` is wrong), or much. Replicates pass the audit's own limits and verdicts
(`judge/core/limits.py`), at both error rates. Beside them: the verdict `harmless` from two-sided intervals,
and Holm's step-down p-values, which the audit does not use. Into benchmarks/results/claims.json and
docs/statistics.md.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from benchmarks.simulate.shifts import ALPHA, CHUNK, MARGIN, World, draw, family_of, moderated
from benchmarks.simulate.tables import simulate
from evenhand.judge.core.evidence import Identity, PairedEstimate, Score
from evenhand.judge.core.flips import NO_FLIPS
from evenhand.judge.core.limits import Limits, Members, compute_limits
from evenhand.judge.settings import ERROR_RATES
from evenhand.judge.stats.family import holm
from evenhand.judge.stats.paired import ScorePaired
from evenhand.judge.stats.verdict import judge

WORDS = ("harm", "harmless", "help", "undecided")


@dataclass(frozen=True)
class Losses(World):
    """A world whose candidates differ from the reference by `differences`, one for each group."""

    differences: tuple[float, ...] = ()

    def limits(self) -> np.ndarray:
        """[arm, group] limit whose mean over normal shifts gives the accuracy."""
        sd = self.deviation()
        accuracy = np.full(sd.shape, self.accuracy)
        accuracy[1:] += np.array(self.differences)
        return ndtri(accuracy) * np.sqrt(1 + sd**2)


def pairs_of(estimates: ScorePaired, runs: int = 5) -> list[PairedEstimate]:
    """The comparisons of a replicate as the audit has them; higher is better."""
    size = len(estimates.difference)
    pairs = []
    for k in range(size):
        one = ScorePaired(
            *(
                np.asarray(c[k])
                for c in (estimates.difference, estimates.absolute, estimates.square, estimates.n)
            ),
            estimates.variation.at(k),
            *(np.asarray(c[k]) for c in (estimates.better, estimates.worse)),
            pseudo_size=estimates.pseudo_size,
        )
        who = Identity("candidate", "group", str(k), None, "accuracy", "accuracy", 1, True, 1.0)
        pairs.append(
            PairedEstimate(
                who, float(one.difference), int(one.n), runs, NO_FLIPS, Score(one, None, moderated=True)
            )
        )
    return pairs


def share(words: np.ndarray, word: object, among: np.ndarray) -> float:
    """Share of some rows that have a verdict; NaN where there are none."""
    return float(np.mean(words[among] == word)) if among.any() else float("nan")


def words_of(limits: list[Limits], *, one_sided: bool = True) -> np.ndarray:
    """[k] the verdicts."""
    found = [
        judge(x.low, x.high, 1, MARGIN, x.harm if one_sided else float("nan")).word or "" for x in limits
    ]
    return np.array(found)


def coverage(world: Losses, replicates: int) -> dict:
    """Figures of one world."""
    rng = np.random.default_rng(zlib.crc32(repr(world).encode()))
    groups = len(world.sizes)
    pilot = np.concatenate([draw(world, 40, rng).difference for _ in range(10)])
    joint = family_of(pilot, groups, world.metrics, side=-1.0)
    truth = world.truth()
    true = np.repeat((truth[1:] - truth[:1]), world.metrics, axis=1).reshape(-1)
    margins, first = np.full(len(true), MARGIN), np.arange(len(true))
    zero, lost = np.abs(true) < 1e-9, true < -MARGIN - 1e-9
    rates: dict[str, list[float]] = {}

    def add(key: str, value: float) -> None:
        rates.setdefault(key, []).append(float(value))

    step = max(1, CHUNK // (sum(world.sizes) * (world.candidates + 1) * world.runs))
    for start in range(0, replicates, step):
        m = draw(world, min(step, replicates - start), rng)
        for at in range(len(m.difference)):
            members = Members(pairs_of(moderated(m, at, groups)[1]), margins, first)
            for rate in ERROR_RATES:
                limits = compute_limits(members, joint, ALPHA, error_rate=rate)
                words = words_of(limits)
                alarm = ((words == "harm") & (true > -1e-9)) | ((words == "help") & (true < 1e-9))
                harmless = (words == "harmless") & (true <= -MARGIN + 1e-9)
                if rate == "familywise":
                    low, high = (np.array([getattr(x, k) for x in limits]) for k in ("low", "high"))
                    add("coverage", ((low <= true + 1e-9) & (true - 1e-9 <= high)).all())
                    add("alarms", alarm.any())
                    add("false harmless", harmless.any())
                    add("any wrong", (alarm | harmless).any())
                    two = words_of(limits, one_sided=False)
                    step_down = (holm(np.array([x.p for x in limits])) < ALPHA) & (high + low < 0)
                    add("harmless of equal, two-sided", share(two, "harmless", zero))
                    add("harmless of equal", share(words, "harmless", zero))
                    add("harm of lost", share(words, "harm", lost))
                    add("harm of lost, Holm", share(step_down, True, lost))
                else:
                    claims = (words == "harm") | (words == "help")
                    add("FDR alarms", alarm.sum() / max(claims.sum(), 1))
                    add("FDR harmless", harmless.sum() / max((words == "harmless").sum(), 1))
                    add("harmless of equal, FDR", share(words, "harmless", zero))
                    add("harm of lost, FDR", share(words, "harm", lost))
    kinds = dict.fromkeys(world.differences)
    return {
        "groups": groups,
        "rows": world.sizes[0],
        "candidates": world.candidates,
        "runs": world.runs,
        "shifts": world.shifts,
        "differences": ", ".join(f"{world.differences.count(d)} x {d:+.2f}" for d in kinds),
        **{k: None if np.isnan(v).any() else round(float(np.mean(v)), 3) for k, v in rates.items()},
        "replicates": replicates,
    }


def worlds() -> list[Losses]:
    """The grid."""
    patterns = {
        8: [
            (0.0,) * 8,
            (-MARGIN,) * 8,
            (0.0,) * 4 + (-MARGIN,) * 4,
            (0.0,) * 4 + (-0.08,) * 4,
            (-MARGIN,) * 4 + (-0.08,) * 4,
            (-0.08,) * 8,
            (0.05,) * 4 + (0.0,) * 4,
        ],
        2: [(0.0, 0.0), (-MARGIN, -MARGIN), (0.0, -MARGIN)],
    }
    cases = [
        (8, 400, 1, 5, "small"),
        (8, 400, 1, 5, "even"),
        (8, 2000, 1, 5, "small"),
        (8, 400, 1, 3, "small"),
        (8, 400, 3, 5, "small"),
        (2, 2000, 1, 5, "small"),
        (2, 200, 1, 5, "even"),
        (8, 60, 1, 5, "small"),
    ]
    return [
        Losses((rows,) * groups, candidates=c, runs=s, shifts=k, differences=d)
        for groups, rows, c, s, k in cases
        for d in patterns[groups]
    ]


def render(cells: list[dict]) -> str:
    """The tables as Markdown."""
    world = ("groups", "rows", "candidates", "runs", "shifts", "differences")
    errors = ("coverage", "alarms", "false harmless", "any wrong", "FDR alarms", "FDR harmless")
    equal = ("harmless of equal, two-sided", "harmless of equal", "harmless of equal, FDR")
    lost = ("harm of lost", "harm of lost, Holm", "harm of lost, FDR")
    worst = {k: max(c[k] for c in cells) for k in errors[1:]}
    head = (
        f"`python -m benchmarks.simulate.claims`: {cells[0]['replicates']:,} replicates of each of "
        f"{len(cells)} worlds. The most audits with a false alarm {worst['alarms']:.3f}, with a false "
        f"`harmless` {worst['false harmless']:.3f}, with any wrong verdict {worst['any wrong']:.3f}; the "
        f"highest false discovery rate of alarms {worst['FDR alarms']:.3f}, of `harmless` "
        f"{worst['FDR harmless']:.3f}."
    )
    decided = "What is decided, as a share of the rows without a difference, and of those that lose much:"
    return "\n\n".join([head, _table(cells, world + errors), decided, _table(cells, world + equal + lost)])


def _table(cells: list[dict], keys: tuple[str, ...]) -> str:
    def text(value: object) -> str:
        return "" if value is None else str(value)

    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(text(c[k]) for k in keys) + " |" for c in cells])


if __name__ == "__main__":
    simulate("claims", worlds(), coverage, render, __doc__)
