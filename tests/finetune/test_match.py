"""Sizes of methods: the chosen value is the nearest of all, and its count is that of the real model."""

from dataclasses import replace

import pytest

from evenhand import registry
from evenhand.errors import InputError
from evenhand.finetune.estimate.match import ParameterCounter, nearest_value
from evenhand.finetune.modeling import adapt
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

#: Of models with two layers of this width; of entries, some more.
GOALS = (300, 1200)
METHODS = [n for n in registry.names(adapt.METHODS) if registry.load(adapt.METHODS, n).INFO.size]


def real_count(base, job):
    """Trained parameters of the real adapted model, without the number of those of the head."""
    model = adapt.build_adapted_model(base, job)
    head = sum(p.numel() for part in base.roles.head for p in base.model.get_submodule(part).parameters())
    return sum(p.numel() for p in model.parameters() if p.requires_grad) - head


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["vit", "bert"])
def test_the_nearest_of_all_values_is_chosen(kind, name, goal, folders, data):
    rows, folder = data(kind), folders[kind]
    method = registry.load(adapt.METHODS, name)
    task = rows.examples.task
    if task not in method.INFO.inputs:
        return
    fitting = {"bits": 8} if name == "qlora" else {}  # 4 bits need wider layers
    job = worlds.job_of(folder, name, options=method.Config(**fitting).model_dump(mode="json"))
    base = load_base(job.model, task, rows.examples.classes, "float32")
    value, count = ParameterCounter(job.model, task).nearest(job, goal)

    def of(v):
        return replace(job, options={**job.options, method.INFO.size: v})

    assert count == real_count(base, of(value))
    values = [value] if "frequency" in method.INFO.size else _values(base, job, method)
    counts = {v: real_count(base, of(v)) for v in values if not adapt.complaints(base, of(v))}
    ratios = {v: max(n, goal) / max(min(n, goal), 1) for v, n in counts.items()}
    assert ratios[value] == min(ratios.values())
    if "frequency" in method.INFO.size:
        assert abs(count - goal) <= 2  # one entry for each of the four layers


def _values(base, job, method):
    """All values that the option may have, up to the width of the model."""
    if method.INFO.size == "layer_fraction":
        return [0.5, 1.0]
    options, valid = job.options, []
    for value in range(1, worlds.WIDTH + 1):
        try:
            method.Config(**{**options, method.INFO.size: value})
        except ValueError:
            continue
        valid.append(value)
    if job.method == "oft":  # takes the nearest divisor of others
        valid = [v for v in valid if worlds.WIDTH % v == 0]
    return valid


def test_one_value_is_chosen_for_a_count_that_no_longer_grows():
    counted = []

    def count(value):
        counted.append(value)
        return min(value, 40) * 10

    assert nearest_value(range(1, 769), count, 410) == 40
    assert len(set(counted)) < 25
    assert nearest_value(range(1, 769), count, 1) == 1
    assert nearest_value([7], count, 1) == 7


@pytest.mark.parametrize("goal", [1, 5, 99, 100, 101, 5000, 10**9])
def test_the_search_finds_the_nearest_of_counts_that_grow_or_fall(goal):
    for values, count in (
        (range(1, 400), lambda v: 12 * v + 5),
        (range(1, 400), lambda v: 100_000 // v),
        (range(1, 400), lambda v: v * v * 3),
        ([1, 2, 4, 8, 16], lambda v: 100 // v),
        ([0.25, 0.5, 0.75, 1.0], lambda v: int(v * 5000)),
    ):
        found = nearest_value(values, count, goal)
        best = min(max(count(v), goal) / min(count(v), goal) for v in values)
        assert max(count(found), goal) / min(count(found), goal) == best


def test_a_model_without_the_targets_is_refused(folders):
    job = worlds.job_of(folders["vit"], "lora", options={"targets": ["mlp.gate"]})
    with pytest.raises(InputError, match=r"the model has no role 'mlp.gate'"):
        ParameterCounter(job.model, "image").nearest(job, 100)
