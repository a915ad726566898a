"""The server's end of the links: nodes dial in, get what is assigned to them, and what they report is written down."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from havre.control.nodelink.messages import LogStream
from havre.control.nodelink.session import Session
from havre.control.nodes import NODE, NodeSpec, NodeStatus
from havre.control.private_socket import serve_privately
from havre.kernel.errors import Conflict, Gone, Temporary
from havre.kernel.world import World
from havre.store.ports import Store, Transaction

log = logging.getLogger("havre.nodelink")

_RETRY = 1.0

OnLogs = Callable[[LogStream, Sequence[tuple[int, bytes]]], Awaitable[None]]
"""Keep these lines (milliseconds, text); durable when it returns. Raises Temporary to be asked again."""

Answerer = Callable[[str, str, Any], Awaitable[Any]]
"""(node, what, question) → answer; MessagePack's types. Raises Permanent, Temporary, Gone."""


@dataclass(frozen=True)
class HubParts:
    """``identity`` names this store: a node that belongs to another is refused. ``token``: what a node must know."""

    store: Store
    world: World
    identity: str
    token: Callable[[], str]
    on_logs: OnLogs
    answer: Answerer


class Hub:
    def __init__(self, parts: HubParts) -> None:
        self.parts = parts
        self._sessions: dict[str, Session] = {}
        self._logged: dict[tuple[str, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard: float | None = None
        """When a node last said something, in seconds since the epoch."""

    # --- the loop that apps runs
    async def serve(self, path: Path) -> None:
        """Listen on a Unix socket (0600) for ever; nodes that were connected in a former life are not, until they are."""
        await self._forget_connections()
        try:
            await serve_privately(path, lambda at: asyncio.start_unix_server(self._accept, at))
        finally:
            for task in tuple(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=2.0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await Session(self, reader, writer).run()
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        except Temporary as e:
            log.info("a node's link ends: %s", e.reason)
        except Exception:
            log.exception("a node's link has failed")
        finally:
            self._tasks.discard(task)
            writer.close()

    # --- for apps and services
    @property
    def nodes(self) -> Sequence[str]:
        """The nodes that are connected now."""
        return tuple(self._sessions)

    def end_links(self) -> None:
        """Every node has to dial in anew, and is then told afresh what is assigned to it."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()

    async def ask(self, node: str, what: str, question: Any, timeout: float = 30.0) -> Any:
        """Ask a node. Raises Temporary when it is not connected or does not answer, Permanent with its words."""
        session = self._sessions.get(node)
        if session is None:
            raise Temporary(f"node {node} is not connected")
        return await session.asking.ask(what, question, timeout)

    # --- for sessions
    def admits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.parts.token().encode())

    async def join(self, node: str, session: Session, status: NodeStatus) -> None:
        """A node has one link: a newer one ends the older."""
        older = self._sessions.get(node)
        self._sessions[node] = session
        if older is not None:
            older.close()
        fresh = msgspec.structs.replace(status, since=self.parts.world.now())
        await self.write_node(node, lambda old: fresh if self._sessions.get(node) is session else old)

    async def leave(self, node: str, session: Session) -> None:
        if self._sessions.get(node) is session:
            del self._sessions[node]
            await self._gone(node)

    async def _gone(self, node: str) -> None:
        """Written down even if it takes a while: no task must be sent to a node that is not there."""
        while node not in self._sessions and self.parts.store.get(NODE, "", "", node) is not None:
            try:
                await self.write_node(node, lambda old: old if node in self._sessions else _away(old))
                return
            except Temporary as e:
                log.info("node %s has gone, which cannot be written down: %s", node, e.reason)
                await asyncio.sleep(max(e.after, _RETRY))

    async def write_node(self, node: str, change: Callable[[NodeStatus], NodeStatus]) -> None:
        def write(tx: Transaction) -> None:
            seen = tx.get(NODE, "", "", node)
            if seen is None:
                tx.create(
                    NODE,
                    account="",
                    region="",
                    name=node,
                    arn=f"arn:aws:havre:::node/{node}",
                    spec=NodeSpec(),
                    status=change(NodeStatus()),
                )
            elif (status := change(seen.status)) != seen.status:
                tx.update(seen, status=status)

        try:
            await self.parts.store.transact(write)
        except (Conflict, Gone) as e:
            raise Temporary(str(e)) from e

    async def _forget_connections(self) -> None:
        for node in self.parts.store.list(NODE):
            if node.status.connected:
                await self._gone(node.meta.name)

    def logged(self, node: str, spool: str) -> int:
        """Up to where the lines of this spool have been kept already (in this life of the server)."""
        return self._logged.get((node, spool), 0)

    def note_logged(self, node: str, spool: str, position: int) -> None:
        self._logged[node, spool] = position


def _away(node: NodeStatus) -> NodeStatus:
    return msgspec.structs.replace(node, connected=False)


async def no_answers(node: str, what: str, question: Mapping[str, Any]) -> Any:
    """The answerer of a hub that knows nothing."""
    raise Gone(f"nothing answers {what}")
