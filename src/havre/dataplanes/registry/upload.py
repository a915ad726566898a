"""One upload: what has arrived, in memory while it is little and nobody was told that it is kept, else in its file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from havre.core.images.names import HASHES
from havre.dataplanes.registry.writing import STEP, write_all

FLUSH = 32 << 20
"""Bytes after which the disk is told to begin."""
HELD = 1 << 20
"""Bytes that stay in memory while one request brings them: most blobs come whole, and then a thread hashes them and writes
one file at once."""


class Unsynced(OSError):
    """The disk failed to take what had been written. What the page cache still shows may never reach it, and a second sync
    would not say so: only sending it again helps."""


class Upload:
    """``name`` is that of its file in ``folder``. ``hasher`` knows what is in the file; it is None while there is none, and
    when it has to be made anew from it (after a restart). ``file`` is -1 while the file is not open. ``held`` is None once
    there is a file. ``at`` is when something last happened, seconds since the epoch. ``dirty`` counts bytes since
    ``flushing``, the last sync on the way, began."""

    __slots__ = (
        "algorithm", "at", "dirty", "file", "flushing", "folder", "hasher", "held", "id", "lock", "name", "offset",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        file: tuple[Path, str],
        at: float,
        kind: str = "sha256",
        *,
        offset: int = 0,
        held: list[bytes] | None = None,
    ) -> None:
        self.id = id
        self.folder, self.name = file
        self.at = at
        self.algorithm = kind
        self.hasher: Any = None
        self.offset = offset
        self.held = held
        self.file = -1
        self.dirty = 0
        self.flushing: Future[None] | None = None
        self.lock = asyncio.Lock()

    @property
    def path(self) -> Path:
        """Made when it is wanted: most uploads are small, and never have a file."""
        return self.folder / self.name

    def absorb(self, pieces: Sequence[bytes], check: Callable[[str], None]) -> None:
        """Append. What could not be written whole is taken back. ``check`` is told of each step on disk beforehand. Raises
        OSError."""
        size = sum(map(len, pieces))
        if self.held is not None and self.offset + size <= HELD:
            self.held += pieces
        else:
            self.spill(check)
            check("write")
            self.reopen()
            try:
                write_all(self.file, pieces)
            except OSError:
                os.ftruncate(self.file, self.offset)
                raise
            for piece in pieces:
                self.hasher.update(piece)
        self.offset += size
        self.dirty += size

    def flush(self, pool: Executor) -> None:
        """Let the disk begin with what has come, so that little is left to wait for at the end."""
        before = self.flushing
        if self.file >= 0 and self.dirty >= FLUSH and (before is None or (before.done() and not before.exception())):
            self.dirty = 0
            self.flushing = pool.submit(_sync, os.dup(self.file))

    def sync(self) -> None:
        """All that has arrived is in the file, durably; the file is closed. Raises Unsynced, and OSError when there is no
        file yet and none can be made. Waits for the disk."""
        if self.flushing is not None and (error := self.flushing.exception()) is not None:
            raise Unsynced(*error.args)
        try:
            _sync(self.take_file())
        except OSError as error:
            raise Unsynced(*error.args) from error

    def spill(self, check: Callable[[str], None]) -> None:
        """What is held goes into the file, and more will follow. Raises OSError, and then it is still held."""
        if self.held is not None:
            hasher = self._hash_held(self.algorithm)
            self._write_held(check)
            self.hasher = hasher

    def spill_all(self, check: Callable[[str], None]) -> None:
        """The same where nothing will follow."""
        if self.held is not None:
            self._write_held(check)

    def _write_held(self, check: Callable[[str], None]) -> None:
        check("create")
        file = create(self.path)
        try:
            check("write")
            write_all(file, self.held or [], STEP)
        except OSError:
            os.close(file)
            self.path.unlink()
            raise
        self.file, self.held = file, None

    def digest(self, kind: str) -> str:
        """Of all that has arrived. The file is read if it was not hashed by this algorithm while it came. Raises OSError."""
        if self.held is not None:
            return f"{kind}:{self._hash_held(kind).hexdigest()}"
        if self.hasher is None or self.algorithm != kind:
            self.rehash(kind)
        return f"{kind}:{self.hasher.hexdigest()}"

    def rehash(self, kind: str) -> None:
        """From the file. Raises OSError."""
        with open(self.path, "rb", buffering=0) as file:
            self.hasher = hashlib.file_digest(file, kind)
        self.algorithm = kind

    def _hash_held(self, kind: str) -> Any:
        hasher = HASHES[kind]()
        for piece in self.held or ():
            hasher.update(piece)
        return hasher

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


def _sync(file: int) -> None:
    try:
        os.fdatasync(file)
    finally:
        os.close(file)


def create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
