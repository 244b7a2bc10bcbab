"""The processes that train: started, spoken to, and known to have died."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

#: One thread each: workers fill the cores, and sums come out the same however many workers there are.
#: Without a hash seed the order of sets, and with it that of names in saved files, differs by process.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
}
_LAST_WORDS = 4000
_PATIENCE = 5.0


class Worker:
    """A process that trains, seen from the one that started it.

    Attributes:
        line: the socket to it, for `select`.
    """

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        self._buffer = b""
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "evenhand.study.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": _path()},
            )

    def send(self, message: Mapping[str, Any]) -> None:
        """Ask for something; a worker that has died is noticed when its answer is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.line.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for answers; None when the worker has died."""
        try:
            data = self.line.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self) -> dict[str, Any]:
        """Wait for one answer.

        Raises:
            RuntimeError: the worker died.
        """
        while True:
            answers = self.receive()
            if answers is None:
                raise RuntimeError(self.death())
            if answers:
                return answers[0]

    def death(self) -> str:
        """How the worker died, with the last that it printed."""
        self._process.wait()
        code = self._process.returncode
        why = f"ended by itself with code {code}"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            why = f"was killed by {name}"
        if code == -signal.SIGKILL:
            why += "; the system kills a process in this way when memory runs out"
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - _LAST_WORDS))
        said = self._output.read().decode("utf-8", "replace").strip()
        self.close()
        return (f"{said}\n" if said else "") + f"The process that trained {why}."

    def close(self) -> None:
        """End the process: by closing its line, and by force where it does not listen."""
        self.line.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def ready(workers: Sequence[Worker], seconds: float) -> list[Worker]:
    """Wait until some workers have something to say, or have died."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.line, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select(seconds)]


def _path() -> str:
    """Where this process finds its modules, for another one."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)
