"""The life of one task, decided: pure. Forwards only; a task never restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.nodes import WORKLOAD, WorkloadReport, WorkloadSpec
from havre.core.lifecycle import before, ending, forward
from havre.kernel.effects import Create, Effect, Plan, Remove, Update, Write
from havre.kernel.errors import ApiError, Conflict, Gone, Temporary
from havre.kernel.resource import Resource
from havre.kernel.workload import Registry, Share, WorkloadStatus
from havre.services.ecs import log_streams
from havre.services.ecs.queries import DefinitionRecord, TaskRecord
from havre.services.ecs.resources import TaskStatus
from havre.services.ecs.workload import workload

replace = msgspec.structs.replace
KEPT = 3600.0
"""Seconds that a stopped task can be described."""
LOOK_AGAIN = 1.0
"""Seconds between looks at a draining target, besides the changes that wake us."""
SHARED_KERNEL = (
    "It is a container that shares the kernel of its machine: Havre gives FARGATE tasks no kernel of their own yet."
)
INITIALIZATION = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
)


class CreateInterface(Effect, frozen=True):
    """Make the task's network interface and write it into the task's status. ``key`` is the client token."""

    task: tuple[str, str, str]
    subnet: str
    groups: tuple[str, ...]
    description: str


class DeleteInterface(Effect, frozen=True):
    """``eni`` "" where it is not known: whatever has this description goes."""

    account: str
    region: str
    eni: str
    description: str


class Register(Effect, frozen=True):
    """One target into one target group. ``service`` is the key of the service, which tells it as an event; ``task`` is
    whose target it is, on ``node``."""

    account: str
    region: str
    group: str
    target: str
    port: int
    service: str
    task: str
    node: str


class Deregister(Register, frozen=True):
    """The opposite: the target drains from now on."""


class TaskSeen(msgspec.Struct, frozen=True):
    """``registries``: image → (image, credentials) of those in this installation's registry, or why the task cannot start
    (a string), which may be its secrets.
    ``delays``: target group → deregistration delay. ``draining``: some target still drains. ``host`` is the instance
    id of the node that is gone, "" while it is there."""

    now: float
    task: TaskRecord
    definition: DefinitionRecord | None
    workload: Resource[WorkloadSpec, WorkloadReport] | None
    zone: str
    ec2: str
    registries: Mapping[str, tuple[str, Registry]] | str = {}
    shares: Mapping[str, Share] = {}
    """Its volumes of file systems."""
    delays: Mapping[str, float] = {}
    draining: bool = False
    host_gone: bool = False
    engine_error: str = ""


def decide(seen: TaskSeen) -> Plan:
    status = seen.task.status
    if status.last == "STOPPED":
        return _past(seen)
    if seen.host_gone:
        return _stopped(seen, "TerminationNotice", f"Host EC2 (instance {seen.ec2}) terminated.")
    if not status.assigned:
        return _before(seen)
    if seen.workload is None:
        return _stopped(seen, "TaskFailedToStart", "The task was lost: its node does not know it any more.")
    return _running(seen, seen.workload)


def _past(seen: TaskSeen) -> Plan:
    goes = (seen.task.status.stopped or seen.task.meta.updated) + KEPT
    left: tuple[Write, ...] = (Remove(seen.workload),) if seen.workload is not None else ()
    if seen.now >= goes:
        return Plan(writes=(*left, Remove(seen.task)))
    spec = seen.task.spec
    reason = seen.task.status.stop_reason or spec.stop_reason
    told = (f"The task is over: {(reason or 'it was stopped').rstrip('.')}.", *_ends(seen.task.status))
    return Plan(writes=left, wake_at=goes, reasons=told)


def _ends(status: TaskStatus) -> tuple[str, ...]:
    """How each of its containers ended."""
    told = []
    for each in status.containers:
        said = "has never run" if each.exit_code is None else f"exited with {each.exit_code}"
        told.append(f"Container {each.name} {said}{': ' + each.reason if each.reason else ''}.")
    return tuple(told)


# Before a node has it


def description(task: TaskRecord) -> str:
    m = task.meta
    return f"arn:aws:ecs:{m.region}:{m.account}:attachment/{task.spec.attachment}"


def _before(seen: TaskSeen) -> Plan:
    spec, m = seen.task.spec, seen.task.meta
    if spec.desired == "STOPPED" or seen.task.status.stop_code:
        return _stopped(seen, spec.stop_code, spec.stop_reason)
    if seen.definition is None:
        return _stopped(seen, "TaskFailedToStart", "TaskDefinition not found.")
    if spec.attachment and seen.task.status.interface is None:
        network = spec.subnets
        assert network is not None, "awsvpc tasks have subnets"
        effect = CreateInterface(
            spec.attachment,
            (m.account, m.region, m.name),
            network.subnets[0],
            network.security_groups,
            description(seen.task),
        )
        return Plan((effect,), reasons=("A network interface is being made.",), on_failure=_no_interface(seen))
    if isinstance(seen.registries, str):
        return _stopped(seen, "TaskFailedToStart", seen.registries)
    made = workload(seen.task, seen.definition, seen.registries, seen.zone, seen.shares)
    status = replace(seen.task.status, last=forward(seen.task.status.last, "PENDING"), assigned=True)
    create: Create[Any, Any] = Create(
        WORKLOAD.name, m.account, m.region, m.name, m.arn, WorkloadSpec(spec.node, made), WorkloadReport()
    )
    return Plan(
        log_streams.wanted(seen.task, seen.definition, made),
        (create, Update(seen.task, status=status)),
        reasons=(f"It goes to node {spec.node}.",),
        on_failure=log_streams.cannot_log(seen.task, seen.now),
    )


def _no_interface(seen: TaskSeen) -> Any:
    """Writes down why, and ends the task in the next run: an earlier attempt may have made one after all."""

    def answer(effect: Effect, failure: Exception) -> Plan:
        if isinstance(failure, Temporary | Conflict | Gone):
            raise failure
        assert isinstance(effect, CreateInterface)
        words = failure.code if isinstance(failure, ApiError) else getattr(failure, "reason", str(failure))
        if isinstance(failure, ApiError) and failure.message:
            words = f"{words}: {failure.message}"
        public = "enabled" if seen.task.spec.subnets and seen.task.spec.subnets.public else "disabled"
        reason = (
            f"Unexpected EC2 error while attempting to Create Network Interface with public IP assignment {public} "
            f"in subnet '{effect.subnet}': {words}"
        )
        status = replace(seen.task.status, stop_code="TaskFailedToStart", stop_reason=reason)
        return Plan(writes=(Update(seen.task, status=status),), wake_at=seen.now)

    return answer


# The end


def _final(seen: TaskSeen, code: str, reason: str) -> Update:
    status, spec = seen.task.status, seen.task.spec
    report = _report(seen)
    if report is not None:
        status = _copied(status, report)
    now = seen.now
    status = replace(
        status,
        last="STOPPED",
        stop_code=status.stop_code or spec.stop_code or code,
        stop_reason=status.stop_reason or spec.stop_reason or reason,
        stopping=status.stopping or now,
        stopped=now,
        execution_stopped=status.execution_stopped or (now if status.assigned else None),
    )
    return Update(seen.task, status=status)


def _stopped(seen: TaskSeen, code: str, reason: str) -> Plan:
    """Let go of everything, in order, and write the end."""
    effects: list[Effect] = list(_leave(seen))
    m, spec, status = seen.task.meta, seen.task.spec, seen.task.status
    if spec.attachment:
        eni = status.interface.eni if status.interface else ""
        effects.append(DeleteInterface(spec.attachment, m.account, m.region, eni, description(seen.task)))
    writes: tuple[Write, ...] = (_final(seen, code, reason),)
    if seen.workload is not None:
        writes = (*writes, Remove(seen.workload))
    return Plan(tuple(effects), writes, reasons=(reason or "It was stopped.",))


def _leave(seen: TaskSeen) -> list[Effect]:
    """Deregister what is registered still."""
    m, spec, status = seen.task.meta, seen.task.spec, seen.task.status
    if status.deregistered_at is not None:
        return []
    service = f"{spec.cluster}/{spec.service}" if spec.service else ""
    return [
        Deregister(f"{m.name}/{group}/{port}", m.account, m.region, group, id, port, service, m.name, spec.node)
        for group, id, port in status.registered
    ]


# While a node has it


def _report(seen: TaskSeen) -> WorkloadStatus | None:
    return seen.workload.status.report if seen.workload is not None else None


def _copied(status: TaskStatus, report: WorkloadStatus) -> TaskStatus:
    """What the node tells, without going back on anything."""
    return replace(
        status,
        containers=report.containers or status.containers,
        health=report.health,
        pull_started=status.pull_started or report.pull_started,
        pull_stopped=status.pull_stopped or report.pull_stopped,
        stopping=status.stopping or report.stopping,
        execution_stopped=status.execution_stopped or report.execution_stopped,
        stop_code=status.stop_code or (report.stop_code if ending(report.phase) else ""),
        stop_reason=status.stop_reason or (report.stop_reason if ending(report.phase) else ""),
    )


def _running(seen: TaskSeen, record: Resource[WorkloadSpec, WorkloadReport]) -> Plan:
    report, spec = _report(seen), seen.task.spec
    if report is not None and report.phase == "STOPPED":
        code = spec.stop_code or report.stop_code or "EssentialContainerExited"
        return _stopped(seen, code, spec.stop_reason or report.stop_reason or "Essential container in task exited")
    if spec.desired == "STOPPED":
        return _stop(seen, record, report)
    if report is None:
        waiting = seen.engine_error or f"Node {spec.node} has not taken it yet."
        return Plan(reasons=(waiting,))
    status = replace(_copied(seen.task.status, report), connected=seen.task.status.connected or seen.now)
    if ending(report.phase):
        effects = _leave(seen)
        if effects:
            status = replace(status, deregistered_at=seen.now)
        status = replace(status, last=forward(status.last, report.phase))
        told = (status.stop_reason, *_troubles(report))
        return Plan(tuple(effects), (Update(seen.task, status=status),), reasons=told)
    if report.phase != "RUNNING":
        status = replace(status, last=forward(status.last, report.phase))
        return Plan(writes=(Update(seen.task, status=status),), reasons=_waiting(report))
    return _up(seen, status, report)


def _waiting(report: WorkloadStatus) -> tuple[str, ...]:
    told = tuple(f"Container {c.name} is {c.state}{': ' + c.reason if c.reason else ''}." for c in report.containers)
    return (*(told or (f"The node says {report.phase}.",)), *_troubles(report))


def _troubles(report: WorkloadStatus) -> tuple[str, ...]:
    return tuple(f"The node tries again, after: {why}" for why in report.trouble)


def _up(seen: TaskSeen, status: TaskStatus, report: WorkloadStatus) -> Plan:
    """All containers run: it is RUNNING, and registers with the load balancers. What it will be registered as is written
    down before: whatever happens in between, its end deregisters it."""
    m, spec = seen.task.meta, seen.task.spec
    words = ("All containers run.", SHARED_KERNEL) if spec.launch == "FARGATE" else ("All containers run.",)
    if before(status.last, "RUNNING"):
        status = replace(status, last="RUNNING", started=report.started or seen.now)
    effects: list[Effect] = []
    if spec.targets and status.registered_at is None:
        targets = tuple(
            t for each in spec.targets if (t := _target(seen, status, each.group, each.container, each.port))
        )
        if status.registered != targets:
            status = replace(status, registered=targets)
            return Plan(writes=(Update(seen.task, status=status),), wake_at=seen.now, reasons=words)
        service = f"{spec.cluster}/{spec.service}"
        effects = [
            Register(f"{m.name}/{g}/{p}", m.account, m.region, g, id, p, service, m.name, spec.node)
            for g, id, p in targets
        ]
        status = replace(status, registered_at=seen.now)
    return Plan(tuple(effects), (Update(seen.task, status=status),), reasons=words)


def _target(seen: TaskSeen, status: TaskStatus, group: str, container: str, port: int) -> tuple[str, str, int] | None:
    """What the load balancer reaches: the task's own address, or a port of its instance."""
    if status.interface is not None:
        return group, status.interface.address, port
    for each in status.containers:
        if each.name == container:
            for bound in each.ports:  # of IPv6 they are other ones than of IPv4, where nodes are reached
                if bound.container_port == port and bound.protocol == "tcp" and ":" not in bound.bind_ip:
                    return group, seen.ec2, bound.host_port
    definition = seen.definition
    if definition is not None and definition.spec.body.get("networkMode") == "host":
        return group, seen.ec2, port
    return None


def _stop(seen: TaskSeen, record: Resource[WorkloadSpec, WorkloadReport], report: WorkloadStatus | None) -> Plan:
    """Deregister, drain, then SIGTERM: a request under way is answered."""
    spec, status = seen.task.spec, seen.task.status
    if report is not None:
        status = _copied(status, report)
    status = replace(status, stopping=status.stopping or seen.now)
    alive = report is None or not ending(report.phase)
    effects = _leave(seen)
    if effects:
        delay = max([seen.delays.get(group, 0.0) for group, _, _ in status.registered], default=0.0)
        status = replace(
            status,
            last=forward(status.last, "DEACTIVATING"),
            deregistered_at=seen.now,
            drained_by=seen.now + delay if alive else seen.now,
        )
        return Plan(tuple(effects), (Update(seen.task, status=status),), reasons=("Its targets begin to drain.",))
    drained_by = status.drained_by
    if alive and seen.draining and drained_by is not None and seen.now < drained_by:
        wait = min(drained_by, seen.now + LOOK_AGAIN)
        return Plan(writes=(Update(seen.task, status=status),), wake_at=wait, reasons=("Its targets drain.",))
    status = replace(status, last=forward(status.last, "STOPPING"))
    told = record.spec.workload
    writes: tuple[Write, ...] = (Update(seen.task, status=status),)
    if told.desired != "STOPPED":
        told = replace(told, desired="STOPPED", stop_code=spec.stop_code, stop_reason=spec.stop_reason)
        writes = (*writes, Update(record, spec=WorkloadSpec(record.spec.node, told)))
    troubles = _troubles(report) if report is not None else ()
    return Plan(writes=writes, reasons=(f"It is being stopped: {spec.stop_reason}.", *troubles))
