"""`resplit`: every seed draws its own split, and its runs are held to that."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from evenhand.errors import InputError
from evenhand.spec.identity import run_id
from evenhand.spec.study import Dataset, Split
from evenhand.study import data
from evenhand.study.plan import plan
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, study
from tests.study.test_data import posts, write


def resplit(**more):
    return study(**more).model_copy(update={"resplit": True})


def test_a_seed_splits_as_a_study_of_that_split_does():
    spec, arm = resplit(seeds=(1, 2)), ARMS[0]
    ids = [run_id(spec, spec.models[0], arm, seed) for seed in (1, 2)]
    for seed, found in zip((1, 2), ids, strict=True):
        dataset = spec.dataset.model_copy(update={"split": Split(seed=seed)})
        one = study(seeds=(seed,)).model_copy(update={"dataset": dataset})
        assert run_id(one, one.models[0], arm, seed) == found
        loaded = data.load(spec.dataset, (1, 2))
        assert data.split_of_seed(loaded.facts, seed)["parts"] == data.load(dataset).facts["parts"]
        assert loaded.of(seed).parts.test.tolist() == data.load(dataset).of(seed).parts.test.tolist()
    assert len({p.run_id for p in plan(spec)} | {p.run_id for p in plan(study(seeds=(1, 2)))}) == 16


def test_the_digest_of_all_rows_does_not_depend_on_the_seeds():
    one, two = (data.load(posts(), seeds).facts for seeds in ((1,), (1, 2)))
    assert one["sha256"] == two["sha256"] != data.load(posts(seed=1), (1,)).facts["sha256"]
    assert one["splits"]["1"] == two["splits"]["1"] != two["splits"]["2"]
    assert data.sizes(two) == {"train": 140, "validation": 20, "test": 40}


def test_every_run_has_the_rows_of_its_seed(tmp_path):
    made = run_study(resplit(arms=ARMS[:2], seeds=(1, 2, 3)), tmp_path, trainer=TRAINER, workers=2)
    facts = made.folder.read_data()
    for folder in (made.folder.path / "runs").glob("*-*"):
        record = json.loads((folder / "run.json").read_text())
        split = data.split_of_seed(facts, record["seed"])
        assert record["data"] == {"sha256": facts["sha256"], "train_ids_sha256": split["train_ids_sha256"]}
        rows = pq.read_table(folder / "predictions.parquet").to_pylist()
        for part in ("validation", "test"):
            assert [r["example_id"] for r in rows if r["split"] == part] == split["parts"][part]
    assert len({split["train_ids_sha256"] for split in facts["splits"].values()}) == 3
    assert made.result["dataset"]["parts"] == {"train": 280, "validation": 40, "test": 80}
    more = run_study(resplit(arms=ARMS[:2], seeds=(1, 2, 3, 4)), tmp_path, trainer=TRAINER, workers=2)
    assert sorted(more.folder.read_data()["splits"]) == ["1", "2", "3", "4"]


def test_leaks_are_looked_for_in_every_split(tmp_path):
    path = tmp_path / "t.csv"
    dataset = write(path, leak=True)
    config = dataset.config.model_copy(update={"split_column": None})
    free = Dataset(name="table", config=config)
    leaking = {seed for seed in range(8) if not isinstance(_loads(free, seed), data.Loaded)}
    assert 0 < len(leaking) < 8
    with pytest.raises(InputError) as caught:
        data.load_checked(free, tuple(range(8)))
    told = caught.value.complaints
    assert {int(t.partition("split of seed ")[2].partition(":")[0]) for t in told} == leaking


def _loads(dataset, seed):
    try:
        return data.load_checked(dataset, (seed,))
    except InputError as error:
        return error


def test_rows_with_parts_of_their_own_cannot_be_split_anew(tmp_path):
    with pytest.raises(InputError, match="it has fixed parts"):
        data.load(write(tmp_path / "t.csv", leak=False), (1,))


def test_a_folder_from_before_there_were_such_studies_is_gone_on_with(tmp_path):
    one = run_study(study(arms=ARMS[:1], seeds=(1,)), tmp_path, trainer=TRAINER)
    stored = json.loads(one.folder.study.read_text())
    del stored["resplit"], stored["dataset"]["smoke"]
    one.folder.study.write_text(json.dumps(stored))
    assert run_study(study(arms=ARMS[:1], seeds=(1, 2)), tmp_path, trainer=TRAINER).failed == []
    with pytest.raises(InputError, match=r"resplit: True \(was False\)"):
        run_study(resplit(arms=ARMS[:1], seeds=(1,)), tmp_path, trainer=TRAINER)
