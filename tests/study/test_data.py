"""The rows of a study: what is refused before training, and what their digest depends on."""

from __future__ import annotations

import json
import pickle
import resource

import pytest

from evenhand.datasets import synthetic_posts, table
from evenhand.errors import InputError
from evenhand.spec.study import Audit, Dataset, Split
from evenhand.store.folder import StudyFolder
from evenhand.study import data
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, study


def posts(split=None, **options):
    config = synthetic_posts.Config(**{"rows": 200, **options})
    return Dataset(name="synthetic_posts", config=config, split=split or Split())


def digest(dataset):
    return data.load(dataset).facts["sha256"]


def test_the_digest_depends_on_rows_and_parts_and_on_nothing_else():
    first = digest(posts())
    assert digest(posts()) == first
    others = [
        posts(rows=201), posts(seed=1), posts(label_noise=0.2),
        posts(split=Split(seed=14)), posts(split=Split(train=0.6, validation=0.2, test=0.2)),
    ]  # fmt: skip
    assert len({first, *(digest(d) for d in others)}) == 6


def test_a_dataset_survives_its_way_to_another_process():
    dataset = posts(hard_groups={"velm": 0.2})
    assert pickle.loads(pickle.dumps(dataset)) == dataset


def write(path, leak, group=lambda i: "ab"[i % 2]):
    lines = ["name,text,label,part,group"]
    for i in range(60):
        part = ("train", "train", "validation", "test")[i // 2 % 4]
        text = "the same words" if leak and i in (0, 6) else f"words number {i}"
        lines.append(f"r{i},{text},{i % 2},{part},{group(i)}")
    path.write_text("\n".join(lines) + "\n")
    config = table.Config(path=str(path), text="text", id="name", by=("group",), split_column="part")
    return Dataset(name="table", config=config)


def test_leaks_are_refused_with_counts_and_examples(tmp_path):
    with pytest.raises(InputError) as caught:
        data.load_checked(write(tmp_path / "t.csv", leak=True))
    [said] = caught.value.complaints
    assert "1 equal texts in two parts" in said
    assert "'the same words'" in said
    assert "leaks: tell" in said
    assert data.load_checked(write(tmp_path / "t.csv", leak=False)).facts["problems"] == []


def test_leaks_can_be_told_instead(tmp_path):
    dataset = write(tmp_path / "t.csv", leak=True).model_copy(update={"leaks": "tell"})
    [said] = data.load_checked(dataset).facts["problems"]
    assert "1 equal texts in two parts" in said


def test_a_group_that_is_absent_from_test_is_told_in_the_result(tmp_path):
    dataset = write(tmp_path / "t.csv", False, group=lambda i: "c" if i in (0, 1) else "ab"[i % 2])
    spec = study(arms=ARMS[:1], seeds=(1,)).model_copy(update={"dataset": dataset})
    result = run_study(spec, tmp_path / "out", trainer=TRAINER).result
    assert result["dataset"]["problems"] == [
        "Group group=c (2 rows) has no test row, so it cannot be evaluated."
    ]


def test_a_label_that_is_missing_in_a_part_is_refused():
    with pytest.raises(InputError, match="has no row of class"):
        data.load_checked(posts(rows=60, base_rates=0.02, seed=3))


def test_a_full_disk_is_told_and_what_was_there_is_kept(stand_in, tmp_path):
    """A limit on the size of files stands for a disk without room: writing fails in the same places."""
    spec = study(arms=ARMS[:1], seeds=(1, 2))
    run_study(study(arms=ARMS[:1], seeds=(1,)), tmp_path, trainer=TRAINER)
    kept = StudyFolder(tmp_path / "small").result.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            run_study(spec, tmp_path, trainer=TRAINER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert StudyFolder(tmp_path / "small").result.read_bytes() == kept
    (stand_in / "full").write_text("full 2")
    with pytest.raises(InputError, match=r"runs: cannot be written: .*File too large"):
        run_study(spec, tmp_path, trainer=TRAINER)
    (stand_in / "full").unlink()
    assert run_study(spec, tmp_path, trainer=TRAINER).failed == []


def test_three_classes_keep_their_names(tmp_path):
    """Predictions hold the numbers of classes; results say their names."""
    lines = ["name,text,label,group"]
    lines += [f"r{i},words number {i},{('good', 'bad', 'so-so')[i % 3]},{'ab'[i % 2]}" for i in range(300)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    config = table.Config(path=str(tmp_path / "t.csv"), text="text", id="name", by=("group",))
    audit = Audit(reference="full", metric=("true_positive_rate",), primary=("true_positive_rate",))
    spec = study(arms=ARMS[:2], seeds=(1,)).model_copy(
        update={"dataset": Dataset(name="table", config=config), "audit": audit}
    )
    result = run_study(spec, tmp_path / "out", trainer=TRAINER).result
    document = result["models"][0]["audit"]
    assert document["settings"]["classes"] == ["bad", "good", "so-so"]
    for rows in (document["rates"], document["comparisons"]):
        assert {row["class"] for row in rows} == {"bad", "good", "so-so"}
    assert "(class 0)" not in json.dumps(result)
