"""The node link when the store is slow or refuses: nothing is lost, nothing piles up, nobody is thought to be there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation.net import Net

from havre.control import nodes
from havre.control.nodelink import messages as m
from havre.control.nodelink.client import Link, LinkParts
from havre.control.nodelink.hub import Hub, HubParts, no_answers
from havre.control.nodelink.spool import Spool
from havre.control.nodes import NODE, WORKLOAD, WorkloadReport, WorkloadSpec
from havre.kernel.errors import Temporary
from havre.kernel.workload import Container, Workload, WorkloadStatus
from havre.kernel.world import World
from havre.store.memory import MemoryStore

pytestmark = pytest.mark.looptime
KEY = {"account": "a", "region": "r", "name": "w1", "arn": "arn"}


class SlowStore(MemoryStore):
    """``settling`` seconds until what was read is durable."""

    settling = 0.0

    async def settled(self) -> None:
        await asyncio.sleep(self.settling)


class Told:
    """A node's handler that only listens."""

    def __init__(self) -> None:
        self.acked: list[str] = []
        self.snapshots = 0

    def snapshot(self, workloads: Sequence[Any], vpcs: Any, balancers: Any) -> None:
        self.snapshots += 1

    def changed(self, change: m.Assign) -> None:
        return

    def acknowledged(self, workload: str) -> None:
        self.acked.append(workload)

    async def answer(self, what: str, question: Any) -> Any:
        return None


class Ground:
    def __init__(self, directory: Path) -> None:
        self.world = World(lambda: 1000.0 + asyncio.get_running_loop().time(), Random(1))
        self.store = SlowStore(nodes.KINDS, self.world)
        self.net = Net(Random(1))
        self.hub = Hub(HubParts(self.store, self.world, "me", lambda: "token", self._keep, no_answers))
        self.socket = directory / "node.sock"
        self.spool = Spool(directory / "lines")
        self.link = Link(LinkParts(self.socket, "n1", "me", lambda: "token", self._info, self.spool))
        self.keeping, self.kept = 0.0, 0
        self.told = Told()
        self.engine_error = ""
        self.tasks: list[asyncio.Task[None]] = []

    async def _keep(self, stream: m.LogStream, lines: Sequence[tuple[int, bytes]]) -> None:
        await asyncio.sleep(self.keeping)
        self.kept += len(lines)

    async def _info(self) -> m.NodeInfo:
        return m.NodeInfo(cpu=1024, memory=1024, engine_error=self.engine_error)

    def connected(self) -> bool:
        node = self.store.get(NODE, "", "", "n1")
        return node is not None and node.status.connected

    def report(self) -> WorkloadStatus | None:
        found = self.store.get(WORKLOAD, "a", "r", "w1")
        assert found is not None
        return found.status.report


@asynccontextmanager
async def ground(directory: Path) -> AsyncIterator[Ground]:
    g = Ground(directory)
    work = Workload("w1", "arn", "a", "r", (Container("app", "image"),))
    await g.store.transact(
        lambda tx: tx.create(WORKLOAD, **KEY, spec=WorkloadSpec("n1", work), status=WorkloadReport())
    )
    with (
        patch.object(asyncio, "open_unix_connection", g.net.open_unix_connection),
        patch.object(asyncio, "start_unix_server", g.net.start_unix_server),
    ):
        loop = asyncio.get_running_loop()
        g.tasks = [loop.create_task(g.hub.serve(g.socket)), loop.create_task(g.link.run(g.told))]
        try:
            yield g
        finally:
            for task in g.tasks:
                task.cancel()
            await asyncio.wait(g.tasks)


async def test_a_report_that_comes_before_the_snapshot_is_not_lost(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        g.store.settling = 2.0
        g.link.report(WorkloadStatus("w1", "RUNNING"))
        await asyncio.sleep(10)
        assert g.told.snapshots == 1
        assert g.report() == WorkloadStatus("w1", "RUNNING")


async def test_reports_do_not_pile_up_while_the_store_refuses(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        await asyncio.sleep(1)

        def refuse() -> None:
            raise Temporary("the disk is full")

        g.store.fault = refuse
        for n in range(1000):
            g.link.report(WorkloadStatus("w1", "RUNNING", started=float(n)))
            await asyncio.sleep(0.1)
        assert len(g.link._unacked) <= 8
        g.store.fault = None
        await asyncio.sleep(5)
        assert g.report() == WorkloadStatus("w1", "RUNNING", started=999.0)


async def test_a_node_that_goes_while_the_store_refuses_is_not_thought_to_be_there(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        await asyncio.sleep(1)
        assert g.connected()

        def refuse() -> None:
            raise Temporary("the disk is full")

        g.store.fault = refuse
        g.tasks[1].cancel()
        g.net.cut()
        await asyncio.sleep(5)
        g.store.fault = None
        await asyncio.sleep(5)
        assert not g.connected()


async def test_a_node_that_cannot_be_written_down_dials_again(tmp_path: Path) -> None:
    refusals = 3

    async with ground(tmp_path) as g:

        def refuse() -> None:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise Temporary("the disk is full")

        g.store.fault = refuse
        await asyncio.sleep(10)
        assert g.connected() and g.hub.nodes == ("n1",)


@pytest.mark.parametrize("later", range(12))
async def test_a_link_that_is_lost_while_it_is_stopped_stops(tmp_path: Path, later: int) -> None:
    async with ground(tmp_path) as g:
        await asyncio.sleep(1)
        g.net.cut()
        for _ in range(later):
            await asyncio.sleep(0)
        g.tasks[1].cancel()
        await asyncio.sleep(5)
        assert g.tasks[1].done()


async def test_thousands_of_reports_fit_into_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "MAX_FRAME", 200_000)
    async with ground(tmp_path) as g:
        for n in range(5_000):
            g.link.report(WorkloadStatus(f"other-{n}", "RUNNING", stop_reason="x" * 100))
        g.link.report(WorkloadStatus("w1", "RUNNING"))
        await asyncio.sleep(10)
        assert g.report() == WorkloadStatus("w1", "RUNNING")


async def test_an_engine_that_was_away_at_the_connection_is_known_to_be_back(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        g.engine_error = "it is being restarted"
        await asyncio.sleep(1)
        g.engine_error = ""
        g.link.report_info(await g._info())
        await asyncio.sleep(1)
        node = g.store.get(NODE, "", "", "n1")
        assert node is not None and node.status.engine_error == "" and node.status.since == 1000.0
        revision = g.store.revision
        g.link.report_info(await g._info())
        await asyncio.sleep(1)
        assert g.store.revision == revision and g.link._seq == 1


LINES = m.LogStream("w1", "app", "a", "r", "group", "stream", {})


async def test_a_stopped_waits_for_its_lines_as_long_as_some_get_through(tmp_path: Path) -> None:
    """The server is slow, and goes away in the middle."""
    async with ground(tmp_path) as g:
        await asyncio.sleep(1)
        g.keeping = 2.0
        for _ in range(40):
            g.spool.append(LINES, [(0, b"x" * 100_000)])
        g.link.report(WorkloadStatus("w1", "STOPPED"))
        await asyncio.sleep(9)
        assert 0 < g.kept < 40 and g.report() is None
        g.tasks[0].cancel()
        await asyncio.sleep(30)
        g.tasks[0] = asyncio.get_running_loop().create_task(g.hub.serve(g.socket))
        while g.report() is None:
            await asyncio.sleep(0.5)
        assert g.spool.acked == g.spool.end and g.kept >= 40


async def test_a_server_that_takes_no_lines_does_not_hold_up_a_stopped(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        await asyncio.sleep(1)
        g.keeping = 10_000.0
        g.spool.append(LINES, [(0, b"x")])
        g.link.report(WorkloadStatus("w1", "STOPPED"))
        await asyncio.sleep(2)
        assert g.report() is None
        await asyncio.sleep(2)
        assert g.report() == WorkloadStatus("w1", "STOPPED")
