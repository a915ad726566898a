"""S3's objects: their bytes lie in the log, where the request that brought them was written down, and not in memory."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5
from typing import Any

from moto.s3 import models

from havre.engines.moto.segments import Full, Ref, Segments


class Bodies:
    """``store`` gives a place to bytes; those of the request that is carried out have one already (``here``)."""

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._body = b""
        self._ref: Ref | None = None
        self.in_parts = False
        """Whether the request wants a part of an object, so that not all of it has to be read."""

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

    def read(self, ref: Ref, offset: int = 0, length: int | None = None) -> bytes:
        return self._segments.read(ref, offset, length)


_bodies: Bodies


class Part:
    """An object's bytes that are read when a range of them is taken."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref

    def __len__(self) -> int:
        return self._ref.length

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self._ref.length)
        return _bodies.read(self._ref, start, max(0, stop - start))

    def __bytes__(self) -> bytes:
        return _bodies.read(self._ref)


class Key(models.FakeKey):
    """``ref`` is where the value lies; ``held`` the value itself when it is empty or found no place."""

    ref: Ref | None
    held: bytes

    def __init__(self, *parts: Any, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._value_buffer.close()

    @property
    def value(self) -> Any:
        if self.ref is None:
            return self.held
        return Part(self.ref) if _bodies.in_parts else _bodies.read(self.ref)

    @value.setter
    def value(self, value: bytes | str) -> None:
        data = value.encode() if isinstance(value, str) else bytes(value)
        self.contentsize = len(data)
        if self._etag is None:
            self._etag = md5(data, usedforsecurity=False).hexdigest()
        self.ref = _bodies.store(data) if data else None
        self.held = data if self.ref is None else b""

    @property
    def etag(self) -> str:
        return f'"{self._etag}"'

    def move(self) -> None:
        """To where records are written now."""
        data = self.held if self.ref is None else _bodies.read(self.ref)
        ref = _bodies.store(data) if data else None
        if ref is not None:
            self.ref, self.held = ref, b""

    def dispose(self, garbage: bool = False) -> None:
        """The bytes go with their part of the log."""
        self.disposed = True

    def __del__(self) -> None:
        """Nothing to close."""

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_value_buffer", "lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def install(bodies: Bodies) -> None:
    """moto's S3 makes its objects of ``Key``."""
    global _bodies
    _bodies = bodies
    models.FakeKey = Key  # type: ignore[misc]


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
