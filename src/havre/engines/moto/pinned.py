"""The clock and the chance that moto sees: those of the request that it carries out, so that it can be carried out again."""

from __future__ import annotations

import datetime as _datetime
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any

_system_time, _system_urandom = time.time, os.urandom  # noqa: TID251  this module is what makes time here


class _Pin:
    """``at`` in seconds since the epoch; None outside of a request, when time and chance are the system's."""

    at: float | None = None
    chance = Random()


def now() -> float:
    return _system_time() if _Pin.at is None else _Pin.at


def _urandom(size: int) -> bytes:
    return _system_urandom(size) if _Pin.at is None else _Pin.chance.randbytes(size)


def _utcnow() -> _datetime.datetime:
    """As moto wants it: without a time zone."""
    return _datetime.datetime.fromtimestamp(now(), _datetime.UTC).replace(tzinfo=None)


class _Anywhere(type(_datetime.datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime.datetime)


class _Datetime(_datetime.datetime, metaclass=_Anywhere):
    """Makes plain datetimes; only the clock is another."""

    def __new__(cls, *parts: Any, **named: Any) -> Any:
        return _datetime.datetime(*parts, **named)  # noqa: DTZ001  as moto asks for it

    @classmethod
    def now(cls, tz: _datetime.tzinfo | None = None) -> Any:
        return _datetime.datetime.fromtimestamp(now(), tz)


def install() -> None:
    """Modules of moto that took ``utcnow`` along by name get this one in its place."""
    import moto.core.utils

    theirs = moto.core.utils.utcnow
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is theirs:
            module.utcnow = _utcnow  # type: ignore[attr-defined]
    time.time = now  # noqa: TID251
    os.urandom = _urandom


def give_datetime(module: ModuleType) -> None:
    """A module that asks ``datetime.datetime.now`` itself."""
    stand_in = ModuleType("datetime")
    vars(stand_in).update(vars(_datetime))
    stand_in.datetime = _Datetime  # type: ignore[attr-defined]
    module.datetime = stand_in  # type: ignore[attr-defined]


@contextmanager
def pinned(at: float, seed: int) -> Iterator[None]:
    """What moto does within happens at ``at``, and by chance as ``seed`` has it."""
    from moto.moto_api._internal import mock_random

    _Pin.at = at
    _Pin.chance.seed(seed)
    mock_random.seed(seed)
    try:
        yield
    finally:
        _Pin.at = None


def seed() -> int:
    """Nobody can guess it: Secrets Manager makes passwords of it."""
    return int.from_bytes(_system_urandom(32), "big")
