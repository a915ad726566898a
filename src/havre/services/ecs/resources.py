"""ECS's records, and who writes which field.

``spec`` is written by operations, and by the service reconciler where it acts as the user would (it stops tasks, it
rolls back). ``status`` is written by the one reconciler of its kind. Shapes that ECS only stores and shows again are
kept as AWS spells them (``Mapping[str, Any]``); what it acts on has fields of its own.
Names of keys: a cluster by its name; a task definition ``family:revision``; services, deployments and container
instances ``cluster/…``; a task by its id, which is unique over all. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource, scoped
from havre.kernel.workload import ContainerStatus, Interface

Json = Mapping[str, Any]
Tags = Mapping[str, str]


class Cluster(msgspec.Struct, frozen=True):
    """``active`` False: deleted; it stays to be described for a day."""

    active: bool = True
    settings: Mapping[str, str] = {}
    configuration: Json = {}
    providers: tuple[str, ...] = ()
    strategy: tuple[Json, ...] = ()
    tags: Tags = {}
    deleted: float = 0.0


class TaskDefinition(msgspec.Struct, frozen=True):
    """``body`` is AWS's TaskDefinition shape, complete but for what changes later, which stands beside it."""

    family: str
    revision: int
    body: Json
    state: str = "ACTIVE"
    tags: Tags = {}
    registered_by: str = ""
    deregistered: float | None = None
    delete_requested: float | None = None


class Family(msgspec.Struct, frozen=True):
    """The counter of a family: revisions are never given out twice."""

    last: int


class Subnets(msgspec.Struct, frozen=True):
    """awsvpcConfiguration."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] = ()
    public: bool = False


class Target(msgspec.Struct, frozen=True):
    """One load balancer of a service: which port of which container is a target in which group."""

    group: str
    container: str
    port: int


class Launch(msgspec.Struct, frozen=True):
    """How tasks are started: what RunTask and a deployment have in common. ``type`` EC2 or FARGATE; ``providers``:
    (name, base, weight); constraints and strategies as (type, expression or field)."""

    type: str
    definition: str
    subnets: Subnets | None = None
    providers: tuple[tuple[str, int, int], ...] = ()
    platform: str = ""
    constraints: tuple[tuple[str, str], ...] = ()
    strategies: tuple[tuple[str, str], ...] = ()
    targets: tuple[Target, ...] = ()
    exec: bool = False


class Task(msgspec.Struct, frozen=True):
    """``node`` and ``instance`` (the key name of its container instance, "" on Fargate) are decided when it is written,
    and never change. ``cpu``, ``memory``, ``tcp``, ``udp`` are what it holds there. ``desired``: RUNNING or STOPPED,
    with the code and the reason; the first reason stays."""

    cluster: str
    definition: str
    launch: str
    node: str
    instance: str = ""
    provider: str = ""
    platform: str = ""
    group: str = ""
    started_by: str = ""
    service: str = ""
    deployment: str = ""
    cpu: int = 0
    memory: int = 0
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    overrides: Json = {}
    subnets: Subnets | None = None
    targets: tuple[Target, ...] = ()
    attachment: str = ""
    tags: Tags = {}
    exec: bool = False
    reference: str = ""
    desired: str = "RUNNING"
    stop_code: str = ""
    stop_reason: str = ""
    protected: bool = False
    protected_until: float | None = None


class TaskStatus(msgspec.Struct, frozen=True):
    """``assigned``: the workload has been written once. ``registered``: targets that were registered, as
    (group ARN, id, port); ``zone`` is that of its subnet."""

    last: str = "PROVISIONING"
    assigned: bool = False
    zone: str = ""
    interface: Interface | None = None
    containers: tuple[ContainerStatus, ...] = ()
    health: str = "UNKNOWN"
    connected: float | None = None
    pull_started: float | None = None
    pull_stopped: float | None = None
    started: float | None = None
    stopping: float | None = None
    execution_stopped: float | None = None
    stopped: float | None = None
    stop_code: str = ""
    stop_reason: str = ""
    registered: tuple[tuple[str, str, int], ...] = ()
    registered_at: float | None = None
    deregistered_at: float | None = None
    drained_by: float | None = None


class Service(msgspec.Struct, frozen=True):
    """``primary`` is the id of the deployment that the service moves to. ``deployment`` is AWS's
    deploymentConfiguration, with its defaults filled in. ``role``, ``registries`` … are refused, so not here."""

    cluster: str
    name: str
    primary: str
    desired: int
    scheduling: str = "REPLICA"
    deployment: Json = {}
    grace: int = 0
    rebalancing: str = "DISABLED"
    propagate: str = "NONE"
    managed_tags: bool = False
    tags: Tags = {}
    created_by: str = ""
    token: str = ""
    digest: str = ""
    state: str = "ACTIVE"
    """ACTIVE, DRAINING (deleted, tasks are stopping), INACTIVE."""
    groups: tuple[str, ...] = ()
    """ARNs of its target groups, to find it by."""
    deleted: float = 0.0


class ServiceStatus(msgspec.Struct, frozen=True):
    """``steady`` since it last reached a steady state; ``unplaced`` says why a task could not be placed, and ``crowded``
    that it is for want of room, which old tasks may make; ``throttled`` until when no task is started, because they keep
    failing; ``stuck``: minimum and maximum leave no way."""

    steady: bool = False
    unplaced: str = ""
    crowded: bool = False
    throttled: float = 0.0
    stuck: bool = False
    instances: int = 0
    """DAEMON: how many tasks it should have."""


class Deployment(msgspec.Struct, frozen=True):
    """A service's wish at one time; kept as the service's history. ``launch`` is the service revision."""

    service: str
    launch: Launch
    number: int


class DeploymentStatus(msgspec.Struct, frozen=True):
    """``state``: IN_PROGRESS, COMPLETED, FAILED, STOPPED (superseded). ``failures`` in a row, ``failed`` in all;
    ``counted`` are the failed tasks that were counted already and may still be seen; ``proven`` are its tasks that were
    healthy once."""

    state: str = "IN_PROGRESS"
    reason: str = ""
    failures: int = 0
    failed: int = 0
    counted: tuple[str, ...] = ()
    was_completed: bool = False
    finished: float | None = None
    rollback_to: str = ""
    rolled_back: float | None = None
    proven: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True):
    id: str
    at: float
    message: str


class Events(msgspec.Struct, frozen=True):
    """What a service tells; newest first, the last hundred."""

    events: tuple[Event, ...] = ()


class Instance(msgspec.Struct, frozen=True):
    """A node as a container instance of a cluster. ``state``: ACTIVE, DRAINING, or INACTIVE (deregistered)."""

    cluster: str
    node: str
    ec2: str
    state: str = "ACTIVE"
    attributes: Mapping[str, str | None] = {}
    tags: Tags = {}


class Setting(msgspec.Struct, frozen=True):
    """An account setting: of one principal, or the account's default (principal "")."""

    name: str
    value: str
    principal: str = ""


class Token(msgspec.Struct, frozen=True):
    """A clientToken of RunTask: what it was used for, and what it made."""

    digest: str
    tasks: tuple[str, ...]


Record = Resource[Any, Any]


def _at(r: Record, value: str) -> str:
    return scoped(r.meta.account, r.meta.region, value)


def _task_state(r: Resource[Task, TaskStatus]) -> str | None:
    """Index of what DescribeClusters counts: RUNNING, or on the way to it (PENDING)."""
    last = r.status.last
    if last == "RUNNING":
        return _at(r, f"{r.spec.cluster}/RUNNING")
    return _at(r, f"{r.spec.cluster}/PENDING") if last in ("PROVISIONING", "PENDING", "ACTIVATING") else None


def _alive(r: Resource[Task, TaskStatus]) -> bool:
    return r.status.last != "STOPPED"


CLUSTER: Kind[Cluster, NoStatus] = Kind("ecs.cluster", Cluster, NoStatus)
TASK_DEFINITION: Kind[TaskDefinition, NoStatus] = Kind(
    "ecs.task_definition",
    TaskDefinition,
    NoStatus,
    {
        "family": lambda r: _at(r, r.spec.family),
        "deleting": lambda r: "1" if r.spec.state == "DELETE_IN_PROGRESS" else None,
    },
)
FAMILY: Kind[Family, NoStatus] = Kind("ecs.family", Family, NoStatus)
TASK: Kind[Task, TaskStatus] = Kind(
    "ecs.task",
    Task,
    TaskStatus,
    {
        "cluster": lambda r: _at(r, r.spec.cluster),
        "state": _task_state,
        "service": lambda r: _at(r, f"{r.spec.cluster}/{r.spec.service}") if r.spec.service else None,
        "deployment": lambda r: (
            _at(r, f"{r.spec.deployment}/{_counted(r)}") if r.spec.deployment and _counted(r) else None
        ),
        "definition": lambda r: _at(r, r.spec.definition) if _alive(r) else None,
        "instance": lambda r: _at(r, r.spec.instance) if r.spec.instance and _alive(r) else None,
        "node": lambda r: r.spec.node if _alive(r) else None,
    },
)
SERVICE: Kind[Service, ServiceStatus] = Kind(
    "ecs.service",
    Service,
    ServiceStatus,
    {
        "cluster": lambda r: _at(r, r.spec.cluster) if r.spec.state != "INACTIVE" else None,
        "active": lambda r: _at(r, r.spec.cluster) if r.spec.state == "ACTIVE" else None,
        "unplaced": lambda r: "1" if r.status.unplaced else None,
        "daemon": lambda r: (
            _at(r, r.spec.cluster) if r.spec.scheduling == "DAEMON" and r.spec.state == "ACTIVE" else None
        ),
        "balanced": lambda r: "1" if r.spec.groups and r.spec.state != "INACTIVE" else None,
    },
)
DEPLOYMENT: Kind[Deployment, DeploymentStatus] = Kind(
    "ecs.deployment",
    Deployment,
    DeploymentStatus,
    {"service": lambda r: _at(r, r.spec.service), "definition": lambda r: _at(r, r.spec.launch.definition)},
)
EVENTS: Kind[Events, NoStatus] = Kind("ecs.events", Events, NoStatus)
INSTANCE: Kind[Instance, NoStatus] = Kind(
    "ecs.container_instance",
    Instance,
    NoStatus,
    {
        "cluster": lambda r: _at(r, r.spec.cluster) if r.spec.state != "INACTIVE" else None,
        "node": lambda r: r.spec.node,
    },
)
SETTING: Kind[Setting, NoStatus] = Kind("ecs.setting", Setting, NoStatus)
TOKEN: Kind[Token, NoStatus] = Kind("ecs.token", Token, NoStatus)
KINDS = (
    CLUSTER,
    TASK_DEFINITION,
    FAMILY,
    TASK,
    SERVICE,
    DEPLOYMENT,
    EVENTS,
    INSTANCE,
    SETTING,
    TOKEN,
)


def _counted(r: Resource[Task, TaskStatus]) -> str:
    """How a deployment counts this task: RUNNING, PENDING, or STOPPING (not over yet); "" when it is."""
    last = r.status.last
    if last == "STOPPED":
        return ""
    if last == "RUNNING":
        return "RUNNING"
    return "PENDING" if last in ("PROVISIONING", "PENDING", "ACTIVATING") else "STOPPING"
