"""The log: numbered files, appended to, each record a head and a body. What is synced is there after a crash.

Bodies of S3's objects stay where they were logged: an object keeps a ``Ref`` to it, and a file goes when nothing of it is
needed any more. A record that a crash cut off is cut off when the log is opened.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

FULL = 64 << 20
"""Bytes after which a new file is begun."""
_HEADER = struct.Struct(">IIQ")  # checksum of all that follows it; length of head, of body


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Where a body lies."""

    segment: int
    offset: int
    length: int


class Full(Exception):
    """The disk takes no more; nothing was written."""


class Segments:
    """Any thread may append and read; files are begun while nobody appends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[int, int] = {}
        self._lock, self._appending = threading.Lock(), threading.Lock()
        self.numbers = sorted(int(path.stem) for path in folder.glob("*.log"))
        self.current = 0
        self._end = 0

    def begin(self) -> int:
        """A new file, which the next records go to; its number. Raises OSError."""
        number = (self.numbers[-1] if self.numbers else 0) + 1
        path = self.path(number)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with self._lock:
            self._files[number] = file
            self.numbers.append(number)
            self.current, self._end = number, 0
        sync_folder(self._folder)
        return number

    def resume(self) -> None:
        """Go on with the last file, which is empty."""
        number = self.numbers[-1]
        self._files[number] = os.open(self.path(number), os.O_RDWR | os.O_CLOEXEC)
        self.current, self._end = number, 0

    @property
    def size(self) -> int:
        """Bytes of the file that records go to."""
        return self._end

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> list[Ref]:
        """Where the body of each lies. Raises Full, and has written nothing then."""
        with self._appending:
            return self._append(records)

    def _append(self, records: Sequence[tuple[bytes, bytes]]) -> list[Ref]:
        file, at = self._files[self.current], self._end
        pieces: list[bytes] = []
        refs = []
        for head, body in records:
            lengths = struct.pack(">IQ", len(head), len(body))
            checksum = zlib.crc32(body, zlib.crc32(head, zlib.crc32(lengths)))
            pieces += (_HEADER.pack(checksum, len(head), len(body)), head, body)
            refs.append(Ref(self.current, at + _HEADER.size + len(head), len(body)))
            at += _HEADER.size + len(head) + len(body)
        try:
            _write_all(file, [piece for piece in pieces if piece], self._end)
        except OSError as error:
            os.ftruncate(file, self._end)
            raise Full(error.strerror or str(error)) from error
        self._end = at
        return refs

    def sync(self) -> None:
        """Raises OSError: then nobody knows what is on the disk, and this process has to end."""
        os.fdatasync(self._files[self.current])

    def read(self, ref: Ref, offset: int = 0, length: int | None = None) -> bytes:
        """The body, or a part of it."""
        wanted = ref.length - offset if length is None else min(length, ref.length - offset)
        pieces, file, at = [], self._file(ref.segment), ref.offset + offset
        while wanted > 0:
            piece = os.pread(file, wanted, at)
            if not piece:
                raise OSError(f"{self.path(ref.segment)} ends before byte {ref.offset + ref.length}")
            pieces.append(piece)
            at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def records(self, number: int) -> Iterator[tuple[bytes, bytes, Ref]]:
        """Head and body of each whole record of a file, in order, until its end or the first that is cut off."""
        file, at = self._file(number), 0
        end = os.fstat(file).st_size
        while at + _HEADER.size <= end:
            checksum, head_size, body_size = _HEADER.unpack(os.pread(file, _HEADER.size, at))
            start = at + _HEADER.size
            if start + head_size + body_size > end:
                break
            head = self.read(Ref(number, start, head_size))
            ref = Ref(number, start + head_size, body_size)
            body = self.read(ref)
            lengths = struct.pack(">IQ", head_size, body_size)
            if zlib.crc32(body, zlib.crc32(head, zlib.crc32(lengths))) != checksum:
                break
            yield head, body, ref
            at = ref.offset + body_size

    def drop(self, number: int) -> None:
        """Nothing of the file is needed any more."""
        with self._lock:
            file = self._files.pop(number, None)
            self.numbers.remove(number)
        if file is not None:
            os.close(file)
        self.path(number).unlink(missing_ok=True)

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def length(self, number: int) -> int:
        return os.fstat(self._file(number)).st_size

    def path(self, number: int) -> Path:
        """Of a file of the log."""
        return self._folder / f"{number:010d}.log"

    def _file(self, number: int) -> int:
        with self._lock:
            file = self._files.get(number)
            if file is None:
                file = self._files[number] = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
            return file


def _write_all(file: int, pieces: list[bytes], at: int) -> None:
    """writev takes what it likes: the rest once more."""
    while pieces:
        some = pieces[:512]
        done = os.pwritev(file, some, at)
        at += done
        for index, piece in enumerate(some):
            if done < len(piece):
                pieces = [piece[done:], *pieces[index + 1 :]]
                break
            done -= len(piece)
        else:
            pieces = pieces[len(some) :]


def sync_folder(folder: Path) -> None:
    """Makes new names in it durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
