"""A connection between two processes that exchanges messages as lines of JSON."""

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
        """Return the file descriptor, for `select`."""
        return self._end.fileno()

    def send(self, message: Message) -> None:
        """Send a message; a closed connection is detected later, when the answer is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._end.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for complete messages, which may be an empty list; None if the other end is closed."""
        try:
            data = self._end.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def message(self) -> dict[str, Any] | None:
        """Wait for a single message; None if the other end is closed."""
        while True:
            messages = self.receive()
            if messages is None or messages:
                return messages[0] if messages else None

    def close(self) -> None:
        """Close the connection, which ends a worker at the other end."""
        self._end.close()
