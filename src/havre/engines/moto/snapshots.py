"""The state as a whole, so that only what came after it has to be carried out again: moto's backends, pickled."""

from __future__ import annotations

import io
import os
import pickle
import zlib
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

from moto import __version__ as MOTO
from moto.backends import get_backend
from moto.core.base_backend import BackendDict, BaseBackend
from moto.s3.models import s3_backends

from havre.engines.moto.outbox import Outbox
from havre.engines.moto.segments import sync_folder

_MAGIC = b"havre-borrowed-1\n"


class Unreadable(Exception):
    """A snapshot cannot be loaded; the message says why."""


class _Pickler(pickle.Pickler):
    """Backends are written as their names, so that those of the process that reads are meant."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, BaseBackend):
            return _service(obj), obj.account_id, obj.region_name
        return None

    def reducer_override(self, obj: Any) -> Any:
        """moto's own dictionaries tell and take their items in ways of their own: they are written as what they hold. And
        one of them is filled by a function without a name."""
        kind = type(obj)
        if isinstance(obj, dict) and kind.__module__.startswith("moto."):
            held = dict(dict.items(obj)), obj.__dict__, getattr(obj, "default_factory", None)
            return _blank, (kind,), held, None, None, _refill
        if (
            isinstance(obj, FunctionType)
            and obj.__qualname__ == "SimpleSystemManagerBackend.__init__.<locals>.<lambda>"
        ):
            return _tags_factory, ()
        return NotImplemented


def _tags_factory() -> Any:
    return partial(defaultdict, dict)


def _blank(kind: Any) -> Any:
    return kind.__new__(kind)


def _refill(made: Any, held: tuple[dict[Any, Any], dict[str, Any], Any]) -> None:
    items, attributes, factory = held
    dict.update(made, items)
    made.__dict__.update(attributes)
    if factory is not None:
        made.default_factory = factory


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        service, account, region = pid
        return get_backend(service)[account][region]


def backends() -> Iterator[tuple[str, str, str, Any]]:
    """Service, account and region of each that somebody has used; some use others (KMS)."""
    used: list[Any] = BackendDict.__dict__["_instances"]
    for each in used:
        for account, region, backend in each.iter_backends():
            yield _service(backend), account, region, backend


def _service(backend: BaseBackend) -> str:
    return type(backend).__module__.split(".")[1]


def dump(outbox: Outbox) -> bytes:
    """Raises what pickle raises for what moto keeps that cannot be written down, or not be read again."""
    buffer = io.BytesIO()
    states = [(*names, backend.__dict__) for *names, backend in backends()]
    buckets = s3_backends.bucket_accounts
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump((states, buckets, outbox.pending, outbox.last))
    body = buffer.getvalue()
    _Unpickler(io.BytesIO(body)).load()  # thrown away: only what can be read again takes the place of the log
    return _MAGIC + zlib.crc32(body).to_bytes(4, "big") + MOTO.encode().ljust(16) + body


def load(data: bytes, outbox: Outbox) -> None:
    """Raises Unreadable."""
    head = len(_MAGIC)
    if data[:head] != _MAGIC or zlib.crc32(data[head + 20 :]) != int.from_bytes(data[head : head + 4], "big"):
        raise Unreadable("it is damaged")
    written_by = data[head + 4 : head + 20].decode().strip()
    try:
        # our own file, in our own state directory
        states, buckets, pending, last = _Unpickler(io.BytesIO(data[head + 20 :])).load()
    except Exception as error:
        raise Unreadable(f"moto {written_by} wrote it, moto {MOTO} cannot read it: {error}") from error
    for service, account, region, state in states:
        get_backend(service)[account][region].__dict__.update(state)
    s3_backends.bucket_accounts.update(buckets)
    outbox.pending, outbox.last = pending, last


def write(folder: Path, number: int, data: bytes) -> None:
    """Whole or not at all. Raises OSError."""
    temporary = folder / f"{number:010d}-{os.getpid()}.new"
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)
    temporary.replace(folder / f"{number:010d}.snapshot")
    sync_folder(folder)


def newest(folder: Path) -> tuple[int, bytes] | None:
    """The number of the first file of the log that it does not contain, and its bytes. What is half written goes."""
    for left in folder.glob("*.new"):
        left.unlink()
    found = sorted(folder.glob("*.snapshot"))
    return (int(found[-1].stem), found[-1].read_bytes()) if found else None


def drop_older(folder: Path, number: int) -> None:
    for path in folder.glob("*.snapshot"):
        if int(path.stem) < number:
            path.unlink(missing_ok=True)
