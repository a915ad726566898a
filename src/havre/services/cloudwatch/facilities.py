"""What operations and loops need besides the store: where data points are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from havre.control.operation import Answer, Call, Operations, Request
from havre.store.points import Points


class Facilities(NamedTuple):
    """``points`` gives where they are kept, opened when it is first called. ``flush`` puts away what services measured
    since: who reads asks for it first. ``there`` says, without opening anything, whether there may be any."""

    points: Callable[[], Points]
    flush: Callable[[], Awaitable[None]]
    there: Callable[[], bool] = lambda: True


class Measuring(Protocol):
    def __call__(self, facilities: Facilities, call: Call, request: Request) -> Awaitable[Answer]: ...


H = TypeVar("H", bound=Measuring)


class Declared:
    """Operations that are given the facilities as well, as ``Operations`` declares them."""

    def __init__(self) -> None:
        self._all: list[tuple[str, dict[str, Any], Measuring]] = []

    def __call__(self, name: str, **how: Any) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            self._all.append((name, how, handler))
            return handler

        return declare

    def of(self, facilities: Facilities) -> Operations:
        ops = Operations()
        for name, how, handler in self._all:
            ops(name, **how)(partial(handler, facilities))
        return ops
