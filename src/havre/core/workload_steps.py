"""What a node does next for one workload. Pure: level-triggered, one look at a time, in any order, after any crash.

``next_steps`` looks at what is wanted, what runs, what is remembered and what is under way, and gives the steps that may
be taken now, side by side, and the status to report. A step is idempotent and has a key; its outcome goes into the memory
through ``remember``. A workload moves forwards only: what has started and ended is never started again.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from havre.core.workload_status import (
    Memory,
    Seen,
    build_status,
    essential_exit,
    has_ended,
    is_over,
)
from havre.kernel.effects import Effect
from havre.kernel.workload import Container, Workload, WorkloadStatus


class Pull(Effect, frozen=True):
    container: str


class Sandbox(Effect, frozen=True):
    """Take a network namespace."""


class Connect(Effect, frozen=True):
    """Put the interface into the namespace, open the metadata endpoint in it: before anything starts there."""


class Volumes(Effect, frozen=True):
    """Make the workload's volumes."""


class CreateContainer(Effect, frozen=True):
    container: str


class StartContainer(Effect, frozen=True):
    container: str
    id: str


class StopContainer(Effect, frozen=True):
    container: str
    id: str
    timeout: float


class Release(Effect, frozen=True):
    """Give back interface, metadata endpoint and sandbox."""


class Clean(Effect, frozen=True):
    """Remove containers and the workload's own volumes."""


class Decision(msgspec.Struct, frozen=True):
    """``wake_at``: look again then, even if nothing happens. ``done``: nothing is left on this machine."""

    steps: tuple[Effect, ...]
    status: WorkloadStatus
    memory: Memory
    wake_at: float | None = None
    done: bool = False


_SETUP = ("create:", "start:", "sandbox", "connect", "volumes", "stop:")
"""Keys of steps that must have come back before what they make is taken down."""

PULL_ATTEMPTS = 5
ATTEMPTS = 8


def backoff(attempt: int) -> float:
    """Seconds before the next attempt; ``attempt`` counts from 1."""
    return float(min(0.5 * 2 ** (attempt - 1), 30.0))


def remember(memory: Memory, key: str, error: str, temporary: bool, now: float) -> Memory:
    """What a step's failure (``error`` in words) does to the memory; "" is success and clears earlier failures."""
    attempts, retry_at = dict(memory.attempts), dict(memory.retry_at)
    trouble = {k: why for k, why in memory.trouble.items() if k != key}
    if not error:
        attempts.pop(key, None)
        retry_at.pop(key, None)
        return msgspec.structs.replace(memory, attempts=attempts, retry_at=retry_at, trouble=trouble)
    kind, _, container = key.partition(":")
    count = attempts[key] = attempts.get(key, 0) + 1
    limit = PULL_ATTEMPTS if kind == "pull" else ATTEMPTS
    endless = kind in ("stop", "release", "clean")
    if endless or (temporary and count < limit):
        retry_at[key], trouble[key] = now + backoff(count), error
        return msgspec.structs.replace(memory, attempts=attempts, retry_at=retry_at, trouble=trouble)
    memory = msgspec.structs.replace(memory, attempts=attempts, trouble=trouble)
    if kind in ("pull", "create", "start"):
        failed = dict(memory.failed) | {container: _words(kind, error, temporary, memory)}
        return msgspec.structs.replace(memory, failed=failed)
    what = "volumes" if kind == "volumes" else "network interface"
    broken = f"ResourceInitializationError: unable to set up the task's {what}: {error}"
    return msgspec.structs.replace(memory, broken=broken)


def _words(kind: str, error: str, temporary: bool, memory: Memory) -> str:
    if kind == "pull":
        if memory.serverless:
            return f"CannotPullContainerError: pull image manifest has been retried {PULL_ATTEMPTS} time(s): {error}"
        return f"CannotPullContainerError: Error response from daemon: {error}"
    if temporary:
        state = "created" if kind == "create" else "started"
        return f"DockerTimeoutError: Could not transition to {state}; {error}"
    name = "CannotCreateContainerError" if kind == "create" else "CannotStartContainerError"
    return f"{name}: Error response from daemon: {error}"


def next_steps(
    workload: Workload, seen: Mapping[str, Seen], sandbox: Seen | None, memory: Memory, busy: Set[str], now: float
) -> Decision:
    """``seen``: the containers that exist, by name. ``busy``: keys of the steps that are under way."""
    memory = fail_dependents(workload, seen, memory, now)
    memory = _notice(workload, seen, sandbox, memory, busy, now)
    wake: float | None = None
    if memory.stopping is None:
        steps, wake = _forwards(workload, seen, memory, now)
    else:
        if memory.stopped is None and memory.released and not _running(seen) and not _waiting(busy):
            memory = msgspec.structs.replace(memory, stopped=now)
        steps = _backwards(workload, seen, sandbox, memory, busy)
    pulling = frozenset(k.partition(":")[2] for k in (*busy, *(s.key for s in steps)) if k.startswith("pull:"))
    status, memory = build_status(workload, seen, memory, pulling, now)
    ready = tuple(s for s in steps if s.key not in busy and memory.retry_at.get(s.key, 0.0) <= now)
    later = [memory.retry_at[s.key] for s in steps if memory.retry_at.get(s.key, 0.0) > now]
    return Decision(
        ready, status, memory, min((*later, *([wake] if wake else [])), default=None), _done(seen, sandbox, memory)
    )


def _done(seen: Mapping[str, Seen], sandbox: Seen | None, memory: Memory) -> bool:
    return memory.acknowledged and memory.cleaned and not seen and sandbox is None


def _waiting(busy: Set[str]) -> bool:
    return any(key.startswith(_SETUP) for key in busy)


def _running(seen: Mapping[str, Seen]) -> bool:
    return any(s.state == "running" for s in seen.values())


def _notice(
    workload: Workload, seen: Mapping[str, Seen], sandbox: Seen | None, memory: Memory, busy: Set[str], now: float
) -> Memory:
    """Whether it is time to stop, and why; decided once."""
    if memory.stopping is not None:
        return memory
    code, reason = "", ""
    if workload.desired == "STOPPED":
        code, reason = workload.stop_code, workload.stop_reason
    elif memory.broken:
        code, reason = "TaskFailedToStart", memory.broken
    elif sandbox_lost(workload, sandbox, memory, busy) and not essential_exit(workload, seen, memory):
        if memory.started is not None:  # as of ECS's pause container, which is essential
            code, reason = "EssentialContainerExited", "Essential container in task exited: its network has ended"
        else:
            code, reason = "TaskFailedToStart", "ResourceInitializationError: the task's network namespace has ended"
    elif failure := _essential_failure(workload, memory):
        code, reason = "TaskFailedToStart", failure
    elif essential_exit(workload, seen, memory):
        code, reason = "EssentialContainerExited", "Essential container in task exited"
    elif all(c.name in memory.failed or has_ended(c, seen, memory) for c in workload.containers):
        code, reason = "EssentialContainerExited", "All containers in task exited"
    else:
        return memory
    return msgspec.structs.replace(memory, stopping=now, stop_code=code, stop_reason=reason)


def sandbox_lost(workload: Workload, sandbox: Seen | None, memory: Memory, busy: Set[str]) -> bool:
    """Only of those that have one: after a restart of the node every workload that had begun counts as set up."""
    if not memory.sandboxed or not needs_sandbox(workload) or "sandbox" in busy:
        return False
    return sandbox is None or sandbox.state != "running"


def _essential_failure(workload: Workload, memory: Memory) -> str:
    for container in workload.containers:
        if container.essential and container.name in memory.failed:
            return memory.failed[container.name]
    return ""


def needs_sandbox(workload: Workload) -> bool:
    return workload.network == "awsvpc" or "task" in (workload.pid_mode, workload.ipc_mode)


def _forwards(
    workload: Workload, seen: Mapping[str, Seen], memory: Memory, now: float
) -> tuple[tuple[Effect, ...], float | None]:
    steps: list[Effect] = []
    wake: float | None = None
    sandboxed = memory.sandboxed or not needs_sandbox(workload)
    connected = memory.connected or workload.network != "awsvpc"
    if not sandboxed:
        steps.append(Sandbox("sandbox"))
    elif not connected:
        steps.append(Connect("connect"))
    if workload.volumes and not memory.volumes:
        steps.append(Volumes("volumes"))
    ready = sandboxed and (memory.volumes or not workload.volumes)
    for container in workload.containers:
        name = container.name
        if name in memory.failed or has_ended(container, seen, memory):
            continue
        state = seen.get(name)
        if state is None:
            if name not in memory.images:
                steps.append(Pull(f"pull:{name}", name))
            elif ready and _may_create(container, seen):
                steps.append(CreateContainer(f"create:{name}", name))
        elif state.state == "created" and ready and connected:
            may, due = _may_start(workload, container, seen)
            wake = min(wake or due, due) if due else wake
            if may:
                steps.append(StartContainer(f"start:{name}", name, state.id))
    return tuple(steps), wake


def _may_create(container: Container, seen: Mapping[str, Seen]) -> bool:
    """Docker wants to know the containers whose volumes are shared and that are linked to."""
    linked = [link.partition(":")[0] for link in container.links]
    return all(name in seen for name in [v[0] for v in container.volumes_from] + linked)


def _may_start(workload: Workload, container: Container, seen: Mapping[str, Seen]) -> tuple[bool, float | None]:
    """Whether its dependencies allow it, and when a start timeout of one of them ends."""
    containers = {c.name: c for c in workload.containers}
    wake: float | None = None
    for link in container.links:
        if not _begun(seen.get(link.partition(":")[0])):
            return False, None
    for dependency in container.depends_on:
        other = seen.get(dependency.container)
        if condition_met(dependency.condition, other):
            continue
        if other and other.started is not None:
            due = other.started + containers[dependency.container].start_timeout
            wake = min(wake or due, due)
        return False, wake
    return True, None


def _begun(state: Seen | None) -> bool:
    return state is not None and state.state != "created"


def condition_met(condition: str, other: Seen | None) -> bool:
    """A condition of ``dependsOn``."""
    if other is None:
        return False
    match condition:
        case "START":
            return _begun(other)
        case "COMPLETE":
            return is_over(other)
        case "SUCCESS":
            return is_over(other) and other.exit_code == 0
        case _:
            return other.state == "running" and other.health == "HEALTHY"


def fail_dependents(workload: Workload, seen: Mapping[str, Seen], memory: Memory, now: float) -> Memory:
    """Containers whose dependency cannot be met any more have failed, in the ECS agent's words; so have theirs."""
    failed = dict(memory.failed)
    while reasons := _failures(workload, seen, failed, now):
        failed |= reasons
    return memory if len(failed) == len(memory.failed) else msgspec.structs.replace(memory, failed=failed)


def _failures(workload: Workload, seen: Mapping[str, Seen], failed: Mapping[str, str], now: float) -> dict[str, str]:
    containers = {c.name: c for c in workload.containers}
    found: dict[str, str] = {}
    for container in workload.containers:
        if container.name in failed or _begun(seen.get(container.name)):
            continue
        for dependency in container.depends_on:
            reason = _hopeless(dependency.condition, containers[dependency.container], seen, failed, now)
            if reason:
                found[container.name] = (
                    f"dependency graph: failed to resolve container ordering dependency [{dependency.container}] "
                    f"for target [{container.name}] as {reason}"
                )
                break
    return found


def _hopeless(condition: str, other: Container, seen: Mapping[str, Seen], failed: Mapping[str, str], now: float) -> str:
    state = seen.get(other.name)
    if condition_met(condition, state):
        return ""
    if other.name in failed:
        return "dependency did not start"
    if state is None or state.started is None:
        return ""
    if is_over(state):
        ended = "exit successfully" if condition == "SUCCESS" else "become healthy"
        return f"dependency did not {ended}"
    if now >= state.started + other.start_timeout:
        return f"dependency has timed out after {other.start_timeout:g} seconds"
    return ""


def _backwards(
    workload: Workload, seen: Mapping[str, Seen], sandbox: Seen | None, memory: Memory, busy: Set[str]
) -> tuple[Effect, ...]:
    """Stop what runs, whoever depends on another first; then give back, then (once the server knows) clean up."""
    running = {name for name, state in seen.items() if state.state == "running"}
    if running:
        return _stops(workload, seen, running, busy)
    if _waiting(busy):
        return ()
    if not memory.released:
        return (Release("release"),)
    if memory.acknowledged and (seen or sandbox or not memory.cleaned):
        return (Clean("clean"),)
    return ()


def _stops(workload: Workload, seen: Mapping[str, Seen], running: Set[str], busy: Set[str]) -> tuple[Effect, ...]:
    steps: list[Effect] = []
    for container in workload.containers:
        name = container.name
        dependents = {c.name for c in workload.containers if any(d.container == name for d in c.depends_on)}
        if name in running and not dependents & running and not any(f"start:{d}" in busy for d in dependents):
            steps.append(StopContainer(f"stop:{name}", name, seen[name].id, container.stop_timeout))
    return tuple(steps)
