"""The processes that train: started, spoken to, and known to have died."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any

from evenhand.errors import InputError
from evenhand.study.workers.channel import JsonConnection, Message

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
    # Otherwise glibc gives large tensors back to the system and asks for them anew, page by page: an eighth
    # of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32 - 1),
    "MALLOC_TRIM_THRESHOLD_": str(2**32 - 1),
    "MALLOC_TOP_PAD_": str(2**26),
}
ALONE, GROUP = "evenhand.study.workers.worker", "evenhand.study.workers.group"
_STDERR_TAIL_BYTES = 4000
_SHUTDOWN_TIMEOUT = 5.0


class WorkerProcess:
    """A process that trains, seen from the one that started it.

    Attributes:
        line: to it.
    """

    def __init__(self, module: str = ALONE, *more: str) -> None:
        """Start it.

        Args:
            module: what it runs, with the number of its socket.
            more: further arguments.
        """
        ours, theirs = socket.socketpair()
        self.line = JsonConnection(ours)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the worker)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno()), *more],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": _path(), "PYTHONSAFEPATH": "1"},
            )

    def send(self, message: Message) -> None:
        """Ask for something."""
        self.line.send(message)

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for answers; None when the worker has died."""
        return self.line.receive()

    def answer(self) -> dict[str, Any]:
        """Wait for one answer.

        Raises:
            InputError: the system ended the worker.
            RuntimeError: the worker died by a fault of its own.
        """
        answer = self.line.message()
        if answer is None:
            raise self.end_of_all()
        return answer

    def end_of_all(self) -> Exception:
        """The error that ends the study when a worker dies that has no run: models were being prepared."""
        told = self.exit_reason("prepared the models")
        if self._process.returncode >= 0:
            return RuntimeError(told)
        return InputError(
            f"{told} Take fewer processes at once (--workers 1), a smaller model, or a machine with more "
            "memory. What is finished is kept; the same command goes on from there."
        )

    def exit_reason(self, what: str = "trained") -> str:
        """How the worker died, with the last that it printed.

        Args:
            what: the process did.
        """
        self._process.wait()
        code = self._process.returncode
        why = f"ended by itself with code {code}"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            why = f"was killed by {name}"
        if code == -signal.SIGKILL:
            why += "; the system kills a process in this way when memory runs out"
        said = last_words(self._output)
        self.close()
        return f"{said}The process that {what} {why}."

    def close(self) -> None:
        """End the process: by closing its line, and by force where it does not listen."""
        self.line.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_SHUTDOWN_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def last_words(output: IO[bytes]) -> str:
    """The last lines that a process printed into a file; empty when it said nothing."""
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _STDERR_TAIL_BYTES))
    said = output.read().decode("utf-8", "replace").strip()
    return f"{said}\n" if said else ""


def ready(workers: Sequence[WorkerProcess], seconds: float) -> list[WorkerProcess]:
    """Wait until some workers have something to say, or have died."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.line, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select(seconds)]


def _path() -> str:
    """Where this process finds its modules, for another one."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)
