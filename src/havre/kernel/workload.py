"""Workload: what a node is told to run, free of AWS's shapes; and what a node reports of it.

ECS tasks become workloads, later Lambda environments and pods. Server and nodes exchange these records: fields are
added with a default, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Registry(msgspec.Struct, frozen=True):
    """Credentials to pull with; ``server`` is the registry's host[:port]."""

    server: str
    username: str
    password: str


class PortMapping(msgspec.Struct, frozen=True):
    """``host_port`` 0 lets the node choose one (bridge mode)."""

    container_port: int
    host_port: int = 0
    protocol: str = "tcp"


class Mount(msgspec.Struct, frozen=True):
    """``volume`` names a Volume of the workload."""

    volume: str
    path: str
    read_only: bool = False


class Share(msgspec.Struct, frozen=True):
    """A directory of a file system that many may have at once. ``path`` is below the file system's root, and made with
    ``owner`` (uid, gid, mode) if it is not there; None: it must be there. Whoever has it acts as ``user`` (uid, gid), None
    for as himself; with ``squashed``, root acts as nobody."""

    file_system: str
    path: str = "/"
    read_only: bool = False
    user: tuple[int, int] | None = None
    owner: tuple[int, int, int] | None = None
    squashed: bool = False


class Volume(msgspec.Struct, frozen=True):
    """``kind``: host (``source`` is a path), docker (``source`` is the volume's name; "" makes one for this workload),
    empty (goes with the workload), share (``share`` says which)."""

    name: str
    kind: str = "empty"
    source: str = ""
    driver: str = ""
    driver_options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    shared: bool = False
    share: Share | None = None


class HealthCheck(msgspec.Struct, frozen=True):
    """``command`` as Docker takes it (``CMD``/``CMD-SHELL`` first); times in seconds."""

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


class Dependency(msgspec.Struct, frozen=True):
    """``condition``: START, COMPLETE, SUCCESS, HEALTHY."""

    container: str
    condition: str


class Ulimit(msgspec.Struct, frozen=True):
    name: str
    soft: int
    hard: int


class Device(msgspec.Struct, frozen=True):
    host_path: str
    container_path: str = ""
    permissions: str = "rwm"


class Tmpfs(msgspec.Struct, frozen=True):
    path: str
    size_mib: int
    options: tuple[str, ...] = ()


class LogTarget(msgspec.Struct, frozen=True):
    """``driver`` awslogs: lines go to ``group``/``stream`` in ``region`` of the workload's account, through the node's
    log sink. Any other driver is handed to the engine as it is, with ``options``. "" discards."""

    driver: str = ""
    group: str = ""
    stream: str = ""
    region: str = ""
    options: Mapping[str, str] = {}


class Container(msgspec.Struct, frozen=True):
    """CPU in units of 1/1024 core (a weight among the workload's containers), memory in MiB (a limit of its own besides
    the workload's, 0 none). ``secrets``: environment variable → where its value lies, ``environment_files``: where more
    variables lie; a node asks for both when it makes the container. ``registry_secret``: where user and password of its
    image's registry lie, which a node asks for when it pulls."""

    name: str
    image: str
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: Mapping[str, str] = {}
    essential: bool = True
    cpu: int = 0
    memory: int = 0
    memory_reservation: int = 0
    ports: tuple[PortMapping, ...] = ()
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[tuple[str, bool], ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    health_check: HealthCheck | None = None
    start_timeout: float = 180
    stop_timeout: float = 30
    stop_signal: str = ""
    user: str = ""
    working_directory: str = ""
    hostname: str = ""
    interactive: bool = False
    tty: bool = False
    privileged: bool = False
    read_only_root: bool = False
    init: bool = False
    labels: Mapping[str, str] = {}
    links: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    sysctls: Mapping[str, str] = {}
    shm_size_mib: int = 0
    swap_mib: int | None = None
    swappiness: int | None = None
    log: LogTarget = LogTarget()
    registry: Registry | None = None
    arn: str = ""
    secrets: Mapping[str, str] = {}
    environment_files: tuple[str, ...] = ()
    registry_secret: str = ""


class Interface(msgspec.Struct, frozen=True):
    """The network interface of an awsvpc workload: an address of its own in a subnet of a VPC."""

    eni: str
    vpc: str
    subnet: str
    address: str
    mac: str
    security_groups: tuple[str, ...] = ()
    public_address: str = ""
    hostname: str = ""


class Workload(msgspec.Struct, frozen=True):
    """``id`` is unique over all nodes and for ever. ``desired``: RUNNING or STOPPED. ``network``: bridge, host, none,
    awsvpc. ``stop_reason`` and ``stop_code`` say why when desired is STOPPED. ``role`` names the task role whose
    credentials the metadata endpoint hands out, ``execution_role`` the one that fetches its secrets ("" none). ``cpu``
    (1/1024 core) and ``memory`` (MiB) are hard limits of all its containers together (0 none): one control group around
    theirs."""

    id: str
    arn: str
    account: str
    region: str
    containers: tuple[Container, ...]
    desired: str = "RUNNING"
    network: str = "bridge"
    interface: Interface | None = None
    volumes: tuple[Volume, ...] = ()
    cpu: int = 0
    memory: int = 0
    pid_mode: str = ""
    ipc_mode: str = ""
    runtime: str = "container"
    """container, or microvm (which nodes do not run yet)."""
    role: str = ""
    group: str = ""
    labels: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}
    """What the task metadata endpoint tells besides: Cluster, Family, Revision, AvailabilityZone, LaunchType, VPCID, …"""
    stop_code: str = ""
    stop_reason: str = ""
    execution_role: str = ""


class BoundPort(msgspec.Struct, frozen=True):
    container_port: int
    host_port: int
    protocol: str = "tcp"
    bind_ip: str = "0.0.0.0"


class ContainerStatus(msgspec.Struct, frozen=True):
    """``state``: PENDING, PULLING, CREATED, RUNNING, STOPPED. ``health``: UNKNOWN, HEALTHY, UNHEALTHY. ``reason`` in
    ECS's words (``CannotPullContainerError: …``, ``OutOfMemoryError: …``)."""

    name: str
    state: str = "PENDING"
    runtime_id: str = ""
    image_digest: str = ""
    exit_code: int | None = None
    reason: str = ""
    health: str = "UNKNOWN"
    ports: tuple[BoundPort, ...] = ()
    started: float | None = None
    finished: float | None = None


class WorkloadStatus(msgspec.Struct, frozen=True):
    """What a node saw. ``phase``: PENDING (pulling, network, volumes), ACTIVATING, RUNNING, DEACTIVATING, STOPPING,
    DEPROVISIONING, STOPPED; it moves forwards only, and never again once STOPPED. Times: seconds since the epoch.
    ``trouble``: what has failed and is tried again."""

    id: str
    phase: str
    containers: tuple[ContainerStatus, ...] = ()
    stop_code: str = ""
    stop_reason: str = ""
    pull_started: float | None = None
    pull_stopped: float | None = None
    started: float | None = None
    stopping: float | None = None
    execution_stopped: float | None = None
    stopped: float | None = None
    health: str = "UNKNOWN"
    trouble: tuple[str, ...] = ()
