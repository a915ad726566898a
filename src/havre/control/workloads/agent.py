"""The node's agent: a worker a workload, the machine's networks, and what nobody asked for any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from havre.control.nodelink.messages import TRAFFIC, USAGE, Assign, Assignment, LogStream
from havre.control.tasks import Tasks
from havre.control.terminals import messages as questions
from havre.control.workloads.networks import Networks
from havre.control.workloads.parts import AgentParts, View
from havre.control.workloads.steps import connect
from havre.control.workloads.usage import measure
from havre.control.workloads.worker import Worker
from havre.core.workload_steps import needs_sandbox
from havre.engines.ports import RunState
from havre.kernel.balancer import Balancer
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.vpc import Vpc

log = logging.getLogger("havre.node")

_RESYNC = 300.0
_RETRY = 1.0
_PARALLEL_CREATES = 4
_ORPHAN_PATIENCE = 10.0
_LAST_PATIENCE = 10.0
"""Seconds that containers have for their end when everything is removed, whatever their stop timeout."""
_LAST_WORD = 8.0
"""Seconds more for last lines and the server's word that it knows."""

Questions = Mapping[str, Callable[[Any], Awaitable[Any]]]


class NodeAgent:
    """Handler of the link (control/nodelink/client.py). ``run`` is the loop that apps declares."""

    def __init__(self, parts: AgentParts) -> None:
        self.parts = parts
        self.tasks = Tasks()
        self.creates = asyncio.Semaphore(_PARALLEL_CREATES)
        self.networks = Networks(parts, self._vpcs_in_use)
        self._workers: dict[str, Worker] = {}
        self.told = asyncio.Event()
        """Set once the server has said what is to run here."""
        self._sweeping = False
        self._trouble = ""
        """What the last sweep met with."""
        self._stopping = False

    # --- what the server says
    def snapshot(self, workloads: Sequence[Assignment], vpcs: Sequence[Vpc], balancers: Sequence[Balancer]) -> None:
        self.networks.forget_told()
        self.networks.replace(vpcs, balancers)
        wanted = {a.workload.id for a in workloads}
        for id, worker in tuple(self._workers.items()):
            if id not in wanted:
                worker.abandon()
        for assignment in workloads:
            self._assign(assignment)
        self.told.set()
        self._sweep()

    def changed(self, change: Assign) -> None:
        self.networks.update(change.vpcs, change.balancers)
        if change.removed_vpcs or change.removed_balancers:
            self.networks.remove(set(change.removed_vpcs), set(change.removed_balancers))
        for assignment in change.workloads:
            self._assign(assignment, fresh=assignment.report is None)
        for id in change.removed_workloads:
            if worker := self._workers.get(id):
                worker.abandon()

    def _assign(self, assignment: Assignment, fresh: bool = False) -> None:
        """``fresh``: it was placed here just now, so that there can be nothing of it yet."""
        if self._stopping:
            return
        workload = assignment.workload
        worker = self._workers.get(workload.id)
        if worker is None:
            worker = self._workers[workload.id] = Worker(self, workload, assignment.report)
            if fresh:
                worker.learn([])
                return
            worker.refresh()
            self.tasks.spawn(self._reconnect(worker), f"connect {workload.id} again")
        else:
            worker.assign(workload)

    async def _reconnect(self, worker: Worker) -> None:
        """A restarted node opens again what lives in this process: interface rules, metadata endpoint."""
        if worker.status is None:
            return
        while worker.memory.stopping is None and not worker.idle.is_set():
            await worker.known.wait()
            if not needs_sandbox(worker.workload) or worker.sandbox:
                try:
                    await connect(worker)
                    return
                except (Temporary, Permanent, Gone) as e:
                    log.info("workload %s: %s", worker.workload.id, e)
            elif worker.memory.sandboxed:
                return  # it is lost, which ends the workload
            await asyncio.sleep(_RETRY)

    def acknowledged(self, workload: str) -> None:
        if worker := self._workers.get(workload):
            worker.acknowledged()

    async def answer(self, what: str, question: Any) -> Any:
        """The server's questions: what all workloads use, what load balancers have done; about a workload's container its
        stats, logs, a command, a command on a terminal."""
        if what == USAGE:
            return await measure(self.parts.containers, self._workers.items())
        if what == TRAFFIC:
            return dict(await self.parts.balancer.traffic())
        state = self._container(question)
        match what:
            case "stats":
                return dict(await self.parts.containers.stats(state.id))
            case "logs":
                return await self.parts.containers.logs(state.id, int(question.get("tail", 100)))
            case "exec":
                code, output = await self.parts.containers.exec(state.id, list(question["command"]))
                return {"exit_code": code, "output": output}
            case questions.OPEN if self.parts.terminals is not None:
                return await self.parts.terminals.open(state.id, msgspec.convert(question, questions.Question))
            case _:
                raise Gone(f"a node does not answer {what}")

    def _container(self, question: Any) -> RunState:
        worker = self._workers.get(question["workload"])
        state = worker.containers.get(question["container"]) if worker else None
        if state is None:
            raise Gone(f"no container {question['container']} of {question['workload']} is on this node")
        return state

    # --- for the metadata endpoint
    def views(self) -> Sequence[View]:
        return [worker.view for worker in self._workers.values()]

    def log_stream(self, workload: str, container: str) -> LogStream | None:
        """Where lines go; None for what is not of this node."""
        worker = self._workers.get(workload)
        return worker.log_stream(container) if worker else None

    def ports(self) -> frozenset[int]:
        """Host ports that workloads of this node have, or are to have."""
        workers = [w for w in self._workers.values() if w.workload.network != "awsvpc"]
        bound = {p.host_port for w in workers if w.status for c in w.status.containers for p in c.ports}
        return frozenset(bound | {p.host_port for w in workers for c in w.workload.containers for p in c.ports})

    def _vpcs_in_use(self) -> set[str]:
        return {w.workload.interface.vpc for w in self._workers.values() if w.workload.interface}

    # --- workers
    def others(self, worker: Worker) -> frozenset[str]:
        """The workloads of this machine but for one."""
        return frozenset(self._workers) - {worker.workload.id}

    def finished(self, worker: Worker) -> None:
        """Nothing is left of it here."""
        worker.close()
        if self._workers.get(worker.workload.id) is worker:
            del self._workers[worker.workload.id]
            self.networks.released()

    # --- the loop
    async def run(self) -> None:
        """For ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._resync())
                group.create_task(self.networks.run())
                group.create_task(self.networks.watch())
        finally:
            for worker in self._workers.values():
                worker.close()
            await self.tasks.close(2.0)

    async def _watch(self) -> None:
        async for workload in self.parts.containers.events():
            if not workload:
                for worker in tuple(self._workers.values()):
                    worker.refresh()
                self._sweep()
            elif worker_ := self._workers.get(workload):
                worker_.refresh()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(_RESYNC)
            for worker in tuple(self._workers.values()):
                worker.refresh()
            self._sweep()

    # --- orphans
    def _sweep(self) -> None:
        if self.told.is_set() and not self._sweeping and not self._stopping:
            self._sweeping = True
            self.tasks.spawn(self._remove_orphans(), "sweep")

    async def _remove_orphans(self) -> None:
        """Containers and interfaces of this instance that belong to nothing that the server has told of."""
        try:
            found = await self.parts.containers.containers()
            orphans = [s for s in found if s.workload not in self._workers]
            for state in sorted(orphans, key=lambda s: not s.container):
                log.info("container %s belongs to nothing: it is removed", state.name)
                await self.parts.containers.stop(state.id, _ORPHAN_PATIENCE)
                await self.parts.containers.remove(state.id)
            for workload in await self.parts.containers.volume_owners():
                if workload not in self._workers:
                    await self.parts.containers.remove_volumes(workload)
            await self.parts.containers.tidy(frozenset(self._workers))
            if not self.parts.network.available():
                there = set(await self.parts.network.interfaces())
                mine = {w.workload.interface.eni for w in self._workers.values() if w.workload.interface}
                for eni in there - mine - set(self.parts.kept()):
                    await self.parts.network.detach(eni)
            self._trouble = ""
        except (Temporary, Permanent, Gone) as e:
            if str(e) != self._trouble:  # an engine may be away for days
                log.info("sweep: %s", e)
            self._trouble = str(e)
            await asyncio.sleep(_RETRY)
            self.tasks.spawn(self._sweep_again(), "sweep")
        finally:
            self._sweeping = False

    async def _sweep_again(self) -> None:
        self._sweep()

    # --- the end
    async def stop(self, remove_everything: bool) -> None:
        """``remove_everything``: stop and remove each container, network and balancer of this instance, and let the
        server know how the workloads ended if it listens; otherwise leave them running, to be found again by the next
        start."""
        self._stopping = True
        if not remove_everything:
            return
        workers = tuple(self._workers.values())
        for worker in workers:
            reason = f"Host EC2 (instance {self.parts.instance_name}) terminated."
            worker.end("TerminationNotice", reason, _LAST_PATIENCE)
        await _all_idle(workers, _LAST_PATIENCE + _LAST_WORD)
        for worker in workers:
            worker.abandon()
        await _all_idle(workers, _LAST_WORD)
        await self.networks.stop()
        await remove_all(self.parts)


async def _all_idle(workers: Sequence[Worker], patience: float) -> None:
    waits = [asyncio.ensure_future(w.idle.wait()) for w in workers]
    if waits:
        _, late = await asyncio.wait(waits, timeout=patience)
        for wait in late:
            wait.cancel()


async def remove_all(parts: AgentParts) -> None:
    """Everything that this instance has on this machine, whoever made it and whenever. Raises what engines raise, at
    the end."""
    trouble: list[Exception] = []
    for remove in (_remove_containers, _remove_networks):
        try:
            await remove(parts)
        except (Temporary, Permanent, Gone) as e:
            if parts.met() or remove is not _remove_containers:
                trouble.append(e)
    if trouble:
        raise trouble[0]


async def _remove_containers(parts: AgentParts) -> None:
    containers = parts.containers
    found = await containers.containers()
    await asyncio.gather(*(containers.stop(s.id, _LAST_PATIENCE) for s in found if s.container))
    for state in sorted(found, key=lambda s: not s.container):
        await containers.stop(state.id, 1.0)
        await containers.remove(state.id)
    await containers.remove_volumes(None)
    if parts.shares is not None:
        await asyncio.to_thread(parts.shares.release)
    await containers.tidy(())


async def _remove_networks(parts: AgentParts) -> None:
    await parts.balancer.stop()
    if not parts.network.available():
        await parts.network.remove_all()
