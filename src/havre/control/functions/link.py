"""The node's end: dials the server, and dials again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from havre.control.functions import messages as m
from havre.control.functions.wire import Frames

log = logging.getLogger("havre.functions")

_FIRST_WAIT = 0.005
_LONGEST_WAIT = 1.0


class Handler(Protocol):
    """What the node does with what it is told. Nothing in here waits."""

    def connected(self, frames: Frames) -> None:
        """Answers go here from now on."""
        ...

    def handle(self, message: m.AnyMessage) -> None: ...

    def disconnected(self) -> None:
        """Nobody waits for what is under way."""
        ...


@dataclass(frozen=True)
class FunctionLinkParts:
    """``token`` and ``error`` (why functions cannot run here) are asked for at each connection."""

    path: Path
    node: str
    token: Callable[[], str]
    error: Callable[[], str]


class FunctionLink:
    def __init__(self, parts: FunctionLinkParts) -> None:
        self._parts = parts

    async def run(self, handler: Handler) -> None:
        """For ever."""
        wait = _FIRST_WAIT
        while True:
            try:
                if await self._connect(handler):
                    wait = _FIRST_WAIT
            except OSError as error:
                log.debug("the functions' link to the server: %s", error)
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)

    async def _connect(self, handler: Handler) -> bool:
        """One connection's life. True when the server took this node in."""
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        welcome = False

        def heard(message: m.AnyMessage) -> None:
            nonlocal welcome
            if welcome:
                handler.handle(message)
            elif isinstance(message, m.Welcome):
                welcome = True
                handler.connected(frames)

        def ended() -> None:
            if not lost.done():
                lost.set_result(None)

        frames = Frames(heard, ended)
        await loop.create_unix_connection(lambda: frames, str(self._parts.path))
        try:
            frames.send(m.Hello(self._parts.node, self._parts.token(), m.VERSION, self._parts.error()))
            await lost
        finally:
            frames.close()
            if welcome:
                handler.disconnected()
        return welcome
