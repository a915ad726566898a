"""Messages with descriptors over a socket that keeps their bounds, in an event loop. What comes is untrusted: it may come
from a function."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST = 1 << 16
_RIGHTS = 4
_CREDENTIALS = 2  # SCM_CREDENTIALS, which the socket module does not name
_PASS_CREDENTIALS = 16


class Channel:
    """``on_message`` gets (message, descriptors, pid of the sender); descriptors are its own then. ``on_end`` is called
    once, when the other side has gone or talks nonsense."""

    def __init__(
        self, on_message: Callable[[Mapping[str, Any], list[int], int], None], on_end: Callable[[], None]
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        """``theirs``: to be handed over, then closed by ``handed``."""
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _PASS_CREDENTIALS, 1)
        self._open = True
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def handed(self) -> None:
        self.theirs.close()

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Raises OSError when the other side has gone, or has not read for long."""
        socket.send_fds(self._socket, [json.dumps(message).encode()], list(fds))

    def _readable(self) -> None:
        space = socket.CMSG_SPACE(4 * _RIGHTS) + socket.CMSG_SPACE(12)
        try:
            data, ancillary, _, _ = self._socket.recvmsg(MOST, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        fds, pid = _taken(ancillary)
        message = _decoded(data)
        if message is None:
            for fd in fds:
                os.close(fd)
            self.close()
            self._on_end()
        else:
            self._on_message(message, fds, pid)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self.theirs.close()


def _decoded(data: bytes) -> Mapping[str, Any] | None:
    try:
        message = json.loads(data) if data else None
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _taken(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[list[int], int]:
    fds: array.array[int] = array.array("i")
    pid = 0
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        elif level == socket.SOL_SOCKET and kind == _CREDENTIALS:
            pid = struct.unpack("3i", data)[0]
    return list(fds), pid
