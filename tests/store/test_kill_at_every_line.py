"""A process is killed before each line that it would run while it does a run; another one then goes on."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

from evenhand.store.folder import StudyFolder
from evenhand.store.runs import PREDICTIONS, Attempt, Runs

ABOUT = {"data": {"sha256": "rows"}, "arm": "full"}
WATCHED = ("evenhand/store/", "evenhand/tables/io/write.py")


def do(runs):
    attempt = runs.begin("1-a")
    if not isinstance(attempt, Attempt):
        return attempt.status
    (attempt.folder / PREDICTIONS).write_bytes(b"answers")
    (attempt.folder / "adapter").mkdir()
    attempt.finish(ABOUT, {"steps": 3})
    return "done"


def killed_at(line, work):
    """Whether a process that works came as far as this line, counted from 0, and was killed there."""
    child = os.fork()
    if child == 0:
        left = line

        def watch(frame, event, _):
            nonlocal left
            if not any(part in frame.f_code.co_filename for part in WATCHED):
                return None
            if event == "line":
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
            return watch

        sys.settrace(watch)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def fresh(path):
    path.mkdir()
    return Runs(path, "rows")


def test_a_first_attempt(tmp_path):
    line = before = after = 0
    while killed_at(line, partial(do, runs := fresh(tmp_path / str(line)))):
        state = runs.look("1-a")
        assert state.status in {"planned", "interrupted", "finished"}
        assert state.fault is None, line
        if state.status == "finished":
            after += 1
            kept = (runs.folder("1-a") / "run.json").read_bytes()
            assert do(runs) == "finished"
            assert (runs.folder("1-a") / "run.json").read_bytes() == kept
        else:
            before += 1
            assert do(runs) == "done"
        assert runs.look("1-a").status == "finished"
        assert {p.name for p in runs.path.iterdir()} == {"1-a"}, line
        line += 1
    assert before > 60
    assert after > 1


def test_a_second_attempt_after_a_failure(tmp_path):
    def failed_once(path):
        runs = fresh(path)
        runs.begin("1-a").fail(ABOUT, "ValueError: no")
        return runs

    line = 0
    while killed_at(line, partial((runs := failed_once(tmp_path / str(line))).begin, "1-a", failures=1)):
        assert isinstance(runs.begin("1-a", failures=1), Attempt), line
        assert (runs.path / "1-a.failed-1" / "run.json").exists()
        line += 1
    assert line > 30


def test_a_study_that_is_begun(tmp_path):
    spec, data = {"name": "s", "dataset": {}}, {"sha256": "rows", "train_ids_sha256": "ids"}
    line = 0
    while killed_at(line, partial((folder := StudyFolder(tmp_path / str(line) / "s")).create, spec, data)):
        assert folder.complaints(spec, data) == [], line
        folder.create(spec, data)
        assert (folder.read_study(), folder.read_data()) == (spec, data)
        line += 1
    assert line > 30
