"""A line between two processes: one message of JSON after the other."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from typing import Any

Message = Mapping[str, Any]


class JsonConnection:
    """One end of a socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._buffer = end, b""

    def fileno(self) -> int:
        """Its number, for `select`."""
        return self._end.fileno()

    def send(self, message: Message) -> None:
        """Say something; that the other end has died is noticed when its answer is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for messages, none when the last one is not whole yet; None when the other end is closed."""
        try:
            data = self._end.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def message(self) -> dict[str, Any] | None:
        """Wait for a message, where one alone is expected; None when the other end is closed."""
        while True:
            messages = self.receive()
            if messages is None or messages:
                return messages[0] if messages else None

    def close(self) -> None:
        """Close it, which ends the process at the other end if that is a worker."""
        self._end.close()
