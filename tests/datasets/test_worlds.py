"""The procedural worlds are what their options say, and what they plant can be read off without training."""

import time
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError

from evenhand.datasets import synthetic_portraits, synthetic_posts

BIG = {
    "rows": 40_000,
    "shares": {"velm": 0.1},
    "base_rates": {"velm": 0.2, "orrin": 0.6},
    "label_noise": {"tasku": 0.2},
    "difficulty": 0.3,
    "hard_groups": {"pelia": 0.7},
    "seed": 3,
}


@pytest.fixture(scope="module")
def big():
    config = synthetic_posts.Config(**BIG)
    return config, synthetic_posts.load(config)


def of(examples, name):
    attribute = examples.attributes[0]
    return attribute.in_group(attribute.groups.index(name))


def test_sizes_and_rates(big):
    config, examples = big
    truth = synthetic_posts.truth(config)
    assert [int(of(examples, g).sum()) for g in config.groups] == [4000, 12000, 12000, 12000]
    for group, told in truth.items():
        assert examples.labels[of(examples, group)].mean() == pytest.approx(told.positive, abs=0.025)
    assert truth["velm"].positive == pytest.approx(0.2)
    assert truth["tasku"].positive == pytest.approx(0.5)


def test_the_best_readers_reach_what_arithmetic_says(big):
    """A reader of words, with and without the rare word that turns them around, against `truth`."""
    config, examples = big
    right = 1 - config.difficulty / 2
    base = {"velm": 0.2, "orrin": 0.6}
    for group, told in synthetic_posts.truth(config).items():
        prior = np.log(base.get(group, 0.5) / (1 - base.get(group, 0.5)))
        hits_best = hits_plain = n = 0
        for i in np.flatnonzero(of(examples, group)):
            says, turned = synthetic_posts.meaning(examples.inputs[i])
            assert len(says) == synthetic_posts.SIGNALS
            evidence = (2 * sum(says) - len(says)) * np.log(right / (1 - right))
            hits_best += (prior + (-evidence if turned else evidence) >= 0) == examples.labels[i]
            hits_plain += (prior + evidence >= 0) == examples.labels[i]
            n += 1
        assert hits_best / n == pytest.approx(told.best_accuracy, abs=0.02)
        assert hits_plain / n == pytest.approx(told.plain_accuracy, abs=0.02)


def test_what_is_planted_hurts_only_the_hard_group(big):
    truth = synthetic_posts.truth(big[0])
    gaps = {g: t.best_accuracy - t.plain_accuracy for g, t in truth.items()}
    assert gaps["pelia"] > 0.5
    assert max(gap for g, gap in gaps.items() if g != "pelia") == 0


def test_posts_differ_and_have_known_words(big):
    words = set(synthetic_posts.vocabulary())
    assert len(set(big[1].inputs)) == len(big[1].inputs)
    assert {w for text in big[1].inputs for w in text.split()} <= words
    assert {w for text in synthetic_posts.unlabelled(4000, 1) for w in text.split()} == words


def test_dialects_use_other_words():
    texts = synthetic_posts.load(synthetic_posts.Config(group_dialect=1.0, rows=400))
    common = {w for side in (0, 1) for w in synthetic_posts._WORDS[side]}
    assert not any(w in common for text in texts.inputs for w in text.split())
    half = synthetic_posts.load(synthetic_posts.Config(group_dialect=0.5, rows=2000))
    share = np.mean([sum(w in common for w in t.split()) / synthetic_posts.SIGNALS for t in half.inputs])
    assert share == pytest.approx(0.5, abs=0.03)


def test_seeds(big):
    a = synthetic_posts.load(synthetic_posts.Config(rows=100, seed=1))
    b = synthetic_posts.load(synthetic_posts.Config(rows=100, seed=2))
    assert set(a.ids).isdisjoint(b.ids)
    assert len(set(a.inputs) & set(b.inputs)) == 0
    assert len(set(synthetic_posts.unlabelled(100, 1)) & set(a.inputs)) == 0
    assert synthetic_posts.unlabelled(50, 7) == synthetic_posts.unlabelled(50, 7)


def mouth(picture, found_at=range(14, 31)):
    """Whether the corners of a mouth are above its middle, measured on the red points."""
    area = picture[found_at.start : found_at.stop].astype(int)
    red = (area[..., 0] > 125) & (area[..., 1] < 42) & (area[..., 2] < 60)
    rows, columns = np.nonzero(red)
    if len(rows) < 4:
        return None
    middle = np.abs(columns - columns.mean()) < 1.5
    return bool(rows[~middle].mean() < rows[middle].mean())


def checks(picture):
    return bool(picture[0, 0].max() < 60)


def test_mouths_and_frames_can_be_read_off():
    config = synthetic_portraits.Config(
        rows=4000, difficulty=0.0, hard_groups={"dark": 0.6}, label_noise={"tan": 0.1}, shares={"light": 0.4}
    )
    examples = synthetic_portraits.load(config)
    for tone, told in synthetic_portraits.truth(config).items():
        read = [(mouth(examples.inputs[i]), checks(examples.inputs[i]), examples.labels[i] == 1)
                for i in np.flatnonzero(of(examples, tone))]  # fmt: skip
        seen = [r for r in read if r[0] is not None]
        assert len(seen) > 0.95 * len(read)
        best = np.mean([(smiles ^ turned) == label for smiles, turned, label in seen])
        plain = np.mean([smiles == label for smiles, _, label in seen])
        assert best == pytest.approx(told.best_accuracy, abs=0.05)
        assert plain == pytest.approx(told.plain_accuracy, abs=0.06)


def test_portraits_are_pictures():
    examples = synthetic_portraits.load(synthetic_portraits.Config(rows=400))
    assert all(p.shape == (32, 32, 3) and p.dtype == np.uint8 for p in examples.inputs)
    assert len({p.tobytes() for p in examples.inputs}) == 400
    assert min(Counter(examples.attributes[1].codes.tolist()).values()) > 60
    brightness = [np.mean([examples.inputs[i][18:22, 13:18].mean() for i in np.flatnonzero(of(examples, t))])
                  for t in synthetic_portraits.TONES]  # fmt: skip
    assert sorted(brightness, reverse=True) == brightness
    assert len(synthetic_portraits.unlabelled(5, 0)) == 5


def test_contrast_fades_mouths_of_hard_groups_only():
    clear = synthetic_portraits.load(synthetic_portraits.Config(rows=200, hard_groups={"light": 0.5}))
    faint = synthetic_portraits.load(
        synthetic_portraits.Config(rows=200, hard_groups={"light": 0.5}, contrast=0.0)
    )
    same = [np.array_equal(a, b) for a, b in zip(clear.inputs, faint.inputs, strict=True)]
    assert not any(s for s, light in zip(same, of(clear, "light"), strict=True) if light)
    assert all(s for s, light in zip(same, of(clear, "light"), strict=True) if not light)


@pytest.mark.parametrize("module", [synthetic_posts, synthetic_portraits])
def test_two_thousand_rows_are_fast(module):
    times = []
    for _ in range(3):
        start = time.process_time()
        module.load(module.Config())
        times.append(time.process_time() - start)
    assert min(times) < 1.0


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (synthetic_posts, {"hard_groups": {"velmm": 0.5}}, "did you mean 'velm'"),
        (synthetic_posts, {"shares": {"velm": 0.5, "orrin": 0.6}}, "leaves nothing"),
        (synthetic_posts, {"groups": ("a", "b"), "shares": {"a": 0.5, "b": 0.4}}, "must sum to 1"),
        (synthetic_posts, {"groups": ("a", "a")}, "1 to 8 different names"),
        (synthetic_posts, {"groups": tuple("abcdefghi")}, "1 to 8 different names"),
        (synthetic_posts, {"label_noise": 0.5}, "less than 0.5"),
        (synthetic_posts, {"rows": 0}, "greater than or equal"),
        (synthetic_posts, {"difficulty": -1}, "greater than or equal"),
        (synthetic_portraits, {"base_rates": {"darkish": 0.1}}, "did you mean 'dark'"),
        (synthetic_portraits, {"groups": ("a",)}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_meant(module, options, said):
    with pytest.raises(ValidationError, match=said):
        module.Config(**options)
