"""Operations that look at messages: functions of the broker, the call and the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.sqs.broker import Broker

Handler = Callable[[Broker, Call, Request], Awaitable[Answer]]
H = TypeVar("H", bound=Handler)


class OfMessages:
    """Collects the operations of a module as ``Operations`` does; ``of`` gives them for one broker."""

    def __init__(self) -> None:
        self._all: list[tuple[str, dict[str, Any], Handler]] = []

    def __call__(self, name: str, **traits: Any) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            self._all.append((name, traits, handler))
            return handler

        return declare

    def of(self, broker: Broker) -> Operations:
        ops = Operations()
        for name, traits, handler in self._all:
            ops(name, **traits)(partial(handler, broker))
        return ops
