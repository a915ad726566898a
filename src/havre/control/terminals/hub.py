"""The server's end: nodes are asked to run commands, and dial in with each."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from havre.control.private_socket import serve_privately
from havre.control.terminals.messages import OPEN, Hello, Question, Wire
from havre.kernel.errors import Temporary

log = logging.getLogger("havre.terminals")

_HELLO = 10.0
_DIALS_WITHIN = 20.0

Ask = Callable[[str, str, Any], Awaitable[Any]]
"""(node, what, question): Hub.ask of the link to nodes."""


class TerminalHub:
    """``token``: what a node must know."""

    def __init__(self, ask: Ask, token: Callable[[], str]) -> None:
        self._ask = ask
        self._token = token
        self._waiting: dict[str, asyncio.Future[Wire]] = {}
        self._open: set[Wire] = set()

    async def serve(self, path: Path) -> None:
        """The loop that apps runs: listen on a Unix socket (0600), for ever."""
        try:
            await serve_privately(path, lambda at: asyncio.start_unix_server(self._accept, at))
        finally:
            for wire in tuple(self._open):
                wire.close()

    async def run(self, node: str, asked: Question) -> Wire:
        """The command's end here. Raises Permanent in the engine's words, Temporary."""
        dialled: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
        self._waiting[asked.session] = dialled
        try:
            await self._ask(node, OPEN, msgspec.to_builtins(asked))
            async with asyncio.timeout(_DIALS_WITHIN):
                return await dialled
        except TimeoutError:
            raise Temporary(f"node {node} did not dial in with the session") from None
        finally:
            self._waiting.pop(asked.session, None)
            if not dialled.done():
                dialled.cancel()

    def end(self, wire: Wire) -> None:
        self._open.discard(wire)
        wire.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        try:
            async with asyncio.timeout(_HELLO):
                hello = await wire.receive()
        except TimeoutError:
            hello = None
        known = isinstance(hello, Hello) and hmac.compare_digest(hello.token.encode(), self._token().encode())
        dialled = self._waiting.get(hello.session) if isinstance(hello, Hello) and known else None
        if dialled is None or dialled.done():
            if not known:
                log.warning("somebody dialled in with a session who is no node")
            wire.close()
            return
        self._open.add(wire)
        dialled.set_result(wire)
