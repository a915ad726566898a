"""One node's link, on the server's side: the snapshot, then changes; status and lines written down and acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from havre.control.nodelink import messages as m
from havre.control.nodelink.asking import Asking
from havre.control.nodes import BALANCER, VPC, WORKLOAD, BalancerReport, NodeStatus, WorkloadReport
from havre.core.workload_status import PHASES
from havre.kernel.balancer import BalancerStatus
from havre.kernel.errors import Conflict, Gone, Permanent, Temporary
from havre.kernel.resource import Key
from havre.kernel.workload import WorkloadStatus
from havre.store.ports import Change, Transaction

if TYPE_CHECKING:
    from havre.control.nodelink.hub import Hub

log = logging.getLogger("havre.nodelink")

_CHUNK = 50
_HEARTBEAT = 10.0
_SILENCE = 35.0
_RETRY = 0.5


class Session:
    def __init__(self, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._hub = hub
        self._store = hub.parts.store
        self._reader = reader
        self._writer = writer
        self._node = ""
        self._reports: asyncio.Queue[m.Status] = asyncio.Queue()
        self._lines: asyncio.Queue[m.Logs] = asyncio.Queue(maxsize=16)
        self._workloads: dict[str, Key] = {}
        self._balancers: dict[str, Key] = {}
        self._told = asyncio.Event()
        """Set once the snapshot is on its way: only from then on is it known whose reports are whose."""
        self.asking = Asking(self._send, lambda what, body: hub.parts.answer(self._node, what, body))

    def close(self) -> None:
        self._writer.close()

    def _send(self, message: m.AnyMessage) -> None:
        if not self._writer.is_closing():
            self._writer.write(m.encode(message))

    async def run(self) -> None:
        """Returns when the node has gone. Raises ConnectionError, asyncio.IncompleteReadError likewise."""
        async with asyncio.timeout(_SILENCE):
            hello = await m.receive(self._reader)
        if not isinstance(hello, m.Hello) or not self._hub.admits(hello.token):
            log.warning("a node was refused: it does not know the token")
            return
        if hello.version != m.VERSION:
            log.warning("node %s speaks version %s of the link", hello.node, hello.version)
            return
        self._node = hello.node
        self._send(m.Welcome(self._hub.parts.identity))
        try:
            await self._hub.join(hello.node, self, _node_status(hello.info))
            async with asyncio.TaskGroup() as group:
                loops = [self._stream(), self._write_reports(), self._write_lines(), self._beat()]
                tasks = [group.create_task(loop) for loop in loops]
                try:
                    await self._listen()
                finally:
                    for task in tasks:
                        task.cancel()
        except* (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            await self.asking.close()
            await self._hub.leave(self._node, self)

    async def _listen(self) -> None:
        while True:
            async with asyncio.timeout(_SILENCE):
                message = await m.receive(self._reader)
            self._hub.heard = self._hub.parts.world.now()
            match message:
                case m.Status():
                    self._reports.put_nowait(message)
                case m.Logs():
                    await self._lines.put(message)
                case m.Ask():
                    self.asking.asked(message)
                case m.Reply():
                    self.asking.replied(message)
                case m.Ping():
                    pass
                case _:
                    raise Permanent(f"a node does not say {type(message).__name__}")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            self._send(m.Ping())

    # --- assignments
    async def _stream(self) -> None:
        feed = self._store.subscribe((WORKLOAD.name, VPC.name, BALANCER.name))
        try:
            await self._store.settled()
            snapshot = self._store.revision
            await self._snapshot()
            async for changes in feed:
                for chunk in _chunks([c for c in changes if c.revision > snapshot]):
                    message = self._assign(chunk)
                    if message is not None:
                        self._send(message)
                await self._writer.drain()
        finally:
            feed.close()
        raise ConnectionError("the feed has ended")

    async def _snapshot(self) -> None:
        self._send(m.SnapshotBegin())
        workloads = self._store.find(WORKLOAD, "node", self._node)
        balancers = self._store.find(BALANCER, "node", self._node)
        self._workloads = {r.spec.workload.id: r.key for r in workloads}
        self._balancers = {r.spec.balancer.id: r.key for r in balancers}
        for vpcs in _chunks(self._store.list(VPC)):
            self._send(m.Assign(vpcs=tuple(r.spec.vpc for r in vpcs)))
        for some in _chunks(workloads):
            self._send(m.Assign(tuple(m.Assignment(r.spec.workload, r.status.report) for r in some)))
            await self._writer.drain()
        for few in _chunks(balancers):
            self._send(m.Assign(balancers=tuple(r.spec.balancer for r in few)))
        self._send(m.SnapshotEnd())
        self._told.set()
        await self._writer.drain()

    def _assign(self, changes: Sequence[Change]) -> m.Assign | None:
        """What these changes mean for this node; None when nothing."""
        found: dict[str, list[Any]] = {f: [] for f in m.Assign.__struct_fields__}
        for change in changes:
            old = change.old.spec if change.old else None
            new = change.new.spec if change.new else None
            if old == new:
                continue
            if change.key.kind == VPC.name:
                _put(found, "vpcs", old and old.vpc.id, new and new.vpc)
            elif change.key.kind == BALANCER.name:
                mine = [s.balancer if s and s.node == self._node else None for s in (old, new)]
                _put(found, "balancers", mine[0] and mine[0].id, mine[1])
                _index(self._balancers, change.key, *mine)
            else:
                ours = [s.workload if s and s.node == self._node else None for s in (old, new)]
                report = change.new.status.report if change.new else None
                _put(found, "workloads", ours[0] and ours[0].id, ours[1] and m.Assignment(ours[1], report))
                _index(self._workloads, change.key, *ours)
        if not any(found.values()):
            return None
        return m.Assign(**{field: tuple(values) for field, values in found.items()})

    # --- reports
    async def _write_reports(self) -> None:
        """Whatever has come in meanwhile, in one transaction; acknowledged when it is durable."""
        await self._told.wait()
        while True:
            batch = [await self._reports.get()]
            while not self._reports.empty():
                batch.append(self._reports.get_nowait())
            workloads = {s.id: s for message in batch for s in message.workloads}
            balancers = {s.id: s for message in batch for s in message.balancers}
            info = next((b.info for b in reversed(batch) if b.info), None)
            while True:
                try:
                    if info:
                        await self._hub.write_node(self._node, lambda old: _node_status(info, old.since))  # noqa: B023
                    await self._store.transact(lambda tx: self._report(tx, workloads, balancers))  # noqa: B023
                    break
                except (Temporary, Conflict, Gone):
                    await asyncio.sleep(_RETRY)
            self._send(m.StatusAck(batch[-1].seq))

    def _report(
        self, tx: Transaction, workloads: dict[str, WorkloadStatus], balancers: dict[str, BalancerStatus]
    ) -> None:
        for id, status in workloads.items():
            key = self._workloads.get(id)
            seen = key and tx.get(WORKLOAD, key.account, key.region, key.name)
            if seen and seen.spec.node == self._node and _is_later(seen.status.report, status):
                tx.update(seen, status=WorkloadReport(status))
        for id, state in balancers.items():
            where = self._balancers.get(id)
            found = where and tx.get(BALANCER, where.account, where.region, where.name)
            if found and found.spec.node == self._node and found.status.report != state:
                tx.update(found, status=BalancerReport(state))

    # --- lines
    async def _write_lines(self) -> None:
        while True:
            message = await self._lines.get()
            if message.position > self._hub.logged(self._node, message.spool):
                await asyncio.gather(*(self._keep(batch) for batch in message.batches))
                self._hub.note_logged(self._node, message.spool, message.position)
            self._send(m.LogsAck(message.position))

    async def _keep(self, batch: m.LogBatch) -> None:
        """What cannot be kept for a reason that stays (the group was deleted) is dropped, with a word."""
        while True:
            try:
                await self._hub.parts.on_logs(batch.stream, batch.lines)
                return
            except Temporary as e:
                await asyncio.sleep(max(e.after, _RETRY))
            except Exception as e:
                where = f"{batch.stream.group}/{batch.stream.stream}"
                log.warning("%d lines for %s were refused: %s", len(batch.lines), where, e)
                return


def _node_status(info: m.NodeInfo, since: float = 0.0) -> NodeStatus:
    return NodeStatus(connected=True, since=since, **msgspec.structs.asdict(info))


def _is_later(old: WorkloadStatus | None, new: WorkloadStatus) -> bool:
    """Forwards only, and never again once STOPPED."""
    if old is None:
        return True
    return old != new and old.phase != "STOPPED" and PHASES.index(new.phase) >= PHASES.index(old.phase)


def _put(found: dict[str, list[Any]], field: str, old: str | None, new: Any) -> None:
    if new is not None:
        found[field].append(new)
    elif old:
        found[f"removed_{field}"].append(old)


def _index(keys: dict[str, Key], key: Key, old: Any, new: Any) -> None:
    if new is not None:
        keys[new.id] = key
    elif old is not None:
        keys.pop(old.id, None)


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
