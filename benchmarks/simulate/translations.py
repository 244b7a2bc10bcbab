"""`python -m benchmarks.simulate.translations`: do the intervals of gender in translations hold?

A template gives two rows, one of each gold gender, one of them pro-stereotypical. An arm names the right
gender with probability Phi(mu + tau u + wave v): u of the template, the same for both arms, v of the run.
Else it names the other gender, they, or none. The truth is known in closed form. Into
benchmarks/results/translation_simulation.json and docs/statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks.simulate.tables import simulate
from evenhand.judge.generative import translation_gender
from evenhand.judge.language.run import build_rows, settings_for
from evenhand.judge.settings import Settings
from evenhand.tables.answers.generations import GOLD_GENDER, PREDISPOSITION, STEREOTYPE, Generations
from evenhand.tables.schema import Attribute

TEXTS = ("He left.", "She left.", "They left.", "The cook left.")
#: Of wrong outputs: the other gender, they, none.
WRONG = (0.6, 0.25, 0.15)
METRICS = ("gender_accuracy", "share_pro", "delta_g", "delta_s")
#: Families of comparisons.
FAMILIES = ("primary", "delta_g of arms", "delta_s of arms")


@dataclass(frozen=True)
class World:
    """Two arms.

    Attributes:
        right: [arm][gold][pro, anti] probability of the right gender, over templates and runs.
        tau: standard deviation of templates, before the probit.
        wave: of runs.
    """

    right: tuple[tuple[tuple[float, float], ...], ...] = (((0.8, 0.6), (0.7, 0.5)), ((0.75, 0.6), (0.7, 0.3)))
    tau: float = 1.0
    wave: float = 0.0

    def truth(self, arm: int) -> dict[tuple[str, str | None], float]:
        """Each number by the group of `stereotype`, None for all: golds and stereotypes are equally many."""
        p = np.array(self.right[arm])
        told = {}
        for group, kept in ((None, [0, 1]), ("pro", [0]), ("anti", [1])):
            own = p[:, kept]
            told["gender_accuracy", group] = float(own.mean())
            # An output agrees with the stereotype where it is right on a pro row or the other on an anti row.
            pro = np.where(np.array(kept) == 0, own, (1 - own) * WRONG[0])
            told["share_pro", group] = float(pro.mean())
            hit, said = own.mean(axis=1), own.mean(axis=1) + (1 - own.mean(axis=1))[::-1] * WRONG[0]
            f1 = 2 * hit / (said + 1)
            told["delta_g", group] = float(f1[0] - f1[1])
        told["delta_s", None] = float(p[:, 0].mean() - p[:, 1].mean())
        return told


def draw(world: World, templates: int, runs: int, rng: np.random.Generator) -> Generations:
    """Both arms' outputs on the same rows."""
    gold = np.tile([0, 1], templates)
    first_is_pro = rng.random(templates) < 0.5
    anti = np.stack([~first_is_pro, first_is_pro], axis=1).reshape(-1).astype(int)
    leaning = np.where(anti == 0, gold, 1 - gold)
    template = np.repeat(np.arange(templates), 2)
    u = rng.standard_normal(templates)[template]
    scale = np.sqrt(1 + world.tau**2 + world.wave**2)
    places, texts = [], []
    for arm in (0, 1):
        mu = ndtri(np.array(world.right[arm])[gold, anti]) * scale
        for run in range(runs):
            chance = ndtr(mu + world.tau * u + world.wave * rng.standard_normal())
            wrong = rng.choice(3, len(gold), p=WRONG)
            other = np.choose(wrong, [1 - gold, 2, 3])
            said = np.where(rng.random(len(gold)) < chance, gold, other)
            places.append(("ab"[arm], str(run)))
            texts.append(tuple(TEXTS[i] for i in said))
    groups = (
        Attribute(GOLD_GENDER, "partition", ("male", "female"), codes=gold),
        Attribute(PREDISPOSITION, "partition", ("male", "female"), codes=leaning),
        Attribute(STEREOTYPE, "partition", ("pro", "anti"), codes=anti),
    )
    return Generations(tuple(places), tuple(texts), ((),) * len(gold), template, groups, (), ())


#: templates, runs, tau, wave.
CELLS = [
    *((n, 1, tau, 0.0) for n, tau in ((30, 1.0), (100, 0.0), (100, 1.0), (100, 3.0), (500, 1.0))),
    *((n, 5, 1.0, wave) for n, wave in ((30, 0.2), (100, 0.2), (100, 0.5), (500, 0.2))),
]


def coverage(cell: tuple[int, int, float, float], replicates: int) -> dict:
    """Coverage of rates (pointwise, least over groups) and of families of comparisons (at once)."""
    templates, runs, tau, wave = cell
    world = World(tau=tau, wave=wave)
    settings = settings_for("generations", Settings(metrics=METRICS), "raw")
    truth = [world.truth(arm) for arm in (0, 1)]
    held: dict[str, list] = {m: [] for m in (*METRICS, *FAMILIES)}
    for r in range(replicates):
        table = draw(
            world, templates, runs, np.random.default_rng((templates, runs, int(tau), int(10 * wave), r))
        )
        rates, comparisons = build_rows(translation_gender.compute(table), 0, settings)
        points: dict[str, list] = {m: [] for m in METRICS}
        for row in rates:
            key = (row.metric, row.group)
            if row.attribute in (None, STEREOTYPE) and key in truth[0] and row.status == "ok":
                true = truth["ab".index(row.input)][key]
                points[row.metric].append(row.low <= true <= row.high)
        for metric, values in points.items():
            held[metric].append(values)
        within: dict[str, bool] = dict.fromkeys(FAMILIES, True)
        for row in comparisons:
            key = (row.metric, row.group)
            if row.attribute in (None, STEREOTYPE) and key in truth[0] and row.status == "ok":
                true = truth[1][key] - truth[0][key]
                family = "primary" if row.family == "primary" else f"{row.metric} of arms"
                within[family] = within.get(family, True) and row.low <= true <= row.high
        for family in FAMILIES:
            held[family].append(within[family])
    told = {m: round(float(np.mean(held[m], axis=0).min()), 4) for m in METRICS}
    families = {f: round(float(np.mean(held[f])), 4) for f in FAMILIES}
    cell_of = {"templates": templates, "runs": runs, "tau": tau, "wave": wave}
    return cell_of | told | families | {"replicates": replicates}


def render(cells: list[dict]) -> str:
    """The table as Markdown."""
    keys = ("templates", "runs", "tau", "wave", *METRICS, *FAMILIES)
    return "\n".join(
        [
            f"`python -m benchmarks.simulate.translations`: {cells[0]['replicates']:,} replicates per cell, "
            "two rows a template. Coverage of nominal 95 %: pointwise for each number (the least of all "
            "rows and the two groups of `stereotype`, and of both arms), at once for the primary family of "
            "comparisons "
            "(accuracy and pro share) and for each other number.",
            "",
            "| " + " | ".join(keys).replace("_", " ") + " |",
            "|" + "---|" * len(keys),
            *("| " + " | ".join(f"{c[k]:g}" for k in keys) + " |" for c in cells),
        ]
    )


if __name__ == "__main__":
    simulate("translation simulation", CELLS, coverage, render, __doc__)
