"""The server's end: nodes dial in, and functions run on them (``Functions`` in ports.py)."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from havre.control.functions import messages as m
from havre.control.functions.calls import Extended, NodeCalls, NoRoom
from havre.control.functions.wire import Frames
from havre.control.private_socket import serve_privately
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.function import Function, Invocation, Outcome, Provisioned

log = logging.getLogger("havre.functions")

_HELLO = 10.0
"""Seconds that a node has to say who it is."""


class FunctionHub:
    """``token``: what a node must know. ``patience``: seconds for which calls wait for a node where there is none.
    Provisioned environments are spread over the nodes that can run functions."""

    def __init__(self, token: Callable[[], str], patience: float = 5.0) -> None:
        self._token = token
        self._patience = patience
        self._nodes: dict[str, NodeCalls] = {}
        self._wanted: dict[str, tuple[Function, int]] = {}
        self._snapshots: dict[str, Function] = {}
        """Those with SnapStart that are prepared: a node that comes, or comes back, keeps one of each ready as well."""
        self._arrived = asyncio.Event()
        self.extended: Extended = _nobody

    # --- the loop that apps runs
    async def serve(self, path: Path) -> None:
        """Listen on a Unix socket (0600), for ever."""
        loop = asyncio.get_running_loop()
        try:
            await serve_privately(path, lambda at: loop.create_unix_server(lambda: _Guest(self).frames, at))
        finally:
            for node in tuple(self._nodes.values()):
                node.frames.close()

    # --- Functions
    async def prepare(self, function: Function) -> None:
        await self._await_node()
        for node in self._able():
            await node.prepare(function)
        if function.snap_start:
            self._snapshots[function.id] = function

    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        if not self._nodes:
            await self._await_node()
        refusal: NoRoom | None = None
        for node in self._able():
            try:
                return await node.invoke(function, invocation)
            except NoRoom as full:  # nothing has run: another node may take it
                refusal = full
        assert refusal is not None
        raise refusal

    async def stream(self, function: Function, invocation: Invocation) -> AsyncIterator[bytes | str | Outcome]:
        await self._await_node()
        node = self._able()[0]
        pieces = node.stream(function, invocation)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    async def provision(self, function: Function, count: int) -> None:
        if count:
            self._wanted[function.id] = (function, count)
        else:
            self._wanted.pop(function.id, None)
        self._spread(function, count)

    def provisioned(self) -> Mapping[str, Provisioned]:
        found = {}
        for id, (_, count) in self._wanted.items():
            states = [node.states[id] for node in self._nodes.values() if id in node.states]
            found[id] = together(count, states)
        return found

    async def retire(self, id: str) -> None:
        self._wanted.pop(id, None)
        self._snapshots.pop(id, None)
        for node in self._nodes.values():
            node.retire(id)

    # --- for apps
    @property
    def nodes(self) -> Sequence[str]:
        return tuple(self._nodes)

    def function(self, node: str, id: str) -> Function:
        """A record that this node was given. Raises Gone."""
        calls = self._nodes.get(node)
        found = calls.defined.get(id) if calls else None
        if found is None:
            raise Gone(f"node {node} does not run {id}")
        return found

    def runs_code(self, node: str, sealed: str) -> bool:
        """Whether this node was given a function of that archive."""
        calls = self._nodes.get(node)
        return calls is not None and any(function.code.sealed == sealed for function in calls.defined.values())

    async def until_able(self) -> None:
        """Returns when a node is there that can run functions."""
        while not any(not node.error for node in self._nodes.values()):
            self._arrived.clear()
            await self._arrived.wait()

    # --- nodes
    def admits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token().encode())

    def join(self, calls: NodeCalls) -> None:
        """A node has one connection: a newer one ends the older."""
        older = self._nodes.get(calls.name)
        self._nodes[calls.name] = calls
        if older is not None:
            older.frames.close()
        for function in self._snapshots.values() if not calls.error else ():
            calls.remind(function)
        self.changed()

    def leave(self, calls: NodeCalls) -> None:
        if self._nodes.get(calls.name) is calls:
            del self._nodes[calls.name]
            self.changed()

    def changed(self) -> None:
        """What nodes there are, or what they can do."""
        self._arrived.set()
        for function, count in self._wanted.values():
            self._spread(function, count)

    async def _await_node(self) -> None:
        """A node that was killed is back within a moment: nobody needs to hear of that."""
        if not self._nodes:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self.until_able()

    def _able(self) -> list[NodeCalls]:
        """Those that can run functions, the one with least to do first. Raises Temporary, Permanent where none can."""
        nodes = [node for node in self._nodes.values() if not node.error]
        if not nodes:
            if not self._nodes:
                raise Temporary("no node is connected")
            raise Permanent(next(iter(self._nodes.values())).error)
        if len(nodes) > 1:
            nodes.sort(key=lambda node: len(node.waiting))
        return nodes

    def _spread(self, function: Function, count: int) -> None:
        nodes = [self._nodes[name] for name in sorted(self._nodes) if not self._nodes[name].error]
        for index, node in enumerate(nodes):
            node.provision(function, count // len(nodes) + (index < count % len(nodes)))


def together(count: int, states: Sequence[Provisioned]) -> Provisioned:
    """Of all nodes: shares are weighed by the environments that each has."""
    ready = sum(state.ready for state in states)
    return Provisioned(
        count,
        min(count, ready),
        next((state.error for state in states if state.error), ""),
        any(state.short for state in states),
        sum(state.cpu * state.ready for state in states) / (ready or 1),
        sum(state.busy * state.ready for state in states) / (ready or 1),
        sum(state.refused for state in states),
    )


def _nobody(function: Function, arn: str, duration: float) -> None: ...


class _Guest:
    """A connection before, and after, it has said who it is."""

    def __init__(self, hub: FunctionHub) -> None:
        self._hub = hub
        self._calls: NodeCalls | None = None
        self.frames = Frames(self._heard, self._lost)
        self._patience = asyncio.get_running_loop().call_later(_HELLO, self._too_late)

    def _too_late(self) -> None:
        if self._calls is None:
            self.frames.close()

    def _heard(self, message: m.AnyMessage) -> None:
        if self._calls is not None:
            self._calls.handle(message)
            return
        self._patience.cancel()
        if not isinstance(message, m.Hello) or not self._hub.admits(message.token):
            log.warning("a node was refused: it does not know the token")
            self.frames.close()
        elif message.version != m.VERSION:
            log.warning("node %s speaks version %s of the functions' link", message.node, message.version)
            self.frames.close()
        else:
            self.frames.send(m.Welcome())
            self._calls = NodeCalls(message.node, self.frames, message.error, lambda *told: self._hub.extended(*told))
            self._hub.join(self._calls)

    def _lost(self) -> None:
        self._patience.cancel()
        if self._calls is not None:
            self._calls.lost()
            self._hub.leave(self._calls)
