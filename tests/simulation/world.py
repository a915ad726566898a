"""Everything at once, in one process and in virtual time: the server, nodes with the real agent, the link between them.

What outlives a crash is kept here: the store, the engines, the other services of AWS, the nodes' spools. A process is
started again a moment after it has died. ``simulate`` runs a scenario in it and says what was broken.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import looptime

from havre.control import nodes
from havre.control.nodes import VPC, WORKLOAD, VpcSpec
from havre.control.operation import Site
from havre.engines.fake import Program
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.kernel.resource import NoStatus
from havre.kernel.vpc import Subnet, Vpc
from havre.kernel.world import World
from havre.services import ecs
from havre.services.ecs.ledger import Ledger, ledger_of
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.resources import TASK
from havre.store.memory import MemoryJournal
from tests.simulation.balance import Balanced
from tests.simulation.fate import Fate, belonging
from tests.simulation.monitor import Broken, Monitor, WatchedStore
from tests.simulation.net import Net
from tests.simulation.processes import ACCOUNT, REGION, Node, Process, Server
from tests.simulation.service_rules import ServiceRules

START = 1_800_000_000.0
AFTERWARDS = 400.0
"""Seconds that everything has to come to rest: a resync is among them."""


class Unreachable(Exception):
    """The server was not there, or died before it answered."""


class _Errors(logging.Handler):
    """What is logged as an error is a bug of ours: everything foreseen is less."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Simulation:
    def __init__(self, seed: int, directory: Path, fate: Fate, machines: int = 2) -> None:
        self.afterwards = AFTERWARDS
        self.chance = Random(f"{seed} world")
        self.fate = fate
        self.directory = directory
        self.world = World(lambda: START + asyncio.get_running_loop().time(), Random(f"{seed} ids"))
        self.site = Site()
        self.service = ecs.service()
        self.store = WatchedStore((*self.service.kinds, *nodes.KINDS), self.world)
        self.monitor = self.store.monitor = Monitor()
        self.journal = MemoryJournal()
        self.rules = ServiceRules(self.monitor, self.store)
        self.monitor.parts.append(self.rules.seen)
        self.aws = Balanced(self.world, self.store, self._serves)
        self.net = Net(Random(f"{seed} net"))
        self.programs: dict[str, Program] = {}
        self.faults: list[str] = []
        self.lines: dict[tuple[str, str], list[int]] = {}
        self.server = Server(self, "server")
        self.nodes = [Node(self, f"node-{n + 1}") for n in range(machines)]

    def _serves(self, id: str, port: int) -> bool:
        """Whether a container listens at this target."""
        at = [n for n in self.nodes if nodes.ec2_instance(n.name) == id]
        if at:
            return any(p.host_port == port for s in at[0].engine.running for p in s.ports)
        eni = next((e for e, i in self.aws.interfaces.items() if i["PrivateIpAddress"] == id), "")
        found = [t for t in self.store.list(TASK) if t.status.interface and t.status.interface.eni == eni]
        return any(
            s.workload == t.meta.name and s.container for t in found for n in self.nodes for s in n.engine.running
        )

    async def keep_lines(self, stream: Any, lines: Any) -> None:
        self.lines.setdefault((stream.workload, stream.container), []).extend(at for at, _ in lines)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Of nobody's life."""
        asyncio.get_running_loop().create_task(work, context=Context())

    def fill_disk(self) -> None:
        def refuse() -> None:
            raise Temporary("the disk did not take the write: it is full")

        self.store.fault = refuse

    def free_disk(self) -> None:
        self.store.fault = None

    # --- what a user does
    async def once(self, operation: str, **request: Any) -> dict[str, Any]:
        """One try. Raises Unreachable, Temporary, ApiError."""
        life = self.server.life
        if life.dead:
            raise Unreachable
        call = life.begin(self.server.invoke(operation, request))
        await asyncio.wait([call])
        if call.cancelled():
            raise Unreachable
        return call.result()

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """As an SDK does: again until there is an answer. Raises ApiError."""
        while True:
            try:
                return await self.once(operation, **request)
            except (Unreachable, Temporary, Permanent):  # the last is answered with 500, as any surprise
                await asyncio.sleep(0.5)

    async def tasks(self, **filters: Any) -> list[dict[str, Any]]:
        arns: list[str] = []
        for state in ("RUNNING", "STOPPED"):
            arns += (await self.ask("ListTasks", desiredStatus=state, **filters))["taskArns"]
        found = [await self.ask("DescribeTasks", tasks=arns[n : n + 100]) for n in range(0, len(arns), 100)]
        return [task for answer in found for task in answer["tasks"]]

    async def until(self, holds: Callable[[], Any], what: str, patience: float = 900.0) -> None:
        """Wait (in virtual time) for what has to come."""
        end = self.world.now() + patience
        while not holds():
            if self.world.now() > end:
                raise Broken(f"never happened: {what}")
            await asyncio.sleep(0.25)

    # --- its life
    async def run(self, scenario: Callable[[Simulation], Awaitable[None]]) -> None:
        processes: list[Process] = [self.server, *self.nodes]
        await self._networks()
        loops = [*(p.run() for p in processes), *(n.write_lines() for n in self.nodes)]
        for loop in loops:
            asyncio.get_running_loop().create_task(loop)
        try:
            await scenario(self)
            self.fate.over = True
            await asyncio.sleep(self.afterwards)
            self.at_rest()
        finally:
            for process in processes:
                process.life.kill()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.wait(rest, timeout=60)

    async def _networks(self) -> None:
        subnets = tuple(Subnet(f"subnet-{zone}", f"172.31.{n}.0/24", zone) for n, zone in enumerate("abc"))
        vpc = Vpc("vpc-1", ("172.31.0.0/16",), subnets)
        key = {"account": ACCOUNT, "region": REGION, "name": vpc.id, "arn": vpc.id}
        await self.store.transact(lambda tx: tx.create(VPC, **key, spec=VpcSpec(vpc), status=NoStatus()))

    # --- what holds when nothing is under way
    def at_rest(self) -> None:
        demand, tasks = self.monitor.demand, {t.meta.name: t for t in self.store.list(TASK)}
        for id, task in tasks.items():
            resting = "STOPPED" if task.spec.desired == "STOPPED" else task.status.last
            demand(resting in ("RUNNING", "STOPPED"), f"task {id[:8]} is {resting} for ever")
            demand(task.status.last == resting, f"task {id[:8]} is wanted {resting}, and is {task.status.last}")
        alive = {id for id, t in tasks.items() if t.status.last == "RUNNING"}
        told = {w.meta.name: w.spec.node for w in self.store.list(WORKLOAD)}
        demand(set(told) == alive, f"workloads {_short(set(told) ^ alive)} are told or missing")
        for node in self.nodes:
            self._machine(node, {id for id in alive if tasks[id].spec.node == node.name})
        enis = {t.status.interface.eni for id, t in tasks.items() if id in alive and t.status.interface}
        demand(set(self.aws.interfaces) == enis, f"interfaces {set(self.aws.interfaces) ^ enis} are orphans or missing")
        self._reservations()
        self.rules.at_rest(len(self.nodes))
        self._targets([t for id, t in tasks.items() if id in alive])

    def _targets(self, alive: Sequence[TaskRecord]) -> None:
        wanted = {target for t in alive for target in t.status.registered}
        there = {(group, *at) for group, targets in self.aws.groups.items() for at in targets}
        self.monitor.demand(there == wanted, f"targets {there ^ wanted} are left or missing")

    def _machine(self, node: Node, mine: set[str]) -> None:
        demand = self.monitor.demand
        there = {s.workload for s in node.engine.existing}
        demand(there <= mine, f"containers of {_short(there - mine)} are orphans on {node.name}")
        up = {s.workload for s in node.engine.running}
        demand(mine <= up, f"tasks {_short(mine - up)} are RUNNING, and their containers are not on {node.name}")
        orphans = {i.eni for i, _ in node.network.attached.values()} - set(self.aws.interfaces)
        demand(not orphans, f"{orphans} are attached on {node.name} and exist no more")
        demand(set(node.engine.volumes.values()) <= mine, f"volumes are left on {node.name}")
        refused = any(what == "permanent" and effect.endswith("keep_lines") for _, effect, what in self.fate.happened)
        for key, count in node.written.items():
            if refused:  # there was nowhere for them to go
                break
            kept = list(dict.fromkeys(self.lines.get(key, ())))
            demand(kept[:count] == list(range(count)), f"of {count} lines of {_short(key)} these were kept: {kept}")

    def _reservations(self) -> None:
        """The ledger in memory is what a fresh one makes of the store."""
        kept, fresh = ledger_of(self.server.store), Ledger()
        fresh.load(self.store)
        for node in self.nodes:
            one, other = kept.machine(node.name), fresh.machine(node.name)
            same = (one.free_cpu, one.free_memory, one.tcp, one.error) == (
                other.free_cpu,
                other.free_memory,
                other.tcp,
                other.error,
            )
            self.monitor.demand(same, f"the ledger of {node.name} is wrong")

    def check(self, errors: list[str]) -> None:
        """Raises Broken with all that was."""
        for node in self.nodes:
            for (workload, container), count in node.engine.starts.items():
                words = f"container {container!r} of {workload[:8]} was started {count} times"
                again = node.engine.vanished[workload, container]  # before anybody had heard that it was there
                self.monitor.demand(not container or count <= 1 + again, words)
        on = [{w for w, _ in node.engine.creations} for node in self.nodes]
        twice = [w for n, some in enumerate(on) for more in on[n + 1 :] for w in some & more]
        self.monitor.demand(not twice, f"tasks {_short(twice)} were on two nodes")
        broken = [*dict.fromkeys(self.monitor.broken), *errors, *self.faults]
        if broken:
            raise Broken("\n".join(broken[:20]))


def _short(ids: Any) -> list[str]:
    return sorted(id[:8] for id in ids)


def simulate(
    scenario: Callable[[Simulation], Awaitable[None]], seed: int = 1, fate: Fate | None = None, machines: int = 2
) -> Simulation:
    """Run it to its end. Raises Broken (or what the scenario asserts) with what is needed to see it again."""
    fate = fate or Fate(Random(f"{seed} fate"))
    errors, loop = _Errors(), looptime.new_event_loop(start=0, noop_cycles=0)
    loop.set_task_factory(belonging)
    logger = logging.getLogger("havre")
    logger.addHandler(errors)
    try:
        with tempfile.TemporaryDirectory() as directory:
            sim = Simulation(seed, Path(directory), fate, machines)
            with (
                patch.object(asyncio, "open_unix_connection", sim.net.open_unix_connection),
                patch.object(asyncio, "start_unix_server", sim.net.start_unix_server),
            ):
                loop.run_until_complete(sim.run(scenario))
            sim.check(errors.lines)
            return sim
    except (AssertionError, ApiError) as broken:
        story = "\n".join(f"  {n}: {effect}: {what}" for n, effect, what in fate.happened[-30:])
        told = f"seed {seed}, {len(fate.effects)} effects, of which\n{story or '  all went well'}"
        again = "PYTHONHASHSEED=" + os.environ.get("PYTHONHASHSEED", "… (not set: the seed does not repeat itself)")
        raise Broken(f"{broken}\n{told}\n{again}") from broken
    finally:
        logger.removeHandler(errors)
        loop.close()
