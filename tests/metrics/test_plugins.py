"""The contract that every metric and every disparity keeps; new files are found by themselves."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys

import numpy as np
import pytest

import evenhand
from evenhand import metrics, registry
from evenhand.judge.disparities import DisparityInfo
from evenhand.judge.metrics import Estimate, MetricInfo, Sample

METRICS = "evenhand.judge.metrics"
DISPARITIES = "evenhand.judge.disparities"
every_metric = pytest.mark.parametrize("name", registry.names(METRICS))
every_disparity = pytest.mark.parametrize("name", registry.names(DISPARITIES))


def sample(seed=0, n=12):
    """Rows of both labels and both predictions."""
    rng = np.random.default_rng(seed)
    one = rng.random(n)
    true = np.array(([0, 1] * n)[:n], dtype=np.int64)
    answer = np.array(([0, 0, 1, 1] * n)[:n], dtype=np.int64)
    return Sample(true, answer, rng.uniform(0.5, 2, n), 1, np.stack([1 - one, one], axis=1))


def rows(given, keep):
    return Sample(given.true[keep], given.answer[keep], given.weight[keep], given.positive, given.proba[keep])


def test_there_are_plugins():
    assert len(registry.names(METRICS)) >= 13
    assert len(registry.names(DISPARITIES)) >= 9


@every_metric
def test_metric_info(name):
    module = registry.load(METRICS, name)
    info = module.INFO
    assert isinstance(info, MetricInfo)
    assert info.title
    assert info.reference
    assert info.direction in {-1, 0, 1}
    assert info.needs in {"prediction", "score"}
    assert info.classes in {"whole", "one_vs_rest"}
    assert info.inference in {"score", "wald", "permutation"}
    assert info.range[0] < info.range[1]
    if info.margin:
        assert info.range == (0, 1)
    if info.complement:
        other = registry.load(METRICS, info.complement).INFO
        assert other.complement == name
        assert other.direction == -info.direction
    assert module.__doc__.partition("\n\n")[0].endswith(".")
    assert inspect.getdoc(module.compute)
    assert list(inspect.signature(module.compute).parameters) == ["sample"]


@every_metric
def test_metric_value(name):
    module = registry.load(METRICS, name)
    for seed in range(20):
        given = sample(seed)
        found = module.compute(given)
        assert isinstance(found, Estimate)
        assert type(found.value) is float
        assert module.INFO.range[0] <= found.value <= module.INFO.range[1]
        assert found.reason == ""
        assert found.influence.shape == given.true.shape
        if module.INFO.complement:
            other = registry.load(METRICS, module.INFO.complement).compute(given)
            assert found.value + other.value == pytest.approx(1, abs=1e-12)


@every_metric
def test_metric_influence(name):
    """Influence values are the slopes of the estimate in the weights: every variance rests on them."""
    module = registry.load(METRICS, name)
    given = sample(1)
    found = module.compute(given)
    if module.INFO.inference == "permutation":
        assert np.isnan(found.influence).all()
        return
    for row in range(len(given.true)):
        step = np.zeros(len(given.true))
        step[row] = 1e-6
        up, down = (
            module.compute(dataclasses.replace(given, weight=given.weight + s * step)).value for s in (1, -1)
        )
        assert found.influence[row] == pytest.approx((up - down) / 2e-6, abs=1e-7)
    if module.INFO.inference == "score":
        shares = np.sum(given.weight * found.numerator) / np.sum(given.weight * found.denominator)
        assert found.value == pytest.approx(shares, abs=1e-15)


@every_metric
def test_metric_of_nothing(name):
    """No rows, or rows that weigh nothing: NaN and a reason, never 0."""
    module = registry.load(METRICS, name)
    empty = rows(sample(), np.empty(0, dtype=np.int64))
    weightless = dataclasses.replace(sample(), weight=np.zeros(12))
    for given in (empty, weightless):
        found = module.compute(given)
        assert np.isnan(found.value)
        assert found.reason
        assert found.influence.shape == given.true.shape


@every_disparity
def test_disparity_info(name):
    module = registry.load(DISPARITIES, name)
    info = module.INFO
    assert isinstance(info, DisparityInfo)
    assert info.title
    assert info.reference
    assert info.direction in {-1, 1}
    assert info.form in {"gap", "ratio", "worst", "size_fair"}
    assert info.combine in {"max", "mean", "min"}
    assert set(info.of) <= set(registry.names(METRICS))
    assert info.range[0] < info.range[1]
    assert module.__doc__.partition("\n\n")[0].endswith(".")


@every_disparity
def test_disparity_value(name):
    module = registry.load(DISPARITIES, name)
    rng = np.random.default_rng(2)
    for _ in range(50):
        values = {metric: rng.uniform(0.01, 1, 4) for metric in module.INFO.of}
        found = module.INFO.value(values)
        assert isinstance(found, float)
        assert module.INFO.range[0] <= found <= module.INFO.range[1]
        order = rng.permutation(4)
        assert module.INFO.value({m: v[order] for m, v in values.items()}) == found
        same = module.INFO.value({m: np.full(4, v[0]) for m, v in values.items()})
        best = {"gap": 0, "size_fair": 0, "ratio": 1}.get(module.INFO.form)
        assert best is None or same == best


@every_disparity
def test_disparity_is_the_functions(name):
    """The plug-in and the function of the same name join the same group values to the same number."""
    module = registry.load(DISPARITIES, name)
    function = getattr(metrics, name)
    whole = sample(3, 48)
    g = np.arange(48) // 12
    parts = [rows(whole, np.flatnonzero(g == k)) for k in range(4)]
    values = {
        m: np.array([registry.load(METRICS, m).compute(part).value for part in parts]) for m in module.INFO.of
    }
    second = whole.score if module.INFO.form == "size_fair" else whole.answer
    found = function(whole.true, second, sensitive_features=g, sample_weight=whole.weight)
    assert found == pytest.approx(module.INFO.value(values), abs=1e-12)


@pytest.mark.parametrize("name", [*registry.names(METRICS), *registry.names(DISPARITIES)])
def test_there_is_a_function_of_that_name(name):
    assert name in metrics.__all__
    function = getattr(metrics, name)
    assert inspect.getdoc(function)
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:2] in (["y_true", "y_pred"], ["y_true", "y_score"])
    assert ("sensitive_features" in parameters) is (name in registry.names(DISPARITIES))


METRIC = '''"""Lenience: the share of rows predicted positive that need not be.

P(prediction positive and label negative).

>>> lenience([0, 0, 1], [1, 0, 1])
0.3333333333333333
"""

from evenhand.judge.metrics import NO_ROWS, MetricInfo, ratio

INFO = MetricInfo(
    title="lenience",
    direction=-1,
    range=(0, 1),
    needs="prediction",
    classes="one_vs_rest",
    inference="score",
    reference="none",
)


def compute(sample):
    """sum(w [prediction positive, label negative]) / sum(w)."""
    return ratio(sample, sample.prediction & ~sample.label, None, NO_ROWS)
'''
DISPARITY = '''"""Worst lenience: of the group that has the least.

Smallest lenience of the groups.
"""

from evenhand.judge.disparities import DisparityInfo

INFO = DisparityInfo(
    title="worst lenience",
    direction=1,
    range=(0, 1),
    of=("lenience",),
    form="worst",
    combine="min",
    reference="none",
)
'''


@pytest.fixture
def new_files(tmp_path, monkeypatch):
    """A metric and a disparity, as if their files had been added to the folders of the package."""
    texts = {METRICS: ("lenience", METRIC), DISPARITIES: ("worst_lenience", DISPARITY)}
    for number, (package, (name, text)) in enumerate(texts.items()):
        folder = importlib.import_module(package)
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / f"{name}.py").write_text(text)
        monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / str(number))])
    registry.names.cache_clear()
    yield
    registry.names.cache_clear()
    for package, (name, _) in texts.items():
        sys.modules.pop(f"{package}.{name}", None)
        vars(sys.modules[package]).pop(name, None)
        vars(metrics).pop(name, None)


def test_a_new_metric_is_one_file(new_files):
    """Its function, its rates, and a disparity of it follow from the files."""
    true, answer, group = [0, 0, 1, 0] * 6, [1, 0, 1, 1] * 6, ["a", "b"] * 12
    assert metrics.lenience(true, answer) == 0.5
    assert list(inspect.signature(metrics.lenience).parameters) == [
        "y_true", "y_pred", "pos_label", "sample_weight",
    ]  # fmt: skip
    assert inspect.getdoc(metrics.lenience).startswith("P(prediction positive and label negative).")
    assert metrics.lenience.__name__ == "lenience"
    assert metrics.lenience is metrics.lenience
    assert metrics.worst_lenience(true, answer, sensitive_features=group, pos_label=1) == 0.5
    table = {"label": true, "prediction": answer, "g": group}
    names = ["lenience", "worst_lenience"]
    result = evenhand.audit(table, by="g", metric=names, primary=names[:1])
    assert [r["value"] for r in result.rates] == [0.5, 0.5, 0.5]
    assert [r["value"] for r in result.disparities] == [0.5]


def test_a_name_without_file_is_refused():
    with pytest.raises(AttributeError, match=r"module 'evenhand.metrics' has no attribute 'lenience'"):
        _ = metrics.lenience
    assert not hasattr(metrics, "_lenience")
