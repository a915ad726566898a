"""The node's end of the link: dials, dials again, and sends what was not acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from havre.control.nodelink import messages as m
from havre.control.nodelink.asking import Asking
from havre.control.nodelink.spool import Spool
from havre.control.tasks import Tasks
from havre.kernel.balancer import Balancer, BalancerStatus
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.vpc import Vpc
from havre.kernel.workload import WorkloadStatus

log = logging.getLogger("havre.nodelink")

_CHUNK = 256 << 10
_GATHER = 0.05
"""Seconds in which further lines gather behind a small batch: each batch costs a call for each of its streams, and a commit,
however few lines it has. Nobody waits when a workload's end waits for its last lines."""
_IN_FLIGHT = 4
_UNACKED = 8
"""So many status messages at most wait for their acknowledgement: until then the latest of each workload gathers here."""
_MOST = 500
"""Workloads in one status message: a frame has a bound."""
_HEARTBEAT = 10.0
_SILENCE = 35.0
_FIRST_WAIT = 0.005
_LONGEST_WAIT = 1.0
_LAST_LINES = 3.0
"""Seconds for which a STOPPED waits for lines that came before it while the server takes none of them."""


class Handler(Protocol):
    """What the node does with what it is told."""

    def snapshot(self, workloads: Sequence[m.Assignment], vpcs: Sequence[Vpc], balancers: Sequence[Balancer]) -> None:
        """Everything that is assigned: what is not in it is not."""
        ...

    def changed(self, change: m.Assign) -> None: ...

    def acknowledged(self, workload: str) -> None:
        """The server knows for good that this workload is STOPPED."""
        ...

    async def answer(self, what: str, question: Any) -> Any:
        """Raises Permanent, Temporary or Gone."""
        ...


@dataclass(frozen=True)
class LinkParts:
    """``identity``: the store that this node belongs to. ``token`` and ``info`` are asked for at each connection."""

    path: Path
    node: str
    identity: str
    token: Callable[[], str]
    info: Callable[[], Awaitable[m.NodeInfo]]
    spool: Spool


class Link:
    def __init__(self, parts: LinkParts) -> None:
        self._parts = parts
        self._spool = parts.spool
        self._seq = 0
        self._workloads: dict[str, WorkloadStatus] = {}
        self._balancers: dict[str, BalancerStatus] = {}
        self._info: m.NodeInfo | None = None
        self._told: m.NodeInfo | None = None
        """What the server heard of this machine last, at the connection or since."""
        self._unacked: dict[int, m.Status] = {}
        self._pending = asyncio.Event()
        self._sent: list[int] = []
        self._acked = asyncio.Event()
        self._hurry = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._asking: Asking | None = None
        self._tasks = Tasks()

    @property
    def connected(self) -> bool:
        return self._asking is not None

    # --- for the agent
    def report(self, status: WorkloadStatus) -> None:
        """The latest of each workload is delivered. The last one follows the container's last lines."""
        if status.phase == "STOPPED" and self._spool.acked < self._spool.end:
            self._tasks.spawn(self._report_last(status), f"report {status.id}")
            return
        self._workloads[status.id] = status
        self._pending.set()

    async def _report_last(self, status: WorkloadStatus) -> None:
        self._hurry.set()
        last = self._spool.end
        while True:
            connection, before = self._asking, self._spool.acked
            if await self._spool.drained(last, _LAST_LINES):
                break
            if connection is not None and connection is self._asking and self._spool.acked == before:
                break  # a server that takes no lines does not hold up the end
        self._workloads[status.id] = status
        self._pending.set()

    def report_balancers(self, statuses: Sequence[BalancerStatus]) -> None:
        for status in statuses:
            self._balancers[status.id] = status
        self._pending.set()

    def report_info(self, info: m.NodeInfo) -> None:
        """May be called as often as one looks: it is told when it is not what the server knows."""
        self._info = info if info != self._told else None
        self._pending.set()

    async def ask(self, what: str, question: Any, timeout: float = 10.0) -> Any:
        """Ask the server. Raises Temporary when it does not answer, Permanent in its words."""
        if self._asking is None:
            raise Temporary("the server is not connected")
        return await self._asking.ask(what, question, timeout)

    # --- the loop that apps runs
    async def run(self, handler: Handler) -> None:
        """For ever."""
        wait = _FIRST_WAIT
        try:
            while True:
                try:
                    if await self._connect(handler):
                        wait = _FIRST_WAIT
                except (OSError, asyncio.IncompleteReadError, TimeoutError) as e:
                    log.debug("the link to the server: %s", e)
                except Permanent as e:
                    log.warning("the link to the server: %s", e)
                _end_if_cancelled()
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, _LONGEST_WAIT)
        finally:
            await self._tasks.close(1.0)

    async def _connect(self, handler: Handler) -> bool:
        """One connection's life. True when the server took this node in."""
        reader, writer = await asyncio.open_unix_connection(str(self._parts.path))
        self._writer = writer
        try:
            self._told = info = await self._parts.info()
            self._send(m.Hello(self._parts.node, self._parts.token(), m.VERSION, info))
            async with asyncio.timeout(_SILENCE):
                welcome = await m.receive(reader)
            if not isinstance(welcome, m.Welcome) or welcome.identity != self._parts.identity:
                raise Permanent("the server has another store than the one that this node belongs to")
            await self._serve(reader, handler)
            return True
        finally:
            self._writer = None
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, handler: Handler) -> None:
        self._asking = asking = Asking(self._send, handler.answer)
        self._send_again()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop) for loop in (self._send_reports(), self._send_lines(), self._beat())]
                try:
                    await self._listen(reader, handler, asking)
                finally:
                    for task in tasks:
                        task.cancel()
        except* (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except* Permanent as wrong:
            log.warning("the link to the server: %s", wrong.exceptions[0])
        finally:
            self._asking = None
            await asking.close()

    def _send(self, message: m.AnyMessage) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(m.encode(message))

    async def _listen(self, reader: asyncio.StreamReader, handler: Handler, asking: Asking) -> None:
        gathered: list[m.Assign] | None = None
        while True:
            async with asyncio.timeout(_SILENCE):
                message = await m.receive(reader)
            match message:
                case m.SnapshotBegin():
                    gathered = []
                case m.SnapshotEnd():
                    told = gathered or []
                    gathered = None
                    handler.snapshot(
                        [a for part in told for a in part.workloads],
                        [v for part in told for v in part.vpcs],
                        [b for part in told for b in part.balancers],
                    )
                case m.Assign():
                    if gathered is None:
                        handler.changed(message)
                    else:
                        gathered.append(message)
                case m.StatusAck():
                    self._status_acked(message.seq, handler)
                case m.LogsAck():
                    self._lines_acked(message.position)
                case m.Ask():
                    asking.asked(message)
                case m.Reply():
                    asking.replied(message)
                case m.Ping():
                    pass
                case _:
                    raise Permanent(f"a server does not say {type(message).__name__}")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            self._send(m.Ping())

    # --- status
    def _send_again(self) -> None:
        """What was on its way when the link broke, unless there is newer by now."""
        for _, lost in sorted(self._unacked.items(), reverse=True):
            for workload in lost.workloads:
                self._workloads.setdefault(workload.id, workload)
            for balancer in lost.balancers:
                self._balancers.setdefault(balancer.id, balancer)
        self._unacked.clear()
        self._pending.set()

    async def _send_reports(self) -> None:
        while True:
            await self._pending.wait()
            self._pending.clear()
            if not (self._workloads or self._balancers or self._info) or len(self._unacked) >= _UNACKED:
                continue
            self._seq += 1
            workloads = [self._workloads.pop(id) for id in tuple(self._workloads)[:_MOST]]
            message = m.Status(self._seq, tuple(workloads), tuple(self._balancers.values()), self._info)
            self._told = self._info or self._told
            self._balancers, self._info = {}, None
            if self._workloads:
                self._pending.set()
            self._unacked[self._seq] = message
            self._send(message)
            if self._writer:
                await self._writer.drain()

    def _status_acked(self, seq: int, handler: Handler) -> None:
        for number in [n for n in self._unacked if n <= seq]:
            for status in self._unacked.pop(number).workloads:
                if status.phase == "STOPPED":
                    handler.acknowledged(status.id)
        self._pending.set()

    # --- lines
    async def _send_lines(self) -> None:
        self._sent = []
        position = self._spool.acked
        while True:
            while len(self._sent) >= _IN_FLIGHT:
                self._acked.clear()
                await self._acked.wait()
            self._spool.arrived.clear()
            before = position
            position, batches = self._spool.read(position, _CHUNK)
            if not batches:
                await self._spool.arrived.wait()
                continue
            self._sent.append(position)
            self._send(m.Logs(self._spool.name, position, batches))
            if self._writer:
                await self._writer.drain()
            if position - before < _CHUNK // 4:
                await self._gather()

    async def _gather(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER):
                await self._hurry.wait()
        self._hurry.clear()

    def _lines_acked(self, position: int) -> None:
        self._spool.acknowledge(position)
        self._sent = [p for p in self._sent if p > position]
        self._acked.set()


def _end_if_cancelled() -> None:
    """A TaskGroup that is ending because of an error swallows a cancellation (until Python 3.13)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
