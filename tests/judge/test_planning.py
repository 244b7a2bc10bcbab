"""Plans: forecasts of widths and power, and what would settle an undecided row."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

import evenhand
from evenhand.judge.planning.parts import Parts, common_factor, fewest_rows, fewest_runs, moderated_dof
from evenhand.judge.stats.moderated import RunCells
from evenhand.judge.stats.quantiles import z_of


def parts(**changes):
    fields = {
        "rows": 400.0, "runs": 5.0, "row_variance": 4e-4, "flip_variance": 1e-4, "run_variance": 2e-4,
        "row_dof": 12.0, "run_dof": 12.0, "arms": 3.0, "moderated": True,
    }  # fmt: skip
    return Parts(*(np.array([value]) for value in (fields | changes).values()))


def test_parts_fall_with_rows_and_runs():
    grown = parts().at(1600.0, 20.0)
    # Steady differences fall with rows, flips with both, shifts with runs.
    assert grown.row_variance == pytest.approx(3e-4 / 4 + 1e-4 / 16)
    assert grown.flip_variance == pytest.approx(1e-4 / 16)
    assert grown.run_variance == pytest.approx(2e-4 / 4)
    same = parts().at(400.0, 5.0)
    for field in dataclasses.fields(Parts):
        assert getattr(same, field.name) == pytest.approx(getattr(parts(), field.name)), field.name


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("arms", [2, 4])
def test_degrees_of_freedom_are_those_of_moderated_variances(arms, runs):
    rng = np.random.default_rng(0)
    values = [np.tile(rng.standard_normal(runs), (4, 1)) for _ in range(arms)]
    values[1] = values[0][:, ::-1]  # equal variances
    flips = np.full((arms, 4), 1e-9)
    cells = RunCells(
        values, flips, np.full(4, 100.0), np.arange(4), 0, np.zeros(arms, bool), np.full((arms, 4), np.nan)
    )
    dof = cells.differences(np.full(4, 1), np.arange(4)).dof
    assert moderated_dof(np.array(arms), np.array(runs)) == pytest.approx(dof[0], rel=0.02)


def test_half_widths_join_rows_and_runs():
    z = float(z_of(0.01))
    both = parts(moderated=False, row_dof=np.inf, run_dof=4.0, flip_variance=0.0)
    expected = np.hypot(stats.norm.isf(0.005) * 4e-4**0.5, stats.t.isf(0.005, 4) * 2e-4**0.5)
    assert both.half_width(z) == pytest.approx(expected)
    assert parts().half_width(z) == pytest.approx(stats.t.isf(0.005, 12) * 6e-4**0.5)


@pytest.mark.parametrize("dof", [6.0, 15.0, 60.0])
@pytest.mark.parametrize("level", [0.05, 0.002])
def test_power_is_that_of_a_noncentral_t(dof, level):
    z = float(z_of(level))
    some = parts(row_dof=dof, run_dof=dof)
    for effect in (0.03, 0.06, 0.1, 0.15):
        exact = stats.nct.sf(stats.t.isf(level / 2, dof), dof, effect / 6e-4**0.5)
        assert some.power(effect, z) == pytest.approx(exact, abs=0.06)


def test_the_fewest_rows_and_runs_agree_with_a_search():
    z = float(z_of(0.01))

    def accepts(some):
        return some.half_width(z) < 0.065

    runs = next(s for s in range(2, 1000) if accepts(parts().at(400.0, float(s))).all())
    assert fewest_runs(parts(), accepts) == runs
    rows = next(n for n in range(1, 100_000) if accepts(parts().at(float(n), 5.0)).all())
    assert fewest_rows(parts(), accepts) == pytest.approx(rows, abs=1)
    # Shifts alone are wider: no number of rows suffices. Rows alone are: no number of runs does.
    assert np.isnan(fewest_rows(parts(run_variance=4e-3), accepts))
    assert np.isnan(fewest_runs(parts(row_variance=4e-3), accepts))
    # Where neither suffices alone, both together do.
    wide = parts(row_variance=4e-3, run_variance=4e-3)
    assert np.isnan(fewest_rows(wide, accepts))
    assert np.isnan(fewest_runs(wide, accepts))
    factor = common_factor(wide, accepts, 1e6)
    tried = np.arange(1, 1000) / 10
    assert factor == pytest.approx(
        next(f for f in tried if accepts(wide.at(400.0 * f, 5.0 * f)).all()), abs=0.1
    )
    assert common_factor(parts(row_variance=1e-6, run_variance=1e-6), accepts, 1e6) == 1
    assert np.isinf(common_factor(wide, accepts, 2.0))


def table(rows=600, runs=5, loss=0.03, seed=0, repeats=1):
    """Two arms, three groups, runs that shift; `repeats` copies of every row."""
    rng = np.random.default_rng(seed)
    group = np.repeat(["a", "b", "c"], rows // 3)
    label, base = rng.integers(0, 2, rows), rng.standard_normal(rows)
    columns = {name: [] for name in ("example_id", "label", "prediction", "group", "arm", "run")}
    for arm in ("full", "lora"):
        for run in range(runs):
            noise = rng.standard_normal(rows)
            limit = 1.04 - 4 * loss * (arm == "lora") + 0.08 * rng.standard_normal()
            right = 0.9 * base + 0.436 * noise < limit
            answers = np.where(right, label, 1 - label)
            for copy in range(repeats):
                columns["example_id"] += [f"{i}.{copy}" for i in range(rows)]
                columns["label"] += label.tolist()
                columns["prediction"] += answers.tolist()
                columns["group"] += group.tolist()
                columns["arm"] += [arm] * rows
                columns["run"] += [run] * rows
    return columns


def audited(columns, **options):
    options = {
        "arm": "arm",
        "run": "run",
        "by": "group",
        "primary": "accuracy",
        "metric": "accuracy",
    } | options
    return evenhand.audit(columns, **options).to_dict()


def primary(document):
    return [row for row in document["comparisons"] if row["family"] == "primary"]


def test_rows_state_the_parts_of_their_variance():
    for row in primary(audited(table())):
        half = (row["high"] - row["low"]) / 2
        parted = Parts.of_rows([row], 2)
        assert parted.half_width(row["critical"])[0] == pytest.approx(half, rel=0.1)
        assert 0 < row["flip_variance"] < row["row_variance"]
    for row in primary(audited(table(runs=1), run=None)):
        assert row["flip_variance"] is None
        assert row["run_dof"] is None


def test_so_many_rows_do_settle():
    [row] = [r for r in primary(audited(table(runs=1, seed=6, loss=0.0), run=None)) if r["group"] == "b"]
    assert row["verdict"] == "undecided"
    assert row["limited_by"] == "rows"
    assert row["runs_to_settle"] is None
    repeats = int(np.ceil(row["rows_to_settle"] / row["n"]))
    [grown] = [
        r
        for r in primary(audited(table(runs=1, seed=6, loss=0.0, repeats=repeats), run=None))
        if r["group"] == "b"
    ]
    assert grown["verdict"] != "undecided"


def test_what_limits_a_row():
    shifting = primary(audited(table(rows=6000, loss=0.01, seed=3)))
    assert {r["limited_by"] for r in shifting if r["verdict"] == "undecided"} <= {"runs", "either", "both"}
    assert all(r["limited_by"] is None for r in shifting if r["verdict"] != "undecided")
    for row in shifting:
        if row["limited_by"] == "runs":
            assert row["rows_to_settle"] is None
            assert row["runs_to_settle"] > 5


def test_a_plan_from_a_result(tmp_path):
    document = audited(table())
    plan = evenhand.plan(document)
    assert plan["schema"] == "evenhand.plan/1"
    [model] = plan["models"]
    assert [r["group"] for r in model["rows"]] == ["a", "b", "c"]
    for row in model["rows"]:
        assert row["difference"] == 0.02
        assert 0 <= row["power_harm"] < 0.8
        assert row["runs_harm"] is None or row["runs_harm"] <= (row["runs_harm_cautious"] or np.inf)
        runs, rows = row["runs_together_harm"], row["rows_together_harm"]
        assert runs / row["runs"] == pytest.approx(rows / row["n"], rel=0.2)
        assert row["runs"] < runs <= row["runs_together_harm_cautious"]
        assert runs <= (row["runs_harm"] or np.inf)
        assert rows <= (row["rows_harm"] or np.inf)
        powers = [at["harm"] for at in row["by_runs"]]
        assert powers == sorted(powers)
    options = {(x["buy"], x["amount"]): x["power"] for x in model["next"]}
    assert options["nothing", None] < options["runs", 1] < options["runs", 5]
    easier = evenhand.plan(document, difference=0.2)["models"][0]["rows"]
    assert all(e["power_harm"] > r["power_harm"] for e, r in zip(easier, model["rows"], strict=True))


def test_few_runs_foresee_no_runs():
    [model] = evenhand.plan(audited(table(runs=2)))["models"]
    assert all(row["runs_harm"] is None and not row["by_runs"] for row in model["rows"])
    assert "no number of runs can be foreseen" in " ".join(model["remarks"])
    assert [x["buy"] for x in model["next"]] == ["nothing", "rows", "rows"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"power": 2}, r"--power 2: a power is from 0.5 to below 1"),
        ({"difference": 0.01}, r"--difference 0.01: a loss below the margin of accuracy, 0.02"),
        ({"difference": float("nan")}, r"--difference nan: the size of a loss is above 0"),
    ],
)
def test_goals_that_cannot_be_meant_are_refused(options, complaint):
    with pytest.raises(evenhand.InputError, match=complaint):
        evenhand.plan(audited(table()), **options)


def test_results_that_cannot_be_planned_are_refused():
    single = audited({k: v[: len(v) // 2] for k, v in table().items()})
    with pytest.raises(evenhand.InputError, match="nothing is compared"):
        evenhand.plan(single)
    with pytest.raises(evenhand.InputError, match=r"got the schema 'evenhand.attack/1'"):
        evenhand.plan({"schema": "evenhand.attack/1"})
    old = audited(table())
    for row in old["comparisons"]:
        del row["critical"]
    with pytest.raises(evenhand.InputError, match="an earlier version"):
        evenhand.plan(old)
