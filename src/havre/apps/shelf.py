"""Sockets that outlive this process: left with the supervisor (cli/shelf.py), found again by the next node."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence

log = logging.getLogger("havre.node")


class SharedShelf:
    """Without a supervisor (``HAVRE_SHELF`` is not set) nothing is kept."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        channel = environment.get("HAVRE_SHELF", "")
        self._channel = socket.socket(fileno=int(channel)) if channel else None
        self._names: dict[int, str] = {}
        self._found: list[socket.socket] = []
        self._n = 0
        for entry in environment.get("HAVRE_LEFT", "").split():
            name, _, descriptor = entry.partition(":")
            left = socket.socket(fileno=int(descriptor))
            self._names[left.fileno()] = name
            self._found.append(left)
        if self._channel is not None:
            self._channel.setblocking(False)

    def found(self) -> Sequence[socket.socket]:
        """What a former life left; each time this is asked, the same."""
        return tuple(self._found)

    def leave(self, sock: socket.socket) -> None:
        self._n += 1
        name = self._names[sock.fileno()] = f"{os.getpid()}-{self._n}"
        self._send(f"+{name}", [sock.fileno()])

    def take(self, sock: socket.socket) -> None:
        """Before it is closed."""
        if name := self._names.pop(sock.fileno(), ""):
            self._send(f"-{name}", [])

    def _send(self, message: str, descriptors: list[int]) -> None:
        if self._channel is None:
            return
        try:
            socket.send_fds(self._channel, [message.encode()], descriptors)
        except OSError as error:  # it is not kept then: what is in it is lost if this process is killed
            log.warning("the supervisor takes no descriptor: %s", error)
