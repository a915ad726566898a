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
    the workload's, 0 none). ``secrets``: environment variable → where its value lies, which a node asks for when it makes
    the container."""

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
    DEPROVISIONING, STOPPED; it moves forwards only, and never again once STOPPED. Times: seconds since the epoch."""

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


class NetworkRule(msgspec.Struct, frozen=True):
    """One permission of a security group. ``protocol`` tcp, udp, icmp, a number, or "-1" for all; ports inclusive (-1
    all; ICMP type and code). The other side is a CIDR or a security group."""

    protocol: str
    from_port: int
    to_port: int
    cidr: str = ""
    group: str = ""


class SecurityGroup(msgspec.Struct, frozen=True):
    id: str
    ingress: tuple[NetworkRule, ...] = ()
    egress: tuple[NetworkRule, ...] = ()


class Subnet(msgspec.Struct, frozen=True):
    """``cidr``'s first address is the router, as in AWS. ``internet``: the destinations that its route table sends to
    the internet gateway; nothing else leaves the VPC from here."""

    id: str
    cidr: str
    zone: str
    internet: tuple[str, ...] = ("0.0.0.0/0",)


class Vpc(msgspec.Struct, frozen=True):
    """A whole VPC as a node builds it: one network namespace, in which its subnets' routers are."""

    id: str
    cidrs: tuple[str, ...]
    subnets: tuple[Subnet, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    internet: bool = True
    """Whether there is a way out (an internet gateway is attached)."""
    names: Mapping[str, str] = {}
    """Private DNS names → address, resolved inside the VPC besides load balancers' names."""
    domain: str = ""
    """What follows ``ip-172-31-0-5.`` in the private names of its addresses ("" where the VPC gives none)."""
    resolver: bool = True
    """Whether the VPC has a DNS server (enableDnsSupport)."""
    regrouped: Mapping[str, tuple[str, ...]] = {}
    """ENI → security groups, where they were changed since it was made; they go before those of the Interface."""


class BalancerTarget(msgspec.Struct, frozen=True):
    """``vpc`` is the VPC that the address lies in, "" for the host's own network. ``draining`` gets no new work."""

    id: str
    address: str
    port: int
    vpc: str = ""
    weight: int = 1
    draining: bool = False


class BalancerHealthCheck(msgspec.Struct, frozen=True):
    """``matcher`` is AWS's (``200``, ``200-299``, ``200,202``). ``port`` 0 means the target's. ``version``: HTTP1, HTTP2,
    GRPC, whose codes the matcher has then."""

    protocol: str = "HTTP"
    path: str = "/"
    port: int = 0
    interval: float = 30
    timeout: float = 5
    healthy: int = 5
    unhealthy: int = 2
    matcher: str = "200"
    enabled: bool = True
    version: str = "HTTP1"


class BalancerPool(msgspec.Struct, frozen=True):
    """A target group. ``algorithm``: round_robin, least_outstanding_requests. ``sticky`` is the duration of the cookie in
    seconds (0 off), ``sticky_cookie`` the application's cookie ("" for the balancer's own). ``function``: the ARN of a
    target group that is answered by a function, which the server invokes; it has no targets. ``version``: HTTP1, HTTP2,
    GRPC."""

    id: str
    protocol: str
    targets: tuple[BalancerTarget, ...] = ()
    health_check: BalancerHealthCheck = BalancerHealthCheck()
    algorithm: str = "round_robin"
    sticky: int = 0
    sticky_cookie: str = ""
    deregistration_delay: float = 300
    slow_start: float = 0
    function: str = ""
    version: str = "HTTP1"


class BalancerCondition(msgspec.Struct, frozen=True):
    """``field``: path-pattern, host-header, http-header, http-request-method, query-string, source-ip. ``name`` is the
    header's name; query values are ``key=value`` or ``value`` with wildcards."""

    field: str
    values: tuple[str, ...]
    name: str = ""


class BalancerAction(msgspec.Struct, frozen=True):
    """``kind``: forward (``pools`` with weights), redirect, fixed-response."""

    kind: str
    pools: tuple[tuple[str, int], ...] = ()
    sticky: int = 0
    redirect: Mapping[str, str] = {}
    status: int = 0
    content_type: str = ""
    body: str = ""


class BalancerRule(msgspec.Struct, frozen=True):
    """Rules are in the order in which they are tried; the last one has no conditions."""

    id: str
    conditions: tuple[BalancerCondition, ...]
    action: BalancerAction


class BalancerTls(msgspec.Struct, frozen=True):
    """``oldest`` and ``newest``: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3. ``ciphers`` by OpenSSL's names, in the order of
    preference; ``suites`` are TLS 1.3's."""

    oldest: str = "TLSv1.2"
    newest: str = "TLSv1.3"
    ciphers: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()


class BalancerMutual(msgspec.Struct, frozen=True):
    """Clients show certificates. ``mode``: passthrough (any, or none) or verify: one that comes from ``authorities`` (PEM)
    and is on none of the ``revocations`` (PEM). ``expired``: also one that has expired. ``advertised``: clients are told
    which authorities are trusted."""

    mode: str
    authorities: str = ""
    revocations: tuple[str, ...] = ()
    expired: bool = False
    advertised: bool = False


class BalancerListener(msgspec.Struct, frozen=True):
    """``certificates`` are PEM texts (key and chain), the default one first; ``names`` the host names that they are for.
    ``clients``: the blocks that its security groups let in where balancers share an address, which no packet filter can
    tell apart (None: everybody). ``headers`` are set in every answer; ``nameless``: answers do not
    name the server that they come from."""

    id: str
    port: int
    protocol: str
    rules: tuple[BalancerRule, ...]
    certificates: tuple[str, ...] = ()
    clients: tuple[str, ...] | None = None
    tls: BalancerTls = BalancerTls()
    names: tuple[str, ...] = ()
    mutual: BalancerMutual | None = None
    headers: tuple[tuple[str, str], ...] = ()
    nameless: bool = False

    def __repr__(self) -> str:
        return f"BalancerListener({self.id!r}, {self.port}, {self.protocol!r}, {self.rules!r}, names={self.names!r})"


class Balancer(msgspec.Struct, frozen=True):
    """A whole load balancer as a node runs it. ``addresses``: (VPC subnet id, address in it) of its interfaces;
    ``host_address`` is its loopback address on this machine. ``dns_name`` resolves to the one or the others."""

    id: str
    dns_name: str
    vpc: str
    addresses: tuple[tuple[str, str], ...]
    host_address: str
    security_groups: tuple[str, ...] = ()
    listeners: tuple[BalancerListener, ...] = ()
    pools: tuple[BalancerPool, ...] = ()
    idle_timeout: float = 60
    kind: str = "application"
    attributes: Mapping[str, str] = {}
    inner_address: str = ""
    """Where containers on the machine's bridge reach it; the node says, "" where they do not."""


class TargetHealth(msgspec.Struct, frozen=True):
    """``state``: initial, healthy, unhealthy, draining, unavailable, unused; ``reason`` as AWS codes it."""

    pool: str
    target: str
    state: str
    reason: str = ""
    description: str = ""


class BalancerStatus(msgspec.Struct, frozen=True):
    """``state``: provisioning, active, active_impaired, failed, with the reason in words."""

    id: str
    state: str
    reason: str = ""
    targets: tuple[TargetHealth, ...] = ()
    host_ports: tuple[int, ...] = ()
    """Listener ports that answer on ``host_address``."""
