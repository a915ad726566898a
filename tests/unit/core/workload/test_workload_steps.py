"""What a node does next: single looks in tables, and whole lives with any order, failure and restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.core.workload_status import PHASES, Memory, Seen, restore
from havre.core.workload_steps import (
    PULL_ATTEMPTS,
    Clean,
    Connect,
    CreateContainer,
    Decision,
    Pull,
    Release,
    Sandbox,
    StartContainer,
    StopContainer,
    Volumes,
    backoff,
    next_steps,
    remember,
)
from havre.kernel.effects import Effect
from havre.kernel.workload import Container, Dependency, Interface, Volume, Workload, WorkloadStatus

replace = msgspec.structs.replace
IMAGE = {"a": ("sha256:a", "d"), "b": ("sha256:b", "d"), "c": ("sha256:c", "d")}
INTERFACE = Interface("eni-1", "vpc-1", "subnet-1", "10.0.0.4", "02:00:00:00:00:01")


def workload(*containers: Container, **more: Any) -> Workload:
    return Workload("w", "arn", "0", "us-east-1", containers or (Container("a", "i"),), **more)


def needs(container: str, *dependencies: tuple[str, str], **more: Any) -> Container:
    return Container(container, "i", depends_on=tuple(Dependency(n, c) for n, c in dependencies), **more)


def running(id: str = "1", started: float = 1.0, health: str = "UNKNOWN") -> Seen:
    return Seen(id, "running", started=started, health=health)


def exited(code: int = 0, id: str = "1") -> Seen:
    return Seen(id, "exited", exit_code=code, started=1.0, finished=2.0)


def look(work: Workload, seen: Mapping[str, Seen] = {}, memory: Memory = Memory(), **more: Any) -> Decision:
    return next_steps(work, seen, more.get("sandbox"), memory, more.get("busy", frozenset()), more.get("now", 10.0))


def keys(decision: Decision) -> list[str]:
    return [s.key for s in decision.steps]


def test_first_everything_that_needs_nothing() -> None:
    work = workload(
        Container("a", "i"), Container("b", "i"), volumes=(Volume("v"),), network="awsvpc", interface=INTERFACE
    )
    assert keys(look(work)) == ["sandbox", "volumes", "pull:a", "pull:b"]
    assert look(work).status.phase == "PENDING"


def test_containers_are_made_beside_the_connecting_and_start_after_it() -> None:
    work = workload(network="awsvpc", interface=INTERFACE)
    memory = Memory(images=IMAGE, sandboxed=True)
    assert keys(look(work, memory=memory, sandbox=running())) == ["connect", "create:a"]
    made = {"a": Seen("1", "created")}
    assert keys(look(work, made, memory, sandbox=running(), busy={"connect"})) == []
    assert keys(look(work, made, replace(memory, connected=True), sandbox=running())) == ["start:a"]


def test_what_is_under_way_is_not_begun_again() -> None:
    assert keys(look(workload(), busy={"pull:a"})) == []


@pytest.mark.parametrize(
    ("condition", "other", "starts"),
    [
        ("START", Seen("2", "created"), False),
        ("START", running("2"), True),
        ("START", exited(1, "2"), True),
        ("COMPLETE", running("2"), False),
        ("COMPLETE", exited(1, "2"), True),
        ("SUCCESS", exited(0, "2"), True),
        ("HEALTHY", running("2"), False),
        ("HEALTHY", running("2", health="HEALTHY"), True),
    ],
)
def test_dependencies(condition: str, other: Seen, starts: bool) -> None:
    work = workload(needs("a", ("b", condition)), Container("b", "i", essential=False))
    decision = look(work, {"a": Seen("1", "created"), "b": other}, Memory(images=IMAGE))
    assert ("start:a" in keys(decision)) == starts


def test_a_dependency_that_cannot_be_met_fails_its_dependents() -> None:
    work = workload(needs("a", ("b", "SUCCESS")), Container("b", "i", essential=False))
    decision = look(work, {"a": Seen("1", "created"), "b": exited(3, "2")}, Memory(images=IMAGE))
    assert decision.status.stop_code == "TaskFailedToStart"
    assert "dependency did not exit successfully" in decision.status.stop_reason


def test_a_dependency_that_takes_too_long() -> None:
    slow = Container("b", "i", essential=False, start_timeout=20)
    work = workload(needs("a", ("b", "HEALTHY")), slow)
    seen = {"a": Seen("1", "created"), "b": running("2", started=5.0)}
    waiting = look(work, seen, Memory(images=IMAGE), now=10.0)
    assert (waiting.wake_at, waiting.status.phase) == (25.0, "ACTIVATING")
    assert "timed out after 20 seconds" in look(work, seen, Memory(images=IMAGE), now=25.0).status.stop_reason


def test_the_first_essential_end_ends_the_task_dependents_first() -> None:
    work = workload(Container("a", "i"), needs("b", ("c", "START")), Container("c", "i"))
    seen = {"a": exited(1), "b": running("2"), "c": running("3")}
    decision = look(work, seen, Memory(images=IMAGE))
    assert keys(decision) == ["stop:b"]
    assert (decision.status.phase, decision.status.stop_code) == ("STOPPING", "EssentialContainerExited")
    assert keys(look(work, {**seen, "b": exited(0, "2")}, decision.memory)) == ["stop:c"]


def test_one_that_is_not_essential_may_end() -> None:
    work = workload(Container("a", "i"), Container("b", "i", essential=False))
    decision = look(work, {"a": running(), "b": exited(1, "2")}, Memory(images=IMAGE))
    assert (decision.steps, decision.status.phase) == ((), "RUNNING")


def test_words_of_failure() -> None:
    memory = Memory()
    for _ in range(PULL_ATTEMPTS):
        assert not memory.failed
        memory = remember(memory, "pull:a", "connection refused", True, 1.0)
    assert memory.failed["a"] == "CannotPullContainerError: Error response from daemon: connection refused"
    serverless = remember(Memory(serverless=True), "pull:a", "not found", False, 1.0)
    assert serverless.failed["a"].startswith("CannotPullContainerError: pull image manifest has been retried 5 time(s)")
    assert remember(Memory(), "start:a", "no such file", False, 1.0).failed["a"].startswith("CannotStartContainerError")
    assert "network interface" in remember(Memory(), "connect", "no address", False, 1.0).broken
    assert "volumes" in remember(Memory(), "volumes", "no driver", False, 1.0).broken


def test_what_is_tried_again_is_told() -> None:
    memory = remember(Memory(), "pull:a", "connection refused", True, 1.0)
    assert look(workload(), {}, memory).status.trouble == ("connection refused",)
    assert look(workload(), {}, remember(memory, "pull:a", "", False, 2.0)).status.trouble == ()
    assert remember(memory, "pull:a", "no such image", False, 2.0).trouble == {}


def test_patience_grows_and_ends() -> None:
    assert [backoff(n) for n in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 30.0]
    memory = remember(Memory(), "stop:a", "busy", True, 10.0)
    assert look(workload(), {"a": running()}, replace(memory, stopping=1.0), now=10.0).wake_at == 10.5


def test_out_of_memory_and_vanished() -> None:
    work = workload()
    killed = look(work, {"a": Seen("1", "exited", exit_code=137, oom_killed=True, started=1.0, finished=2.0)})
    assert killed.status.containers[0].reason == "OutOfMemoryError: Container killed due to memory usage"
    stopped = Seen("1", "exited", exit_code=143, oom_killed=True, started=1.0, finished=9.0)
    told = look(work, {"a": stopped}, Memory(images=IMAGE, stopping=5.0))
    assert told.status.containers[0].reason == "", "it was another container of the workload"
    seen = look(work, {"a": running()}, Memory(images=IMAGE))
    gone = look(work, {}, seen.memory)
    assert gone.status.stop_code == "EssentialContainerExited"
    assert "removed from outside" in gone.status.containers[0].reason


# --- whole lives

_names = ("a", "b", "c")


@st.composite
def _works(draw: st.DrawFn) -> Workload:
    count = draw(st.integers(1, 3))
    containers = []
    for n in range(count):
        dependencies = tuple(
            Dependency(_names[other], draw(st.sampled_from(("START", "COMPLETE", "SUCCESS", "HEALTHY"))))
            for other in range(n)
            if draw(st.booleans())
        )
        containers.append(
            Container(
                _names[n], "i", essential=n == 0 or draw(st.booleans()), depends_on=dependencies, start_timeout=30
            )
        )
    vpc = draw(st.booleans())
    volumes = (Volume("v"),) if draw(st.booleans()) else ()
    return workload(
        *containers, network="awsvpc" if vpc else "bridge", interface=INTERFACE if vpc else None, volumes=volumes
    )


def test_a_network_that_has_ended_is_told_by_what_the_task_was() -> None:
    work = workload(network="awsvpc", interface=INTERFACE)
    memory = Memory(images=IMAGE, sandboxed=True, connected=True, volumes=True)
    over = Seen("s", "exited", exit_code=143)
    starting = look(work, {}, memory, sandbox=over).status
    assert (starting.stop_code, "network namespace" in starting.stop_reason) == ("TaskFailedToStart", True)
    begun = replace(memory, started=1.0, phase="RUNNING")
    lost = look(work, {"a": running()}, begun, sandbox=over).status
    assert lost.stop_code == "EssentialContainerExited"
    assert lost.stop_reason == "Essential container in task exited: its network has ended"
    both = look(work, {"a": exited()}, begun, sandbox=over).status
    assert (both.stop_code, both.stop_reason) == ("EssentialContainerExited", "Essential container in task exited")


class Machine:
    """An engine in a dictionary, and a node that works on it in any order. ``report`` is what the server knows."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.now = 1.0
        self.seen: dict[str, Seen] = {}
        self.sandbox: Seen | None = None
        self.volumes = False
        self.starts: dict[str, int] = {}
        self.report: WorkloadStatus | None = None
        self.phases: list[str] = []
        self.memory = Memory()
        self.pending: dict[str, Effect] = {}
        self.done = False

    def crash(self) -> None:
        self.pending.clear()
        self.memory = restore(self.work, self.report)

    def look(self) -> None:
        decision = next_steps(self.work, self.seen, self.sandbox, self.memory, set(self.pending), self.now)
        self.memory = decision.memory
        self.phases.append(decision.status.phase)
        assert self.report is None or PHASES.index(decision.status.phase) >= PHASES.index(self.report.phase)
        if not self.memory.acknowledged:
            self.report = decision.status
        assert not {s.key for s in decision.steps} & set(self.pending)
        self.pending |= {s.key: s for s in decision.steps}
        self.done = decision.done and not self.pending

    def finish(self, key: str, outcome: str) -> None:
        step = self.pending.pop(key)
        if outcome != "refused":
            self._do(step)
        error = "" if outcome == "ok" else "trouble"
        self.memory = remember(self.memory, key, error, outcome != "permanent", self.now)

    def _do(self, step: Effect) -> None:
        match step:
            case Pull():
                self.memory = replace(self.memory, images={**self.memory.images, step.container: ("i", "d")})
            case Sandbox():
                self.sandbox = self.sandbox or Seen("s", "running")
                self.memory = replace(self.memory, sandboxed=True)
            case Connect():
                assert self.sandbox is not None
                self.memory = replace(self.memory, connected=True)
            case Volumes():
                self.volumes = True
                self.memory = replace(self.memory, volumes=True)
            case CreateContainer():
                self.seen.setdefault(step.container, Seen(step.container, "created"))
            case StartContainer():
                self._start(step.container)
            case StopContainer():
                if self.seen.get(step.container, Seen("", "")).state == "running":
                    self.end(step.container, 0)
            case Release():
                assert not any(s.state == "running" for s in self.seen.values())
                self.memory = replace(self.memory, released=True)
            case Clean():
                self.seen.clear()
                self.sandbox, self.volumes = None, False
                self.memory = replace(self.memory, cleaned=True)

    def _start(self, name: str) -> None:
        state = self.seen.get(name)
        if state is None or state.state != "created":
            return
        self.starts[name] = self.starts.get(name, 0) + 1
        for dependency in next(c for c in self.work.containers if c.name == name).depends_on:
            other = self.seen[dependency.container]
            assert other.state != "created", "before what it depends on"
        self.seen[name] = replace(state, state="running", started=self.now, health="HEALTHY")

    def end(self, name: str, code: int) -> None:
        state = self.seen[name]
        self.seen[name] = replace(state, state="exited", exit_code=code, finished=self.now)


@settings(max_examples=300, deadline=None)
@given(work=_works(), data=st.data())
def test_any_life_goes_forwards_starts_nothing_twice_and_ends(work: Workload, data: st.DataObject) -> None:
    machine = Machine(work)
    troubles = ["ok", "ok", "ok", "refused", "lost", "permanent"]
    for _ in range(data.draw(st.integers(0, 30))):
        machine.look()
        machine.now += 1.0
        alive = [n for n, s in machine.seen.items() if s.state == "running"]
        choices = [*machine.pending, *(f"end {n}" for n in alive), "crash", "stop"]
        choice = data.draw(st.sampled_from(choices))
        if choice == "crash":
            machine.crash()
        elif choice == "stop":
            machine.work = replace(machine.work, desired="STOPPED", stop_code="UserInitiated", stop_reason="r")
        elif choice.startswith("end "):
            machine.end(choice[4:], data.draw(st.integers(0, 1)))
        else:
            machine.finish(choice, data.draw(st.sampled_from(troubles)))
    machine.work = replace(machine.work, desired="STOPPED", stop_code="UserInitiated", stop_reason="r")
    for _ in range(60):
        machine.look()
        machine.now += 60.0
        if machine.report and machine.report.phase == "STOPPED" and not machine.memory.acknowledged:
            machine.memory = replace(machine.memory, acknowledged=True)
        for key in tuple(machine.pending):
            machine.finish(key, "ok")
        if machine.done:
            break
    assert machine.done
    assert (machine.seen, machine.sandbox, machine.volumes) == ({}, None, False)
    assert all(count == 1 for count in machine.starts.values())
    assert machine.report is not None
    assert machine.report.phase == "STOPPED"
    assert machine.report.stop_code
    assert all(c.state == "STOPPED" for c in machine.report.containers)
