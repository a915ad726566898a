"""A terminal in memory, with a shell that knows three words: ``echo``, ``exit`` and ``stty size``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from havre.kernel.errors import Permanent


class FakeTerminal:
    """``alive`` says whether its container still runs. What it does not know is answered as a shell does."""

    def __init__(self, columns: int, rows: int, alive: Callable[[], bool]) -> None:
        self.size = (columns, rows)
        self.closed = False
        self._alive = alive
        self._typed = b""
        self._written: deque[bytes] = deque([b"$ "])
        self._code: int | None = None
        self._changed = asyncio.Event()

    async def read(self) -> bytes:
        while not self._written:
            if self._code is not None or not self._alive():
                return b""
            self._changed.clear()
            await self._changed.wait()
        return self._written.popleft()

    async def write(self, data: bytes) -> None:
        if self._code is not None or not self._alive():
            return
        for byte in data.replace(b"\r", b"\n").splitlines(keepends=True):
            self._say(byte.replace(b"\n", b"\r\n"))
            self._typed += byte
            if self._typed.endswith(b"\n"):
                words, self._typed = self._typed.split(), b""
                self._do(words)

    def _do(self, words: list[bytes]) -> None:
        match words:
            case [b"exit", *code]:
                self._code = int(code[0]) if code else 0
            case [b"echo", *said]:
                self._say(b" ".join(said) + b"\r\n$ ")
            case [b"stty", b"size"]:
                self._say(b"%d %d\r\n$ " % (self.size[1], self.size[0]))
            case []:
                self._say(b"$ ")
            case _:
                self._say(b"sh: " + words[0] + b": not found\r\n$ ")
        self._changed.set()

    def _say(self, data: bytes) -> None:
        self._written.append(data)
        self._changed.set()

    def wake(self) -> None:
        """Its container has changed."""
        self._changed.set()

    async def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    async def ended(self) -> int:
        while self._code is None and self._alive() and not self.closed:
            self._changed.clear()
            await self._changed.wait()
        return 137 if self._code is None else self._code

    async def close(self) -> None:
        self.closed = True
        if self._code is None:
            self._code = 129
        self._changed.set()


def check(command: tuple[str, ...]) -> None:
    """Raises Permanent for a command without which there is nothing to run."""
    if not command:
        raise Permanent("No exec command specified")
