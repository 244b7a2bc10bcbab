"""A worker process as seen by its parent: start it, exchange messages, detect its death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from typing import IO

from evenhand.errors import InputError
from evenhand.study.workers.messages import Answer, Refused, receive

#: One thread each: workers fill the cores, and sums do not depend on the number of workers. Without a hash
#: seed, the order of sets, and with it that of names in saved files, would differ between processes.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
    # Otherwise glibc returns the memory of large tensors to the system and requests it again page by page,
    # which takes an eighth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32 - 1),
    "MALLOC_TRIM_THRESHOLD_": str(2**32 - 1),
    "MALLOC_TOP_PAD_": str(2**26),
}
WORKER_MODULE, GROUP_MODULE = "evenhand.study.workers.worker", "evenhand.study.workers.group"
_STDERR_TAIL_BYTES = 4000
SHUTDOWN_TIMEOUT = 5.0


class WorkerProcess:
    """A process that trains, as seen by its parent.

    Attributes:
        connection: to exchange messages with it.
    """

    def __init__(self, module: str = WORKER_MODULE, *more: str) -> None:
        """Start the process.

        Args:
            module: the module to run; its first argument is the file descriptor of a connection.
            more: further arguments.
        """
        self.connection, theirs = Pipe()
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

    def answer(self) -> Answer:
        """Wait for an answer while no run is in progress.

        Raises:
            InputError: the worker refuses the study, or the system killed it.
            RuntimeError: the worker crashed.
        """
        answer: Answer | None = receive(self.connection)
        if answer is None:
            raise self.end_of_all()
        if isinstance(answer, Refused):
            raise InputError(answer.complaints)
        return answer

    def end_of_all(self) -> Exception:
        """Build the error that ends the study when a worker dies without a run, while models are prepared."""
        reason = self.exit_reason("prepared the models")
        if self._process.returncode >= 0:
            return RuntimeError(reason)
        return InputError(
            f"{reason} Use fewer processes at once (--workers 1), a smaller model, or a machine with more "
            "memory. Finished runs are kept; repeat the command to continue."
        )

    def exit_reason(self, what: str = "trained") -> str:
        """Describe how the worker died, with its last output.

        Args:
            what: the activity of the process.
        """
        self._process.wait()
        code = self._process.returncode
        why = f"exited with code {code}"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            why = f"was killed by {name}"
        if code == -signal.SIGKILL:
            why += "; the system kills a process in this way when memory runs out"
        output = read_output_tail(self._output)
        self.close()
        return f"{output}The process that {what} {why}."

    def close(self) -> None:
        """Stop the process: close its connection, and kill it if it does not end."""
        self.connection.close()
        stop(self._process)
        self._output.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it if it does not end."""
    process.terminate()
    try:
        process.wait(SHUTDOWN_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_output_tail(output: IO[bytes]) -> str:
    """Return the end of a process's output, at most 4,000 bytes; empty without output."""
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _STDERR_TAIL_BYTES))
    text = output.read().decode("utf-8", "replace").strip()
    return f"{text}\n" if text else ""


def _path() -> str:
    """Return this process's module search path as a PYTHONPATH for a worker."""
    return os.pathsep.join(entry or os.getcwd() for entry in sys.path)
