"""What a node remembers of a workload, and what it reports: states, exit codes and reasons in AWS's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.kernel.workload import BoundPort, Container, ContainerStatus, Workload, WorkloadStatus

PHASES = ("PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
_OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_KILLED = 137
_VANISHED = "ContainerRuntimeError: the container was removed from outside"


class Seen(msgspec.Struct, frozen=True):
    """A container as it is. ``state``: created, running, exited, dead."""

    id: str
    state: str
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: str = "UNKNOWN"
    started: float | None = None
    finished: float | None = None
    ports: tuple[BoundPort, ...] = ()


class Memory(msgspec.Struct, frozen=True):
    """What a look at the machine does not show. All of it can be lost: ``restore`` makes enough of it from the report.

    ``images``: container → (image id, repository digest). ``failed``: container → reason. ``broken``: why the workload
    as a whole cannot run. ``released``: interface and endpoint are given back. ``past``: the last known status of each
    container. ``trouble``: key of a step that is tried again → why. ``serverless`` words errors as Fargate does.
    """

    images: Mapping[str, tuple[str, str]] = {}
    failed: Mapping[str, str] = {}
    broken: str = ""
    sandboxed: bool = False
    connected: bool = False
    volumes: bool = False
    stopping: float | None = None
    stop_code: str = ""
    stop_reason: str = ""
    execution_stopped: float | None = None
    released: bool = False
    stopped: float | None = None
    acknowledged: bool = False
    cleaned: bool = False
    pull_started: float | None = None
    pull_stopped: float | None = None
    started: float | None = None
    phase: str = "PENDING"
    past: Mapping[str, ContainerStatus] = {}
    attempts: Mapping[str, int] = {}
    retry_at: Mapping[str, float] = {}
    trouble: Mapping[str, str] = {}
    serverless: bool = False


def restore(workload: Workload, report: WorkloadStatus | None) -> Memory:
    """The memory of a node that starts, from what it reported in its last life and the server has kept."""
    serverless = workload.metadata.get("LaunchType") == "FARGATE"
    if report is None:
        return Memory(serverless=serverless)
    past = {c.name: c for c in report.containers}
    begun = any(c.started is not None for c in report.containers)
    failed = {c.name: c.reason for c in report.containers if c.state == "STOPPED" and c.reason and c.started is None}
    return Memory(
        failed=failed,
        sandboxed=begun,
        connected=begun,
        volumes=begun,
        stopping=report.stopping,
        stop_code=report.stop_code,
        stop_reason=report.stop_reason,
        execution_stopped=report.execution_stopped,
        stopped=report.stopped,
        acknowledged=report.phase == "STOPPED",
        pull_started=report.pull_started,
        pull_stopped=report.pull_stopped,
        started=report.started,
        phase=report.phase,
        past=past,
        serverless=serverless,
    )


def is_over(state: Seen | None) -> bool:
    return state is not None and state.state in ("exited", "dead")


def has_ended(container: Container, seen: Mapping[str, Seen], memory: Memory) -> bool:
    """It ran and does not run any more; one that has vanished is not started a second time."""
    state = seen.get(container.name)
    if state is not None:
        return is_over(state)
    past = memory.past.get(container.name)
    return past is not None and past.started is not None


def essential_exit(workload: Workload, seen: Mapping[str, Seen], memory: Memory) -> bool:
    return any(c.essential and has_ended(c, seen, memory) for c in workload.containers)


def build_status(
    workload: Workload, seen: Mapping[str, Seen], memory: Memory, pulling: frozenset[str], now: float
) -> tuple[WorkloadStatus, Memory]:
    """The report, and the memory with what the report has added to it. ``pulling``: containers whose image is coming."""
    over = memory.stopped is not None
    containers = tuple(_container(workload, c, seen.get(c.name), memory, pulling) for c in workload.containers)
    phase = max(_phase(workload, seen, memory), memory.phase, key=PHASES.index)
    started = memory.started
    if started is None and phase == "RUNNING":
        started = max((c.started for c in containers if c.started is not None), default=now)
    memory = msgspec.structs.replace(
        memory,
        phase=phase,
        past={c.name: c for c in containers},
        started=started,
        execution_stopped=_execution_stopped(workload, containers, memory),
        pull_started=memory.pull_started or (now if pulling else None),
        pull_stopped=memory.pull_stopped or (now if memory.pull_started and not pulling else None),
    )
    status = WorkloadStatus(
        id=workload.id,
        phase=phase,
        containers=containers,
        stop_code=memory.stop_code,
        stop_reason=memory.stop_reason,
        pull_started=memory.pull_started,
        pull_stopped=memory.pull_stopped,
        started=memory.started,
        stopping=memory.stopping,
        execution_stopped=memory.execution_stopped,
        stopped=memory.stopped,
        health="UNKNOWN" if over else _health(workload, containers),
        trouble=tuple(sorted(set(memory.trouble.values()))),
    )
    return status, memory


def _phase(workload: Workload, seen: Mapping[str, Seen], memory: Memory) -> str:
    if memory.stopped is not None:
        return "STOPPED"
    begun = [c.name for c in workload.containers if _has_begun(seen.get(c.name), memory.past.get(c.name))]
    if memory.stopping is not None:
        return "STOPPING" if any(s.state == "running" for s in seen.values()) else "DEPROVISIONING"
    waiting = [c for c in workload.containers if c.name not in begun and c.name not in memory.failed]
    if not begun:
        return "PENDING"
    return "ACTIVATING" if waiting else "RUNNING"


def _has_begun(state: Seen | None, past: ContainerStatus | None) -> bool:
    return (state is not None and state.state != "created") or (past is not None and past.started is not None)


def _container(
    workload: Workload, container: Container, state: Seen | None, memory: Memory, pulling: frozenset[str]
) -> ContainerStatus:
    name = container.name
    past = memory.past.get(name) or ContainerStatus(name)
    digest = memory.images[name][1] if name in memory.images else past.image_digest
    if state is None:
        return _unseen(name, past, memory, pulling)
    common = {
        "runtime_id": state.id,
        "image_digest": digest,
        "health": state.health if container.health_check else "UNKNOWN",
        "started": state.started,
        "finished": state.finished,
    }
    if state.state == "created":
        halted = memory.stopped is not None or name in memory.failed
        reason = memory.failed.get(name, "")
        return ContainerStatus(name, "STOPPED" if halted else "CREATED", reason=reason, **common)  # type: ignore[arg-type]
    if state.state == "running":
        return ContainerStatus(name, "RUNNING", ports=_ports(workload, container, state), **common)  # type: ignore[arg-type]
    reason = _OUT_OF_MEMORY if _out_of_memory(state, memory) else state.error
    return ContainerStatus(name, "STOPPED", exit_code=state.exit_code, reason=reason, ports=past.ports, **common)  # type: ignore[arg-type]


def _out_of_memory(state: Seen, memory: Memory) -> bool:
    """Where a limit of the whole workload was reached, cgroup v1 tells it of all containers: one that was told to stop
    afterwards, and did, is not meant."""
    told = memory.stopping is not None and state.finished is not None and state.finished > memory.stopping
    return state.oom_killed and (state.exit_code == _KILLED or not told)


def _unseen(name: str, past: ContainerStatus, memory: Memory, pulling: frozenset[str]) -> ContainerStatus:
    replace = msgspec.structs.replace
    if past.state == "STOPPED":
        return past
    if name in memory.failed:
        return replace(past, state="STOPPED", reason=memory.failed[name])
    if past.started is not None:
        return replace(past, state="STOPPED", reason=_VANISHED, health="UNKNOWN")
    if memory.stopped is not None:
        return replace(past, state="STOPPED")
    digest = memory.images[name][1] if name in memory.images else past.image_digest
    return replace(past, state="PULLING" if name in pulling else "PENDING", image_digest=digest)


def _ports(workload: Workload, container: Container, state: Seen) -> tuple[BoundPort, ...]:
    """In host mode a container's port is the host's."""
    if workload.network != "host":
        return state.ports
    return tuple(BoundPort(p.container_port, p.host_port or p.container_port, p.protocol) for p in container.ports)


def _health(workload: Workload, containers: tuple[ContainerStatus, ...]) -> str:
    """Of the essential containers that have a check."""
    checked = {c.name for c in workload.containers if c.essential and c.health_check}
    found = {c.health for c in containers if c.name in checked}
    if "UNHEALTHY" in found:
        return "UNHEALTHY"
    return "HEALTHY" if found == {"HEALTHY"} else "UNKNOWN"


def _execution_stopped(workload: Workload, containers: tuple[ContainerStatus, ...], memory: Memory) -> float | None:
    """When the first essential container ended."""
    if memory.execution_stopped is not None or memory.stopping is None:
        return memory.execution_stopped
    essential = {c.name for c in workload.containers if c.essential}
    ends = [c.finished for c in containers if c.name in essential and c.state == "STOPPED" and c.finished]
    return min(ends) if ends else (memory.stopping if memory.stopped is not None else None)
