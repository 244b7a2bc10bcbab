"""Faults of the machine stop a study at once, with a sentence, and are no run's failure."""

from __future__ import annotations

import errno
import os

import pytest

from evenhand.errors import InputError
from evenhand.store.folder import StudyFolder
from evenhand.study.faults import disk_fault, memory_fault
from evenhand.study.results.status import read_status
from evenhand.study.run import run_study
from tests.study.studies import ARMS, TRAINER, log, study

SPEC = study(arms=ARMS[:2], seeds=(1, 2))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGBUS"])
def test_a_worker_that_is_killed_while_it_prepares(stand_in, tmp_path, name):
    (stand_in / "die_preparing").write_text(name)
    with pytest.raises(
        InputError, match=f"The process that prepared the models was killed by {name}"
    ) as said:
        run_study(SPEC, tmp_path, trainer=TRAINER, workers=2)
    assert "--workers 1" in str(said.value)
    assert not (tmp_path / "small").exists()


def test_memory_that_runs_out_while_models_are_prepared(stand_in, tmp_path):
    (stand_in / "no_memory").write_text("1")
    with pytest.raises(InputError, match="The memory ran out while the models were prepared"):
        run_study(SPEC, tmp_path, trainer=TRAINER, executor="local")


def test_a_full_disk_stops_at_the_first_model_and_the_rest_goes_on_later(stand_in, tmp_path, undisturbed):
    (stand_in / "no_room").write_text("lora[rank=1] 1")
    with pytest.raises(InputError, match="No space left on device") as said:
        run_study(SPEC, tmp_path, trainer=TRAINER, executor="local")
    assert "does not count as failed" in str(said.value)
    begun = [line for line in log(stand_in) if line.startswith("begin")]
    assert begun == ["begin full 1", "begin lora[rank=1] 1"]
    states = {p.title: s.status for p, s in read_status(type(undisturbed.folder)(tmp_path / "small")).runs}
    assert list(states.values()).count("finished") == 1
    assert list(states.values()).count("planned") == 3
    assert [p.name for p in (tmp_path / "small" / "runs").iterdir() if p.name.startswith(".")] == []
    (stand_in / "no_room").unlink()
    assert run_study(SPEC, tmp_path, trainer=TRAINER, executor="local").failed == []


def test_what_libraries_say_of_a_full_disk():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = RuntimeError("cannot save")
    wrapped.__cause__ = full
    assert disk_fault(full) == disk_fault(wrapped) == "No space left on device"
    assert disk_fault(ValueError("I/O error (os error 122)")) == os.strerror(errno.EDQUOT)
    assert disk_fault(FileNotFoundError("training did not write predictions.parquet")) is None
    assert disk_fault(ValueError("the loss is nan")) is None
    assert memory_fault(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    assert not memory_fault(RuntimeError("shapes do not fit"))


def test_models_that_do_not_fit_the_disk_are_refused_before_training(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(StudyFolder, "free", lambda folder: 3_500_000_000)
    (stand_in / "stored").write_text("1000000000")
    with pytest.raises(InputError, match=r"about 4.00 GB of models, but only 3.50 GB are free"):
        run_study(SPEC, tmp_path, trainer=TRAINER, executor="local")
    assert not (tmp_path / "small").exists()
    run_study(study(arms=ARMS[:1], seeds=(1, 2)), tmp_path, trainer=TRAINER, executor="local")
    run_study(SPEC, tmp_path, trainer=TRAINER, executor="local")  # two are done, and two fit
