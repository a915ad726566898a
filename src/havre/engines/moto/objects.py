"""S3's objects: their bytes lie in the log, where the requests that brought them were written down, and not in memory.

What moto takes for an object's bytes is ``Stored``: where they lie, piece by piece. Ranges, copies and uploads in parts are
made of the same pieces, so that no object is ever read to make another, however large it is.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from awscrt import checksums
from moto.s3 import models, responses
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from havre.engines.moto.segments import Full, Ref, Segments

SUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
STEP = 4 << 20
"""Bytes that are read at once."""


class Bodies:
    """``store`` gives a place to bytes; those of the request that is carried out have one already (``here``)."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._body = b""
        self._ref: Ref | None = None

    def here(self, body: bytes, ref: Ref | None) -> None:
        self._body, self._ref = body, ref

    def store(self, value: bytes) -> Ref | None:
        """None when the disk is full: the bytes stay in memory then, for the request that makes them is written down."""
        if self._ref is not None and len(value) == len(self._body) and value == self._body:
            return self._ref
        try:
            return self._segments.append([(b"", value)])[0]
        except Full:
            return None

    def read(self, ref: Ref) -> bytes:
        return self._segments.read(ref)


_bodies: Bodies


class Stored:
    """Bytes that lie in the log, as moto handles them: they have a length and can be cut."""

    __slots__ = ("length", "pieces")

    def __init__(self, pieces: Iterable[Ref]) -> None:
        self.pieces = tuple(pieces)
        self.length = sum(piece.length for piece in self.pieces)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, wanted: slice) -> Stored:
        start, stop, _ = wanted.indices(self.length)
        cut, at = [], 0
        for piece in self.pieces:
            first, last = max(start - at, 0), min(stop - at, piece.length)
            if first < last:
                cut.append(Ref(piece.segment, piece.offset + first, last - first))
            at += piece.length
        return Stored(cut)

    def __bytes__(self) -> bytes:
        return b"".join(map(_bodies.read, self.pieces))

    def steps(self) -> Iterator[bytes]:
        """All of it, a step at a time."""
        for piece in self.pieces:
            for at in range(0, piece.length, STEP):
                yield _bodies.read(Ref(piece.segment, piece.offset + at, min(STEP, piece.length - at)))


def steps(value: Any) -> Iterator[bytes]:
    if isinstance(value, Stored):
        yield from value.steps()
    else:
        yield bytes(value)


class Key(models.FakeKey):
    """``stored`` is where the value lies; ``held`` the value itself when it is empty or found no place."""

    stored: Stored | None
    held: bytes

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._value_buffer.close()

    @property
    def value(self) -> Any:
        return self.held if self.stored is None else self.stored

    @value.setter
    def value(self, value: bytes | str | Stored) -> None:
        self.held = b""
        if isinstance(value, Stored):
            self.stored = value
        else:
            data = value.encode() if isinstance(value, str) else bytes(value)
            ref = _bodies.store(data) if data else None
            self.stored = Stored([ref]) if ref is not None else None
            self.held = data if ref is None else b""
        self.contentsize = len(value)
        if self._etag is None:
            digest = hashlib.md5(usedforsecurity=False)
            for step in steps(value if isinstance(value, Stored) else data):
                digest.update(step)
            self._etag = digest.hexdigest()

    @property
    def etag(self) -> str:
        return f'"{self._etag}"'

    def dispose(self, garbage: bool = False) -> None:
        """The bytes go with their part of the log."""
        self.disposed = True

    def __del__(self) -> None:
        """Nothing to close."""

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_value_buffer", "lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class Upload(models.FakeMultipart):
    """An upload in parts, which becomes an object without being read."""

    def complete(self, body: Iterator[tuple[int, str]]) -> Any:
        parts: list[Key] = []
        for number, etag in body:
            part: Any = self.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart()
            if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall()
            parts.append(part)
        if not parts:
            raise MalformedXML
        md5s = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
        etag = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(parts)}"
        value = _joined([part.value for part in parts])
        return value, etag, self._checksum(parts, value)

    def _checksum(self, parts: list[Key], value: Any) -> tuple[str, str, int]:
        """Its type, the sum, and how many parts it is made of."""
        algorithm = self.metadata.get("x-amz-checksum-algorithm") or "CRC64NVME"
        kind = self.metadata.get("x-amz-checksum-type") or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
        if kind != "COMPOSITE":
            return kind, checksum(value, algorithm).decode(), 1
        sums = b"".join(checksum(part.value, algorithm, encode_base64=False) for part in parts)
        return kind, checksum(sums, algorithm).decode(), len(parts)


def _joined(values: list[Any]) -> Any:
    if all(isinstance(value, Stored) for value in values):
        return Stored(piece for value in values for piece in value.pieces)
    return b"".join(map(bytes, values))


def checksum(body: Any, algorithm: str, encode_base64: bool = True) -> bytes:
    """In the place of moto's ``compute_checksum``, which wants all of the bytes, and makes CRC32 of what it cannot make."""
    crc = {"CRC32": (zlib.crc32, 4), "CRC32C": (checksums.crc32c, 4), "CRC64NVME": (checksums.crc64nvme, 8)}
    if algorithm in crc:
        function, size = crc[algorithm]
        value = 0
        for step in steps(body):
            value = function(step, value)
        digest = value.to_bytes(size, "big")
    else:
        summed = hashlib.new("sha1" if algorithm == "SHA1" else "sha256", usedforsecurity=False)
        for step in steps(body):
            summed.update(step)
        digest = summed.digest()
    return base64.b64encode(digest) if encode_base64 else digest


def damaged(operation: str, headers: Iterable[tuple[str, str]], body: bytes) -> str:
    """What a body is not that its headers say it is, in S3's words; "" when it is. moto takes their word for it."""
    for name, value in headers:
        if name == "content-md5":
            if base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != value:
                return "The Content-MD5 you specified did not match what we received."
        elif operation in ("PutObject", "UploadPart") and name.startswith("x-amz-checksum-"):
            algorithm = name.removeprefix("x-amz-checksum-").upper()
            if algorithm in SUMS and checksum(body, algorithm).decode() != value:
                return f"The {algorithm} you specified did not match the calculated checksum."
    return ""


def query_of(operation: str, account: str, path: str, query: str) -> str:
    """Without ``versionId=null`` where all are that version: moto has none in a bucket that never kept versions."""
    if operation != "HeadObject" or "versionId=null" not in query:
        return query
    bucket = models.s3_backends[account]["aws"].buckets.get(path[1:].partition("/")[0])
    if bucket is None or bucket.versioning_status is not None:
        return query
    return "&".join(part for part in query.split("&") if part != "versionId=null")


def install(bodies: Bodies) -> None:
    """moto's S3 makes its objects of ``Key``."""
    global _bodies
    _bodies = bodies
    theirs: Any = models
    theirs.FakeKey, theirs.FakeMultipart, theirs.compute_checksum = Key, Upload, checksum
    answers: Any = responses
    answers.compute_checksum = checksum
    answers.FakeKey = Key


def keys(backends: Any) -> Iterator[Key]:
    """Every object, version and part that there is."""
    for _, _, backend in backends.iter_backends():
        for bucket in backend.buckets.values():
            for _, versions in bucket.keys.iterlists():
                for version in versions:
                    yield from _of(version)
            for upload in bucket.multiparts.values():
                for part in upload.parts.values():
                    yield from _of(part)


def _of(version: Any) -> Iterator[Key]:
    if isinstance(version, Key):
        yield version
        for part in version.multipart.parts.values() if version.multipart is not None else ():
            yield from _of(part)


def segments_of(backends: Any) -> dict[int, int]:
    """Files of the log that objects lie in → how many bytes of them, pieces that are shared counted once."""
    pieces = {piece for key in keys(backends) if key.stored is not None for piece in key.stored.pieces}
    sizes: dict[int, int] = {}
    for piece in pieces:
        sizes[piece.segment] = sizes.get(piece.segment, 0) + piece.length
    return sizes


def move(backends: Any, out_of: set[int]) -> None:
    """Pieces that lie in these files are written again, to where records are written now; shared ones stay shared."""
    moved: dict[Ref, Ref] = {}
    for key in keys(backends):
        if key.stored is None or not any(piece.segment in out_of for piece in key.stored.pieces):
            continue
        pieces = []
        for piece in key.stored.pieces:
            if piece.segment in out_of and piece not in moved:
                ref = _bodies.store(_bodies.read(piece))
                moved[piece] = piece if ref is None else ref
            pieces.append(moved.get(piece, piece))
        key.stored = Stored(pieces)
