"""Expected calibration error: torchmetrics' and netcal's, and where the two differ."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import NO_NETCAL, SHARED, netcal_ece, torchmetrics_ece

from evenhand import metrics

ece = metrics.expected_calibration_error
needs_netcal = pytest.mark.skipif(bool(NO_NETCAL), reason=NO_NETCAL or "netcal is here")
FLOAT32 = 1e-6
LOGITS = SHARED / "data" / "cifar10_logits"


def close(ours, theirs, within=1e-12):
    return ours == pytest.approx(theirs, rel=1e-9, abs=within)


def binary(count, *, seed, bins=15):
    """Labels and P(1): continuous, at every bin's edge, and with exact zeros."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        n = int(rng.integers(5, 400))
        s = rng.beta(0.4, 0.4, size=n)
        if number % 2:
            s = rng.choice(np.arange(bins) / bins, size=n)
        yield (rng.random(n) < s * 0.8).astype(int), s


def off_edges(s, bins):
    """Scores at edges moved right: torch's and numpy's linspace round some edges up, each others."""
    at = np.isclose(s * bins, np.round(s * bins))
    return np.where(at, s + 1e-12, s)


def several(count, classes, *, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        s = rng.dirichlet(np.full(classes, 0.5), size=int(rng.integers(5, 400)))
        yield rng.integers(0, classes, len(s)), s


def test_reference_vector():
    call = ([0, 0, 1, 1, 1], [0.25, 0.25, 0.55, 0.75, 0.75])
    assert close(ece(*call, bins=2), 0.29)
    assert torchmetrics_ece(*call, bins=2) == pytest.approx(0.29)


@pytest.mark.parametrize("bins", [1, 2, 10, 15, 50])
def test_binary_equals_torchmetrics(bins):
    for y, s in binary(60, seed=bins, bins=bins):
        if bins > 2:
            s = off_edges(s, bins)
        assert close(ece(y, s, bins=bins), torchmetrics_ece(y, s, bins), within=1e-9)


@needs_netcal
@pytest.mark.parametrize("bins", [1, 2, 10, 15, 49, 50, 100])
def test_binary_equals_netcal(bins):
    """Zeros and ones included, and edges where numpy's linspace has them at k / bins."""
    exact = np.array_equal(np.linspace(0, 1, bins + 1), np.arange(bins + 1) / bins)
    assert exact or bins != 15
    for y, s in binary(60, seed=bins, bins=bins):
        s = s if exact else off_edges(s, bins)
        s[:2] = [1.0, 0.0]
        assert close(ece(y, s, bins=bins), netcal_ece(y, s, bins))


@pytest.mark.parametrize(("edge", "bins"), [(0.58, 50), (0.6, 10), (0.3, 10), (0.29, 100), (0.2, 15)])
def test_a_bin_has_its_left_edge(edge, bins):
    """Also where score * bins rounds down (0.58 * 50) or numpy's linspace rounds the edge up (0.6 of 10)."""
    inside, below = edge + 0.5 / bins, edge - 0.5 / bins
    assert close(ece([0, 1], [edge, inside], bins=bins), abs(edge + inside - 1) / 2)
    assert close(ece([0, 1], [edge, below], bins=bins), (edge + 1 - below) / 2)


def test_one_is_in_the_last_bin():
    """As in netcal and numpy's histogram; torchmetrics gives scores of exactly 1 a bin of their own."""
    y, s = [1, 0], [0.95, 1.0]
    assert close(ece(y, s), (0.95 + 1 - 1) / 2)
    assert torchmetrics_ece(y, s) == pytest.approx((0.05 + 1) / 2)
    if not NO_NETCAL:
        assert close(netcal_ece(y, s), (0.95 + 1 - 1) / 2)


def test_top_label_equals_torchmetrics():
    """Within float32, to which torchmetrics turns the confidence of a top label."""
    for y, s in several(60, 4, seed=1):
        assert close(ece(y, s), torchmetrics_ece(y, s), FLOAT32)
        assert close(ece(y, s, kind="top_label", bins=10), torchmetrics_ece(y, s, bins=10), FLOAT32)


@needs_netcal
def test_top_label_equals_netcal():
    for y, s in several(60, 4, seed=2):
        assert close(ece(y, s), netcal_ece(y, s))


def test_top_label_of_two_classes():
    for y, s in binary(40, seed=3):
        s = np.clip(s * 0.991 + 0.003, 0.01, 0.99)  # not at edges
        both = np.stack([1 - s, s], axis=1)
        assert close(ece(y, s, kind="top_label"), torchmetrics_ece(y, both), FLOAT32)
        assert close(ece(y, both, kind="top_label"), torchmetrics_ece(y, both), FLOAT32)
        assert close(ece(y, both), torchmetrics_ece(y, s))
        assert close(ece(y, both, pos_label=0), torchmetrics_ece(1 - y, 1 - s))


def test_one_class_against_the_others():
    for y, s in several(20, 3, seed=4):
        value = torchmetrics_ece((y == 2).astype(int), s[:, 2])
        assert close(ece(y, s, kind="binary", pos_label=2), value)


def test_equal_mass():
    """Where rows divide evenly into bins and no two scores are equal, equal mass can mean one thing only."""
    rng = np.random.default_rng(5)
    for bins in (2, 5, 15):
        for _ in range(20):
            s = rng.random(bins * int(rng.integers(2, 20)))
            y = rng.integers(0, 2, len(s))
            assert close(ece(y, s, bins=bins, binning="equal_mass"), _by_rank(y, s, bins))


def _by_rank(y, s, bins):
    parts = np.array_split(np.argsort(s), bins)
    return sum(abs(s[part].mean() - y[part].mean()) * len(part) for part in parts) / len(s)


def test_equal_mass_keeps_equal_scores_together():
    y, s = [0, 1, 0, 1, 1, 1], [0.5, 0.5, 0.5, 0.5, 0.9, 0.9]
    assert close(ece(y, s, bins=2, binning="equal_mass"), (4 * 0 + 2 * 0.1) / 6)


@pytest.mark.parametrize("binning", ["equal_width", "equal_mass"])
def test_weights_are_copies(binning):
    rng = np.random.default_rng(6)
    for y, s in binary(40, seed=7):
        times = rng.integers(0, 4, len(y))
        times[0] = 1
        copies = ece(np.repeat(y, times), np.repeat(s, times), binning=binning)
        assert close(ece(y, s, sample_weight=times, binning=binning), copies)


def test_difference():
    for y, s in binary(20, seed=8):
        s = off_edges(s, 15)
        g = np.arange(len(y)) % 3
        values = [torchmetrics_ece(y[g == k], s[g == k]) for k in range(3)]
        ours = metrics.expected_calibration_error_difference(y, s, sensitive_features=g)
        assert close(ours, max(values) - min(values))
        ours = metrics.expected_calibration_error_difference(
            y, s, sensitive_features=g, bins=5, binning="equal_mass"
        )
        values = [ece(y[g == k], s[g == k], bins=5, binning="equal_mass") for k in range(3)]
        assert close(ours, max(values) - min(values))


@pytest.mark.shared
@pytest.mark.skipif(
    not LOGITS.is_dir(), reason="no data/cifar10_logits in a `shared` folder beside the checkout"
)
@pytest.mark.parametrize(
    ("name", "right"), [("lenet-5-cifar-10", 0.5308), ("wideresnet-16-4-cifar-10", 0.9109)]
)
def test_real_networks(name, right):
    """The files hold probabilities, a quarter of those of the larger network exactly 1."""
    with np.load(LOGITS / f"{name}.npz", allow_pickle=False) as file:
        y, s = file["ground_truth"], file["predictions"].astype(np.float64)
    assert close(metrics.accuracy(y, s.argmax(axis=1)), right)
    if not NO_NETCAL:
        assert close(ece(y, s), netcal_ece(y, s))
        assert close(ece(y, s, kind="binary", pos_label=3), netcal_ece((y == 3).astype(int), s[:, 3]))
    below_one = np.minimum(s, 1 - 1e-7)  # torchmetrics gives ones a bin of their own
    assert close(ece(y, below_one), torchmetrics_ece(y, below_one), within=2e-5)  # sums in float32
