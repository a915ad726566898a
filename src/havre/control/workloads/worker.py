"""One workload on this machine: looks, decides (core/workload_steps.py), takes the steps side by side, looks again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from havre.control.nodelink.messages import LogStream
from havre.control.workloads.parts import View, later
from havre.control.workloads.steps import carry_out
from havre.core.workload_status import Memory, Seen, restore
from havre.core.workload_steps import Decision, next_steps, remember
from havre.engines.ports import RunState
from havre.kernel.effects import Effect
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Container, Workload, WorkloadStatus

if TYPE_CHECKING:
    from havre.control.workloads.agent import NodeAgent

log = logging.getLogger("havre.node")

_ENGINE_AWAY = 1.0
_UNHURRIED = 0.3
_ABANDONED = 1.0
"""Seconds that containers get to stop in when nobody knows them any more."""


class Worker:
    """``containers`` and ``sandbox`` mirror the engine; ``generation`` counts what this process changed in them."""

    def __init__(self, agent: NodeAgent, workload: Workload, report: WorkloadStatus | None) -> None:
        self.agent = agent
        self.workload = workload
        self.memory: Memory = restore(workload, report)
        self.status = report
        self.containers: dict[str, RunState] = {}
        self.sandbox: RunState | None = None
        self._streams: dict[str, LogStream] = {}
        self.known = asyncio.Event()
        """Set once the engine has said what it has of this workload."""
        self._generation = 0
        self._busy: set[str] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._refreshing = False
        self._again = False
        self.idle = asyncio.Event()
        """Set when nothing is left to do for good."""

    @property
    def view(self) -> View:
        told = self.workload.interface
        subnet = self.agent.networks.subnet(told.vpc, told.subnet) if told else ""
        return View(self.workload, self.status, self.containers, subnet)

    def log_stream(self, container: str) -> LogStream | None:
        """Where the lines of a container go; None for a container that the workload does not have."""
        stream = self._streams.get(container)
        if stream is None:
            work = self.workload
            for c in work.containers:
                if c.name == container:
                    region = c.log.region or work.region
                    names = c.log.group, c.log.stream, c.log.options
                    stream = self._streams[container] = LogStream(work.id, c.name, work.account, region, *names)
        return stream

    # --- what comes from outside
    def assign(self, workload: Workload) -> None:
        if workload != self.workload:
            self.workload = workload
            self.poke()

    def end(self, code: str, reason: str, patience: float) -> None:
        """This machine ends: stop what runs, with ``patience`` seconds at most for each container, and say why."""
        self.workload = msgspec.structs.replace(
            self.workload,
            containers=self._hurried(patience),
            desired="STOPPED",
            stop_code=code,
            stop_reason=reason,
        )
        self.poke()

    def _hurried(self, patience: float) -> tuple[Container, ...]:
        """The containers, none with more than ``patience`` seconds to stop in."""
        shorter = msgspec.structs.replace
        return tuple(shorter(c, stop_timeout=min(c.stop_timeout, patience)) for c in self.workload.containers)

    def abandon(self) -> None:
        """The server knows it no more (everything was reset): stop what runs at once, clean up, report nothing."""
        self.memory = msgspec.structs.replace(self.memory, acknowledged=True)
        self.workload = msgspec.structs.replace(self.workload, containers=self._hurried(_ABANDONED), desired="STOPPED")
        self.poke()

    def acknowledged(self) -> None:
        self.memory = msgspec.structs.replace(self.memory, acknowledged=True)
        self.poke()

    def poke(self) -> None:
        """Look soon."""
        if self._looking is None and not self.idle.is_set():
            self._looking = later(0.0, self._look)

    def learn(self, states: list[RunState]) -> None:
        """What the engine has of this workload, all of it."""
        self.containers = {s.container: s for s in states if s.container}
        self.sandbox = next((s for s in states if not s.container), None)
        self.known.set()
        self.poke()

    def refresh(self) -> None:
        """Ask the engine, once for however many asked meanwhile."""
        if self._refreshing:
            self._again = True
            return
        self._refreshing = True
        self.agent.tasks.spawn(self._refresh(), f"look at {self.workload.id}")

    async def _refresh(self) -> None:
        told = ""
        try:
            while True:
                self._again = False
                generation = self._generation
                try:
                    states = list(await self.agent.parts.containers.containers(self.workload.id))
                except (Temporary, Permanent, Gone) as e:
                    if str(e) != told:  # an engine that is away says the same for as long
                        told = str(e)
                        log.info("workload %s: %s", self.workload.id, told)
                    await asyncio.sleep(_ENGINE_AWAY)
                    continue
                if generation == self._generation:
                    self.learn(states)
                    if not self._again:
                        return
        finally:
            self._refreshing = False

    def changed(self, name: str, state: RunState | None) -> None:
        """A step of ours has changed a container ("" the sandbox)."""
        self._generation += 1
        if not name:
            self.sandbox = state
        elif state is None:
            self.containers.pop(name, None)
        else:
            self.containers[name] = state

    # --- one look
    def _look(self) -> None:
        self._looking = None
        if not self.known.is_set():
            self.refresh()
            return
        now = self.agent.parts.world.now()
        seen = {name: _seen(state) for name, state in self.containers.items()}
        sandbox = _seen(self.sandbox) if self.sandbox else None
        decision = next_steps(self.workload, seen, sandbox, self.memory, self._busy, now)
        self.memory = decision.memory
        self._report(decision)
        for step in decision.steps:
            self._busy.add(step.key)
            self.agent.tasks.spawn(self._take(step), f"{step.key} of {self.workload.id}")
        if self._wake:
            self._wake.cancel()
            self._wake = None
        if decision.wake_at is not None:
            self._wake = later(decision.wake_at - now, self.poke)
        if decision.done and not self._busy:
            self.idle.set()
            self.agent.finished(self)

    def _report(self, decision: Decision) -> None:
        """At once what somebody may wait for; a step on the way to it with what follows soon."""
        if decision.status == self.status:
            return
        urgent = self.status is None or _shown(decision.status) != _shown(self.status)
        self.status = decision.status
        if urgent:
            self._tell()
        elif self._telling is None:
            self._telling = later(_UNHURRIED, self._tell)

    def _tell(self) -> None:
        if self._telling:
            self._telling.cancel()
            self._telling = None
        if self.status and not self.memory.acknowledged:
            self.agent.parts.reports.report(self.status)

    async def _take(self, step: Effect) -> None:
        error, temporary = "", False
        try:
            await carry_out(self, step)
        except Temporary as e:
            error, temporary = e.reason, True
        except Permanent as e:
            error = e.reason
        except Gone as e:
            error, temporary = str(e), True
        except asyncio.CancelledError:
            raise
        except Exception as e:
            log.exception("%s of %s", step.key, self.workload.id)
            error = f"an error of Havre's: {type(e).__name__}: {e}"
        finally:
            self._busy.discard(step.key)
        if error:
            log.info("workload %s, %s: %s", self.workload.id, step.key, error)
            self._doubt()
        self.memory = remember(self.memory, step.key, error, temporary, self.agent.parts.world.now())
        self.poke()

    def _doubt(self) -> None:
        """What failed may have happened all the same (its answer was lost): nothing more before the engine has said how
        things are. A container that is started twice because of it may have run to its end in between."""
        self._generation += 1
        self.known.clear()
        self.refresh()

    def close(self) -> None:
        for handle in (self._looking, self._wake, self._telling):
            if handle:
                handle.cancel()


def _shown(status: WorkloadStatus) -> tuple[object, ...]:
    """What of a status users see: ECS calls a container PENDING until it runs."""
    containers = [(c.state in ("RUNNING", "STOPPED") and c.state, c.health, c.exit_code) for c in status.containers]
    return status.phase, status.health, status.stop_code, containers


def _seen(state: RunState) -> Seen:
    return Seen(
        state.id,
        state.state,
        state.exit_code,
        state.oom_killed,
        state.error,
        state.health,
        state.started,
        state.finished,
        state.ports,
    )
