"""The node's end: an engine's terminal, and a connection to the server for as long as the command runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from havre.control.tasks import Tasks
from havre.control.terminals.messages import Ended, Hello, Input, Output, Question, Resize, Wire
from havre.engines.ports import ContainerEngine, Terminal
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.terminals")

_MOST = 100
"""Sessions of a node at a time."""
_LAST = 10.0
"""Seconds that hanging up may take when the node ends."""


class Terminals:
    """``token`` is what nodes know."""

    def __init__(self, engine: ContainerEngine, path: Path, token: Callable[[], str]) -> None:
        self._engine = engine
        self._path = path
        self._token = token
        self._tasks = Tasks()

    async def open(self, container: str, asked: Question) -> None:
        """Returns when the command has begun and the server was dialled. ``container`` is the engine's id. Raises
        Permanent, Temporary, Gone."""
        if len(self._tasks) >= _MOST:
            raise Temporary("this node has too many sessions already")
        terminal = await self._engine.open_terminal(container, asked.command, asked.columns, asked.rows)
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            wire = Wire(reader, writer)
            await wire.send(Hello(asked.session, self._token()))
        except OSError as error:
            await terminal.close()
            raise Temporary(f"the server does not answer: {error}") from None
        except BaseException:
            await terminal.close()
            raise
        self._tasks.spawn(_serve(terminal, wire), f"session {asked.session}")

    async def close(self) -> None:
        await self._tasks.close(_LAST)


async def _serve(terminal: Terminal, wire: Wire) -> None:
    """Until the command has ended, or the server has hung up."""
    typing = asyncio.ensure_future(_typed(terminal, wire))
    writing = asyncio.ensure_future(_written(terminal, wire))
    try:
        await asyncio.wait((typing, writing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (typing, writing):
            task.cancel()
        with suppress(Temporary, Permanent, Gone):
            await terminal.close()
        wire.close()


async def _typed(terminal: Terminal, wire: Wire) -> None:
    while (message := await wire.receive()) is not None:
        if isinstance(message, Input):
            await terminal.write(message.data)
        elif isinstance(message, Resize):
            await terminal.resize(message.columns, message.rows)


async def _written(terminal: Terminal, wire: Wire) -> None:
    try:
        while data := await terminal.read():
            await wire.send(Output(data))
        await wire.send(Ended(await terminal.ended()))
    except Permanent as error:
        with suppress(Temporary):
            await wire.send(Ended(-1, str(error)))
    except (Temporary, Gone) as error:
        log.info("a session ends: %s", error)
