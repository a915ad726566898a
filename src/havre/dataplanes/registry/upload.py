"""One upload: what has arrived, in memory while it is little and nobody was told that it is kept, else in its file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HELD = 1 << 20
"""Bytes that stay in memory while one request brings them: most blobs come whole, and then one file is made and written
at once."""
IOV_MAX = 1024


class Upload:
    """``hasher`` is None when it has to be made anew from the file (after a restart), ``file`` -1 while the file is not
    open. ``held`` is None once there is a file. ``at`` is when something last happened, seconds since the epoch."""

    __slots__ = ("algorithm", "at", "file", "hasher", "held", "id", "lock", "offset", "path")

    def __init__(
        self,
        id: str,
        path: Path,
        at: float,
        kind: str,
        hasher: Any,
        *,
        offset: int = 0,
        held: list[bytes] | None = None,
    ) -> None:
        self.id = id
        self.path = path
        self.at = at
        self.algorithm = kind
        self.hasher = hasher
        self.offset = offset
        self.held = held
        self.file = -1
        self.lock = asyncio.Lock()

    def absorb(self, pieces: Sequence[bytes], check: Callable[[str], None]) -> None:
        """Append. What could not be written whole is taken back. ``check`` is told of each step on disk beforehand. Raises
        OSError."""
        size = sum(map(len, pieces))
        if self.held is not None and self.offset + size <= HELD:
            self.held += pieces
        else:
            if self.held is not None:
                self.spill(check)
            check("write")
            self.reopen()
            try:
                write_all(self.file, pieces)
            except OSError:
                os.ftruncate(self.file, self.offset)
                raise
        for piece in pieces:
            if self.hasher is not None:
                self.hasher.update(piece)
        self.offset += size

    def spill(self, check: Callable[[str], None]) -> None:
        """What is held goes into the file. Raises OSError, and then it is still held."""
        if self.held is None:
            return
        check("create")
        file = create(self.path)
        try:
            check("write")
            write_all(file, self.held)
        except OSError:
            os.close(file)
            self.path.unlink()
            raise
        self.file, self.held = file, None

    def reopen(self) -> None:
        if self.file < 0:
            self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def shut(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def take_file(self) -> int:
        """The open file, which is the caller's to close from now on. Raises OSError."""
        self.reopen()
        file, self.file = self.file, -1
        return file

    def discard(self) -> None:
        self.shut()
        if self.held is None:
            self.path.unlink(missing_ok=True)
        self.held = None


def create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)


def write_all(file: int, pieces: Sequence[bytes]) -> None:
    done = os.writev(file, pieces) if 0 < len(pieces) <= IOV_MAX else 0
    for piece in pieces:
        view = memoryview(piece)[done:]
        done = max(done - len(piece), 0)
        while view:
            view = view[os.write(file, view) :]
