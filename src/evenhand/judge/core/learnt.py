"""Detection of arms and runs that learnt nothing: no better than one class for every row, or than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist, fmean
from typing import Any

import numpy as np

from evenhand import registry
from evenhand.judge.core.estimates import classes_of, groups_of, observe
from evenhand.judge.settings import METRICS
from evenhand.tables.schema import ABSENT, Arm, FloatArray, Predictions

#: With fewer rows of other classes than this, a model that never predicts them is not judged.
_MIN_OTHER_ROWS = 3
#: An accuracy up to so much above the share of the commonest class counts as no better, if it is within one
#: standard error.
_TOLERANCE = 0.02
#: One-sided level at which answers or scores are better than chance.
_LEVEL = 0.02
#: Standard errors by which the other runs must be more accurate than a run that is no better than chance.
_CLEARLY = 3.0


def nothing_learnt(predictions: Predictions, reference: int) -> list[dict[str, Any]]:
    """Find arms that predict one class for every row, or are no better than that.

    An arm is `constant` when every run predicts one class for all its rows. It is `commonest` when its mean
    accuracy is no better than the share of the commonest class, and neither its answers nor its scores (ROC
    AUC) separate the classes better than chance. A constant arm whose scores do rank the rows is `ranking`:
    it has learnt something that its predicted classes do not show.

    Args:
        predictions: predictions of all arms. Labels of a single class give no rows.
        reference: index of the reference arm, which comes first.

    Returns:
        One row for each such arm: `arm`, `kind`, `class` (the predicted one, or the commonest), `share`
        (of the commonest class), `accuracy`, `roc_auc` (the best of the classes; None without scores).
    """
    order = sorted(range(len(predictions.arms)), key=lambda i: (i != reference, i))
    rows = (_check_arm(predictions.arms[i], predictions) for i in order)
    return [row for row in rows if row is not None]


def runs_not_learnt(predictions: Predictions, idle: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Find single runs that learnt nothing, of arms whose other runs learnt something.

    A run is judged as an arm with this run alone. One that is no better than the commonest class is listed
    only if the runs that learnt are more accurate by three standard errors (of rows, as if the runs were on
    rows of their own): runs of an arm that is near chance as a whole cross the limit by luck.

    Args:
        predictions: predictions of all arms.
        idle: rows of `nothing_learnt`, whose arms are not listed again.

    Returns:
        One row for each such run: `arm`, `run`, `kind`, `class`, `share`, `accuracy` and `roc_auc` as in
        `nothing_learnt`; of the arm's runs that learnt, `others` (their number) and their accuracy:
        `others_accuracy` (the mean), `others_low` and `others_high`.
    """
    named = {row["arm"] for row in idle}
    return [
        row
        for arm in predictions.arms
        if arm.name not in named and len(arm.runs) > 1
        for row in _check_runs(arm, predictions)
    ]


def _check_runs(arm: Arm, p: Predictions) -> list[dict[str, Any]]:
    """Build the rows of the runs of one arm that learnt nothing while others learnt."""
    checks = [_check_arm(_single_run(arm, i), p) for i in range(len(arm.runs))]
    if not any(checks) or all(checks):
        return []
    tables = [_confusion(answers, p) for answers in arm.prediction]
    size = [float(table.sum()) for table in tables]
    accuracy = [float(np.trace(table)) / n for table, n in zip(tables, size, strict=True)]
    others = [a for a, check in zip(accuracy, checks, strict=True) if check is None]
    mean, rows = fmean(others), sum(n for n, check in zip(size, checks, strict=True) if check is None)
    listed = []
    for run, check, n in zip(arm.runs, checks, size, strict=True):
        if check is None:
            continue
        low = check["accuracy"]
        error = math.sqrt(low * (1 - low) / n + mean * (1 - mean) / rows)
        if check["kind"] == "commonest" and mean - low <= _CLEARLY * error:
            continue
        listed.append(
            {"arm": arm.name, "run": run}
            | {key: check[key] for key in ("kind", "class", "share", "accuracy", "roc_auc")}
            | {"others": len(others), "others_accuracy": mean}
            | {"others_low": min(others), "others_high": max(others)}
        )
    return listed


def _single_run(arm: Arm, i: int) -> Arm:
    """Return an arm with one of its runs."""
    score = None if arm.score is None else arm.score[i : i + 1]
    return replace(arm, runs=arm.runs[i : i + 1], prediction=arm.prediction[i : i + 1], score=score)


def _check_arm(arm: Arm, p: Predictions) -> dict[str, Any] | None:
    """Build the row of an arm that learnt nothing; None for an arm that learnt something."""
    tables = [_confusion(answers, p) for answers in arm.prediction]
    labels = np.mean([table.sum(axis=1) for table in tables], axis=0)
    total = float(labels.sum())
    if not total or (labels > 0).sum() < 2:
        return None
    commonest, share = int(labels.argmax()), float(labels.max()) / total
    accuracy = float(np.mean([np.trace(table) / table.sum() for table in tables]))
    predicted = [np.flatnonzero(table.sum(axis=0)) for table in tables]
    constant = all(len(classes) == 1 for classes in predicted)
    if constant:
        others = min(
            table.sum() - table[classes[0]].sum() for table, classes in zip(tables, predicted, strict=True)
        )
        if others < _MIN_OTHER_ROWS:
            return None
    elif accuracy - share > _tolerance(tables, commonest) or _separates_classes(tables):
        return None
    auc, ranks = _ranking(arm, p, labels)
    if ranks and not constant:
        return None
    constants = {int(classes[0]) for classes in predicted}
    named = (constants.pop() if len(constants) == 1 else None) if constant else commonest
    return {
        "arm": arm.name,
        "kind": ("ranking" if ranks else "constant") if constant else "commonest",
        "class": None if named is None else p.classes[named],
        "runs": len(arm.runs),
        "share": share,
        "accuracy": accuracy,
        "roc_auc": auc,
    }


def _confusion(answers: Any, p: Predictions) -> FloatArray:  # noqa: ANN401  (IntArray)
    """[classes, classes] rows by label and answer."""
    size = len(p.classes)
    here = answers != ABSENT
    cells = np.bincount((p.label * size + answers)[here], weights=p.count[here], minlength=size * size)
    return np.asarray(cells.reshape(size, size), dtype=np.float64)


def _tolerance(tables: Sequence[FloatArray], commonest: int) -> float:
    """Standard error of (accuracy - share of the commonest class) in one run, at most `_TOLERANCE`.

    The two differ only on rows for which the arm predicts a class other than the commonest.
    """
    table = np.mean(tables, axis=0)
    others = [k for k in range(len(table)) if k != commonest]
    moved = float(np.trace(table) - table[commonest, commonest] + table[commonest, others].sum())
    return min(math.sqrt(moved) / float(table.sum()), _TOLERANCE) + 1e-12


def _separates_classes(tables: Sequence[FloatArray]) -> bool:
    """Return True when some class is predicted more often for its own rows than for others.

    A one-sided z test of two shares per class, with Bonferroni's correction over the classes.
    """
    table = np.mean(tables, axis=0)
    labels, answers, total = table.sum(axis=1), table.sum(axis=0), float(table.sum())
    scores = []
    for k in np.flatnonzero((labels > 0) & (labels < total) & (answers > 0) & (answers < total)):
        inside, outside, share = float(labels[k]), total - float(labels[k]), float(answers[k]) / total
        difference = table[k, k] / inside - (answers[k] - table[k, k]) / outside
        scores.append(difference / math.sqrt(share * (1 - share) * (1 / inside + 1 / outside)))
    return bool(scores) and max(scores) > _chance_quantile(len(labels))


def _ranking(arm: Arm, p: Predictions, labels: FloatArray) -> tuple[float | None, bool]:
    """The best mean ROC AUC of an arm's classes, and whether one is better than chance."""
    if arm.score is None:
        return None, False
    metric = registry.load(METRICS, "roc_auc")
    [everything] = groups_of(None, p)
    total, best, ranks = float(labels.sum()), None, False
    for _, k in classes_of(metric.INFO, p):
        inside, outside = float(labels[k]), total - float(labels[k])
        if not inside or not outside:
            continue
        value = observe(metric, arm, everything, p, k).value
        if math.isnan(value):
            continue
        best = value if best is None else max(best, value)
        # Standard deviation of the AUC (the scaled Mann-Whitney statistic) when scores are unrelated to
        # the class.
        spread = math.sqrt((total + 1) / (12 * inside * outside))
        ranks |= (value - 0.5) / spread > _chance_quantile(len(labels))
    return best, ranks


def _chance_quantile(classes: int) -> float:
    """Normal quantile of `_LEVEL`, one-sided, with Bonferroni's correction over the classes."""
    return NormalDist().inv_cdf(1 - _LEVEL / (1 if classes == 2 else classes))


def sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe the rows of `nothing_learnt` in sentences, one for all arms with the same fault.

    Args:
        rows: rows of `nothing_learnt`; for arms that were not trained, `trained` is False.
    """
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["kind"], row["class"], row.get("trained", True)), []).append(row)
    return [_sentence(kind, name, some, idle=not t) for (kind, name, t), some in grouped.items()]


def _sentence(kind: str, name: str | None, rows: Sequence[Mapping[str, Any]], *, idle: bool) -> str:
    """One sentence about arms of one fault."""
    arms = [str(row["arm"]) for row in rows]
    who = _listed(arms)
    verb = "predicts" if len(arms) == 1 else "predict"
    runs = " in each of its runs" if len(arms) == 1 else " in each of their runs"
    runs = runs if max(row["runs"] for row in rows) > 1 else ""
    what = f"'{name}'" if name is not None else "a single class"
    advice = "" if idle else " (if it was trained, raise the learning rate or the number of epochs)"
    nothing = "an untrained model may do this" if idle else f"nothing was learnt{advice}"
    if kind == "commonest":
        figures = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
        them = "it separates" if len(arms) == 1 else "they separate"
        be = "is" if len(arms) == 1 else "are"
        return (
            f"{who} {be} no better than a prediction of {what} for every row (accuracy {figures}; the share "
            f"of {what} is {rows[0]['share']:.3f}), and {them} the classes no better than chance: "
            f"{nothing}; differences between arms, or their absence, mean little."
        )
    if kind == "ranking":
        figures = ", ".join(f"{row['roc_auc']:.3f}" for row in rows)
        their = "its" if len(arms) == 1 else "their"
        return (
            f"{who} {verb} {what} for every row{runs}, though {their} scores rank the rows better than "
            f"chance (ROC AUC {figures}): differences of 0 in metrics of predicted classes mean nothing; "
            "judge by roc_auc, log_loss or brier_score, or by another threshold."
        )
    return f"{who} {verb} {what} for every row{runs}: {nothing}; differences of 0 mean nothing."


def run_sentences(rows: Sequence[Mapping[str, Any]], *, study: bool = False) -> list[str]:
    """Describe the rows of `runs_not_learnt` in sentences, one for all runs of an arm with the same fault.

    Args:
        rows: rows of `runs_not_learnt`.
        study: whether the runs are those of a study, whose file names the seeds.
    """
    grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["arm"], row["kind"], row["class"]), []).append(row)
    return [_run_sentence(some, study=study) for some in grouped.values()]


def _run_sentence(rows: Sequence[Mapping[str, Any]], *, study: bool) -> str:
    """One sentence about runs of one arm and one fault."""
    first, several = rows[0], len(rows) > 1
    runs = _listed([f"'{row['run']}'" for row in rows])
    who = f"{'Runs' if several else 'Run'} {runs} of {first['arm']}"
    figures = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
    low, high = f"{first['others_low']:.3f}", f"{first['others_high']:.3f}"
    others = f"{first['others']} runs have {low} to {high}" if first["others"] > 1 else f"run has {low}"
    if first["kind"] == "commonest":
        be = "are" if several else "is"
        fault = f"{be} no better than a prediction of '{first['class']}' for every row"
    else:
        fault = f"{'predict' if several else 'predicts'} '{first['class']}' for every row"
    ranks = ", though the scores rank the rows better than chance" if first["kind"] == "ranking" else ""
    it, counts, widens = ("they", "count", "widen") if several else ("it", "counts", "widens")
    again = (
        f"remove {'these seeds' if several else 'this seed'} from 'seeds' and run the study again (nothing "
        "is trained again)"
        if study
        else f"audit files without {'these runs' if several else 'this run'} of any arm, so that runs pair"
    )
    return (
        f"{who} {fault} (accuracy {figures}), while the arm's other {others}{ranks}. {it.capitalize()} "
        f"{counts} in the arm's means and {widens} the variance over runs, and with it the intervals; no run "
        f"is left out. To see what rests on {'them' if several else 'it'}, {again}; report both results."
    )


def warning(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the warning that names arms that learnt nothing; empty where every arm has learnt."""
    arms = [str(row["arm"]) for row in rows if row["kind"] != "ranking" and row.get("trained", True)]
    return f"Nothing was learnt by {_listed(arms)} (see the remarks). " if arms else ""


def _listed(arms: Sequence[str]) -> str:
    """Names of arms in a sentence."""
    return arms[0] if len(arms) == 1 else f"{', '.join(arms[:-1])} and {arms[-1]}"
