"""`evenhand.audit`, `compare`, `attack` and `plan`: commands as functions, options as keywords."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from evenhand.errors import CallError
from evenhand.judge.result import AuditResult
from evenhand.judge.run import run_any
from evenhand.judge.settings import MARGIN, SCORING, Settings
from evenhand.tables.schema import Columns, Source

if TYPE_CHECKING:
    from evenhand.judge.privacy.result import AttackResult

Names = str | Iterable[str]


def audit(
    predictions: Source,
    *,
    by: Names = (),
    memberships: Names = (),
    intersect: Iterable[Names] = (),
    label: str = "label",
    prediction: str = "prediction",
    score: str | None = None,
    id: str = "example_id",
    positive: object = None,
    weight: str | None = None,
    cluster: str | None = None,
    arm: str | None = None,
    run: str | None = None,
    where: Mapping[str, object] | None = None,
    split: str | None = None,
    name: Names = (),
    reference: str | None = None,
    inner: bool = False,
    resplit: bool = False,
    metric: Names = (),
    primary: Names = (),
    average: Names = (),
    margin: float | Mapping[str, float] = MARGIN,
    alpha: float = 0.05,
    error_rate: str = "familywise",
    attribute_weights: Mapping[str, float] | None = None,
    min_group_size: int = 10,
    rng: int = 0,
    scoring: str = SCORING,
) -> AuditResult:
    """Audit predictions by group; or generated texts, or likelihoods of answer options.

    Args:
        predictions: a path, a glob, a table (pandas, polars, pyarrow, a dict of arrays), a list of those, or
            a dict of arm names to those. Each file or table is an arm; `arm` and `run` name the columns that
            distinguish arms and runs within one table.
        by: partition attributes, one column each.
        memberships: patterns of overlapping 0/1 columns, as `target_religion_*`.
        intersect: tuples of attributes whose crossings are audited, as `("race", "sex")`.
        label: column of true labels.
        prediction: column of predicted labels; may be absent when there are scores.
        score: column of scores, or a pattern with one column per class.
        id: column that names an example: the same in every arm.
        positive: the positive class of binary labels; None means 1 or true.
        weight: column of weights.
        cluster: column of clusters: rows of one cluster are not independent.
        arm: column that names the arm of a row.
        run: column that names the run of a row within its arm.
        where: only rows with these values are read.
        split: value of the `split` column to read; `test` where there is such a column.
        name: names of the arms, one per file; equal names are runs of one arm.
        reference: the arm that the others are compared with; the first one by default.
        inner: keep the examples that all arms and runs have, instead of refusing unequal sets.
        resplit: every run has its own rows, the same in every arm, as in a study that draws a new split per
            seed. Metrics are computed per run, and their means over runs are compared.
        metric: metrics and disparities to compute; all by default.
        primary: metrics and disparities whose comparisons get verdicts, chosen before the data are seen.
        average: methods (arms `lora[...]`) or patterns of arms (`lora*`) to compare with the reference on
            average, as a family of their own; chosen before the data are seen.
        margin: the largest harmless difference of rates, or margins by metric.
        alpha: the error rate of a family: 1 - alpha is the simultaneous level of its intervals.
        error_rate: `familywise`, the probability of any wrong claim, or `false_discovery`, the expected share
            of wrong ones among the claims.
        attribute_weights: share of alpha, relative to the others, of the primary comparisons of an attribute,
            with `overall` for those of all rows; each is then a family of its own. None: one family.
        min_group_size: smaller groups get no verdict and are left out of disparities.
        rng: seed of all random draws.
        scoring: for likelihood tables, the scoring behind the headline numbers; all scorings are compared.

    Returns:
        Rates, disparities, comparisons and the verdict; `.to_dict()` is the command's JSON.

    Raises:
        InputError: the call or a table is wrong; all problems are reported together.

    Example:
        >>> import numpy as np, evenhand
        >>> rng = np.random.default_rng(0)
        >>> label = rng.integers(0, 2, 400)
        >>> table = {"label": label, "prediction": label, "sex": np.repeat(["F", "M"], 200)}
        >>> evenhand.audit(table, by="sex").rates[0]["value"]
        1.0
    """
    columns = replace(
        _columns(by, memberships, intersect, where, name),
        label=label,
        prediction=prediction,
        score=score,
        id=id,
        positive=None if positive is None else str(positive),
        weight=weight,
        cluster=cluster,
        arm=arm,
        run=run,
        split=split,
        inner=inner,
        resplit=resplit,
    )
    margins = dict(margin) if isinstance(margin, Mapping) else {}
    settings = Settings(
        reference=reference,
        metrics=_names(metric),
        primary=_names(primary),
        average=_names(average),
        margin=MARGIN if isinstance(margin, Mapping) else margin,
        margins=MappingProxyType(margins),
        alpha=alpha,
        error_rate=error_rate,
        attribute_weights=attribute_weights or {},
        min_group_size=min_group_size,
        rng=rng,
    )
    return run_any(predictions, columns, settings, scoring=scoring)


def compare(reference: object, candidate: object, *, by: Names = (), **options: Any) -> AuditResult:  # noqa: ANN401
    """Compare two arms on the same rows: `audit` of {"reference": reference, "candidate": candidate}.

    Args:
        reference: a path, a glob or a table.
        candidate: the same for the arm to judge.
        by: partition attributes.
        options: the other keywords of `audit`.
    """
    taken = {"name", "reference", "arm"} & set(options)
    if taken:
        what = ", ".join(sorted(taken))
        raise CallError(
            f"compare does not accept {what}: its two arguments are the two arms. Use audit instead."
        )
    return audit({"reference": reference, "candidate": candidate}, by=by, **options)


def attack(
    signals: Source,
    *,
    by: Names = (),
    memberships: Names = (),
    intersect: Iterable[Names] = (),
    id: str = "example_id",
    arm: str | None = None,
    run: str | None = None,
    where: Mapping[str, object] | None = None,
    name: Names = (),
    reference: str | None = None,
    attack: Names = (),
    fpr: float | Iterable[float] = (),
    primary: Names = (),
    margin: float = MARGIN,
    alpha: float = 0.05,
    min_group_size: int = 10,
    permutations: int = 499,
    rng: int = 0,
) -> AttackResult:
    """Run membership inference attacks on signals, by group, and compare arms.

    Args:
        signals: a path, a folder (a study's, or one of signals), a glob, a table (pandas, polars, pyarrow, a
            dict of arrays), a list of those, or a dict of arm names to those. A row has `in_training`,
            `loss`, and perhaps `margin`, `base_loss`, `model_role`.
        by: partition attributes, one column each.
        memberships: patterns of overlapping 0/1 columns, as `target_religion_*`.
        intersect: tuples of attributes whose crossings are attacked too.
        id: column that names an example.
        arm: column that names the arm; `arm` where there is such a column.
        run: column that names the run; `run` where there is such a column.
        where: only rows with these values are read.
        name: names of the arms, one per file.
        reference: the arm that the others are compared with; the first one by default.
        attack: `loss`, `lira`, `lira_t` or `rmia`, with options as `lira[mode=offline]`; by default `loss`,
            `lira` and `rmia`, where signals and references allow.
        fpr: false positive rates at which true positive rates are reported; 0.001, 0.01 and 0.05 by default.
        primary: measures whose comparisons get verdicts, chosen before the data are seen.
        margin: the largest harmless difference.
        alpha: 1 - alpha is the simultaneous level of a family of intervals.
        min_group_size: groups with fewer members or non-members get no verdict.
        permutations: of membership, for the control of disparate vulnerability.
        rng: seed of all random draws.

    Returns:
        Rates, comparisons, curves and the verdict; `.to_dict()` is the command's JSON.

    Raises:
        InputError: the call or a table is wrong; all problems are reported together.

    Example:
        >>> import numpy as np, evenhand
        >>> member = np.arange(400) % 2
        >>> table = {"in_training": member, "loss": 1.0 - 0.5 * member + np.linspace(0, 0.1, 400)}
        >>> evenhand.attack(table).rates[0]["value"]
        1.0
    """
    from evenhand.judge.attacks import parse_attack  # noqa: PLC0415  (numpy, pydantic)
    from evenhand.judge.privacy.run import run_attack  # noqa: PLC0415
    from evenhand.judge.privacy.settings import PrivacySettings  # noqa: PLC0415

    columns = replace(_columns(by, memberships, intersect, where, name), id=id, arm=arm, run=run)
    rates = (fpr,) if isinstance(fpr, int | float) else tuple(fpr)
    settings = PrivacySettings(
        attacks=tuple(parse_attack(text) for text in _names(attack)),
        reference=reference,
        primary=_names(primary),
        margin=margin,
        alpha=alpha,
        min_group_size=min_group_size,
        rng=rng,
        permutations=permutations,
        **({"fprs": rates} if rates else {}),
    )
    return run_attack(signals, columns, settings)


def plan(
    result: Any,  # noqa: ANN401  (a path, a document, or an object with one)
    *,
    power: float = 0.8,
    difference: float | None = None,
) -> dict[str, Any]:
    """Plan runs and rows from the result of an audit or of a study.

    Args:
        result: a path of a result.json or of a study's folder, a document (schema `evenhand.audit/1` or
            `evenhand.study/1`), an `AuditResult`, or a `StudyResult`.
        power: probability with which a question is to be decided.
        difference: true loss that is to be called harm; None takes the margin of each metric.

    Returns:
        The command's JSON, schema `evenhand.plan/1`: for each primary comparison the power now, and the
        fewest runs and rows that reach `power`, at the estimated variances and at their upper limits.

    Raises:
        InputError: the result cannot be read, or compares nothing; the difference is below a margin.
    """
    from evenhand.judge.planning.forecast import Goal, check_goal, forecast  # noqa: PLC0415
    from evenhand.judge.planning.read import pilots_of, read_result  # noqa: PLC0415

    name = "result"
    if isinstance(result, str | os.PathLike):
        path = Path(result)
        path = path / "result.json" if path.is_dir() else path
        name, result = str(path), read_result(path)
    elif not isinstance(result, Mapping):
        result = result.to_dict() if hasattr(result, "to_dict") else result.result
    goal, pilots = Goal(power, difference), pilots_of(result, name)
    check_goal(goal, pilots)
    kind = "study" if str(result["schema"]).startswith("evenhand.study/") else "result"
    return forecast(pilots, goal, {"kind": kind, "name": name})


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _columns(
    by: Names,
    memberships: Names,
    intersect: Iterable[Names],
    where: Mapping[str, object] | None,
    name: Names,
) -> Columns:
    """Build the columns from the keywords that `audit` and `attack` share; one value may stand for a list."""
    crossings = [intersect] if isinstance(intersect, str) else intersect
    return Columns(
        by=_names(by),
        memberships=_names(memberships),
        intersect=tuple(_crossing(attributes) for attributes in crossings),
        where=tuple((str(k), str(v)) for k, v in (where or {}).items()),
        names=_names(name),
    )


def _crossing(attributes: Names) -> tuple[str, ...]:
    parts = attributes.split(",") if isinstance(attributes, str) else attributes
    return tuple(p.strip() for p in parts)
