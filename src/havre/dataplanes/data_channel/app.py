"""The door: who comes with a session's token gets its command."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from havre.control.terminals.hub import TerminalHub
from havre.control.terminals.sessions import Session, Sessions
from havre.control.terminals.transcripts import Transcripts
from havre.core.data_channel.messages import Opening
from havre.dataplanes.data_channel.conversation import Conversation, Receive, Send
from havre.kernel.world import World

log = logging.getLogger("havre.terminals")

PATH = "/v1/data-channel/"
_OPENS_WITHIN = 10.0
_REFUSED = 1008


class DataChannels:
    """An ASGI application for WebSockets below ``PATH``."""

    def __init__(self, sessions: Sessions, hub: TerminalHub, transcripts: Transcripts, world: World) -> None:
        self._sessions = sessions
        self._hub = hub
        self._transcripts = transcripts
        self._world = world

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        session = await self._opened(scope["path"].removeprefix(PATH), receive)
        if session is None:
            await send({"type": "websocket.close", "code": _REFUSED, "reason": "the token opens no session"})
            return
        conversation = Conversation(session, receive, send, self._world)
        try:
            await conversation.run(self._hub, self._transcripts.of(session), lambda: self._sessions.end(session.id))
        finally:
            self._sessions.end(session.id)

    async def _opened(self, id: str, receive: Receive) -> Session | None:
        try:
            async with asyncio.timeout(_OPENS_WITHIN):
                message = await receive()
        except TimeoutError:
            return None
        text = message.get("text") or message.get("bytes") or b""
        try:
            opening = msgspec.json.decode(text, type=Opening)
        except msgspec.DecodeError:
            return None
        found = self._sessions.open(id, opening.TokenValue, self._world.now())
        if found is None:
            log.warning("a token that opens no session was sent for %.60r", id)
        return found
