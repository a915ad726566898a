"""Descriptors that the node leaves with the supervisor: when it is killed, its successor goes on with them.

So a container that writes finds its line's socket open, and what it wrote meanwhile is still in it (systemd has the same
by the name of descriptor store). ``_socket`` is what ``socket`` is made of; the rest of that is not needed here, and this
program counts its milliseconds.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import sys

_MESSAGE = 64


class Shelf:
    """``+name`` with a descriptor leaves it, ``-name`` takes it back; a message each."""

    def __init__(self) -> None:
        self._here, self._there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._here.setblocking(False)
        self._kept: dict[str, int] = {}

    def fileno(self) -> int:
        return self._here.fileno()

    def receive(self) -> None:
        """All that has come."""
        while True:
            try:
                message, ancillary, _, _ = self._here.recvmsg(_MESSAGE, _socket.CMSG_SPACE(4))
            except BlockingIOError:
                return
            descriptors = [
                int.from_bytes(data[:4], sys.byteorder) for _, kind, data in ancillary if kind == _socket.SCM_RIGHTS
            ]
            self._note(message.decode("ascii", "replace"), descriptors)

    def _note(self, message: str, descriptors: list[int]) -> None:
        name = message[1:]
        if message[:1] == "+" and descriptors and name not in self._kept:
            self._kept[name] = descriptors.pop()
        elif message[:1] == "-" and name in self._kept:
            descriptors.append(self._kept.pop(name))
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def environment(self) -> dict[str, str]:
        """What tells the node where to leave them, and which there are."""
        kept = " ".join(f"{name}:{descriptor}" for name, descriptor in self._kept.items())
        return {"HAVRE_SHELF": str(self._there.fileno()), "HAVRE_LEFT": kept}

    def descriptors(self) -> tuple[int, ...]:
        """All that are not for other children."""
        return (self._here.fileno(), self._there.fileno(), *self._kept.values())
