"""What Havre asks of the world outside. Every call may be repeated; every call may fail, be slow, or lose its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from havre.kernel.balancer import Balancer, BalancerStatus, PoolTraffic
from havre.kernel.vpc import Vpc
from havre.kernel.workload import BoundPort, Container, Interface, Registry, Volume, Workload


class Capacity(msgspec.Struct, frozen=True):
    """What a machine has: CPU in units of 1/1024 core, memory in MiB."""

    cpu: int
    memory: int
    architecture: str = "x86_64"
    os: str = "linux"
    kernel: str = ""
    engine: str = ""
    engine_version: str = ""


class Image(msgspec.Struct, frozen=True):
    """``id`` is what containers are made from; ``digest`` the repository digest ("" if it never came from a registry)."""

    id: str
    digest: str = ""


class Mounted(msgspec.Struct, frozen=True):
    """A volume (``name``) or a directory of the machine ("") at ``source``, seen at ``destination`` in a container."""

    name: str
    source: str
    destination: str


class RunState(msgspec.Struct, frozen=True):
    """A container as the engine sees it. ``state``: created, running, exited, dead."""

    id: str
    name: str
    workload: str
    container: str
    state: str
    pid: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: str = "UNKNOWN"
    started: float | None = None
    finished: float | None = None
    ports: tuple[BoundPort, ...] = ()
    address: str = ""
    labels: Mapping[str, str] = {}
    created: float | None = None
    mounts: tuple[Mounted, ...] = ()


class Terminal(Protocol):
    """A command that runs in a container on a terminal of its own. One task reads, one writes."""

    async def read(self) -> bytes:
        """What it has written since, a piece at a time; b"" when it has ended. What is not read makes it wait. Raises
        Permanent in the engine's words when the command could not be started, Temporary when the engine is lost."""
        ...

    async def write(self, data: bytes) -> None:
        """As if typed; returns when it was taken. What has ended takes it for nothing."""
        ...

    async def resize(self, columns: int, rows: int) -> None: ...

    async def ended(self) -> int:
        """Returns its exit code when it has ended."""
        ...

    async def close(self) -> None:
        """Hang up: a command that still runs gets SIGHUP, and soon after SIGKILL."""
        ...


class ContainerEngine(Protocol):
    """Containers. Those of other Havre instances and of other programs are invisible through this port."""

    async def capacity(self) -> Capacity:
        """Raises Temporary when the engine does not answer."""
        ...

    async def pull(self, reference: str, registry: Registry | None, *, always: bool = True) -> Image:
        """Raises Permanent with the engine's words when the image is not there or access is denied, Temporary when the
        registry or the engine does not answer."""
        ...

    async def sandbox(self, workload: Workload) -> RunState:
        """A running container whose network namespace the workload's containers join (awsvpc); taken from a pool of
        ready ones where there is one. ``pid`` is set."""
        ...

    async def create(
        self, workload: Workload, container: Container, image: Image, sandbox: RunState | None
    ) -> RunState:
        """Created, not started; its name is derived from workload and container, so that a second call finds the first."""
        ...

    async def start(self, id: str) -> RunState:
        """Raises Permanent when the container cannot start (missing command, port taken)."""
        ...

    async def stop(self, id: str, timeout: float, signal: str = "") -> None:
        """Signal, then SIGKILL after ``timeout`` seconds; returns when it has stopped or is gone."""
        ...

    async def remove(self, id: str) -> None: ...

    async def inspect(self, id: str) -> RunState:
        """Raises Gone."""
        ...

    async def containers(self, workload: str | None = None) -> Sequence[RunState]:
        """All of this instance's (sandboxes included, their ``container`` is ""), or of one workload."""
        ...

    async def ensure_volume(self, workload: Workload, volume: Volume) -> str:
        """Gives what to mount: a volume name or a path."""
        ...

    async def volume_owners(self) -> Sequence[str]:
        """The workloads that have ``empty`` volumes here."""
        ...

    async def remove_volumes(self, workload: str | None) -> None:
        """The ``empty`` volumes of a workload; None: of every workload of this instance."""
        ...

    async def tidy(self, alive: Collection[str]) -> None:
        """Whatever it keeps for workloads besides containers and volumes (the control groups of their limits) goes, but
        for these. Commands on terminals whose process was killed end."""
        ...

    def events(self) -> AsyncIterator[str]:
        """Workload ids whose containers changed; "" when the stream was interrupted and everything may have."""
        ...

    async def exec(self, id: str, command: Sequence[str]) -> tuple[int, bytes]: ...

    async def open_terminal(self, id: str, command: Sequence[str], columns: int, rows: int) -> Terminal:
        """Run this in the container, as root as ECS Exec does, with the container's environment and directory. Raises
        Gone, Permanent when the container does not run, Temporary."""
        ...

    async def stats(self, id: str) -> Mapping[str, object]:
        """Docker's statistics shape, for the metadata endpoint and the metrics."""
        ...

    async def logs(self, id: str, tail: int = 100) -> bytes: ...

    async def close(self) -> None: ...


class Door(Protocol):
    """Something that answers at an address, until it is closed."""

    def close(self) -> None: ...


Answerer = Callable[[str, int], Awaitable[Door]]
"""(VPC id, descriptor of a listening TCP socket, which is its own from then on) → what closes it. Raises OSError."""


class NetworkEngine(Protocol):
    """The host's network: VPCs, interfaces, security groups. Needs root; ``available`` says why not."""

    def available(self) -> str:
        """ "" when VPC networking works here, otherwise the reason in words."""
        ...

    async def ensure_vpc(self, vpc: Vpc) -> None:
        """Namespace, routers, security groups, names: as described, whatever was there before. Of a VPC that has not
        changed this costs nothing."""
        ...

    async def remove_vpc(self, id: str) -> None: ...

    async def attach(self, interface: Interface, pid: int) -> None:
        """Put the interface into the network namespace of this process and under its security groups."""
        ...

    async def detach(self, eni: str) -> None:
        """Gone is success."""
        ...

    async def add_balancer(self, balancer: Balancer) -> None:
        """The balancer's addresses, in its VPC and on the host, and its security groups on them."""
        ...

    async def remove_balancer(self, id: str) -> None: ...

    def answer(self, address: str, port: int, answerer: Answerer) -> None:
        """Have this address answered inside every VPC that is built from now on, whatever its security groups say. In
        the tasks' own namespaces nothing listens: all of their ports are theirs. Who calls is told by his address,
        for nobody in a VPC can use one that is not his."""
        ...

    async def listen(self, pid: int, address: str, port: int) -> int:
        """A listening TCP socket (its file descriptor) inside the network namespace of this process. An address that
        the namespace does not have (169.254.170.2) is put on its loopback interface."""
        ...

    def namespaces(self) -> Mapping[str, str]:
        """VPC id → name of its network namespace below /run/netns, for those that exist."""
        ...

    def endpoint_for(self, vpc: str) -> str:
        """The URL at which tasks of this VPC reach Havre's AWS API."""
        ...

    def resolver_for(self, vpc: str) -> Sequence[str]:
        """The DNS servers of containers in this VPC: one address, the same in every VPC."""
        ...

    async def interfaces(self) -> Sequence[str]:
        """The ENIs that exist on this machine."""
        ...

    async def remove_all(self) -> None:
        """Everything that this instance made; from now on no VPC is built, whoever still asks for one."""
        ...

    async def close(self) -> None:
        """Lets go of everything, and leaves it as it is: tasks keep their networks while Havre is down."""
        ...


class BalancerEngine(Protocol):
    """Load balancers."""

    async def apply(self, balancers: Sequence[Balancer], namespaces: Mapping[str, str]) -> None:
        """Run exactly these; ``namespaces`` maps VPC ids to network namespace names. No request is lost on the way."""
        ...

    async def status(self) -> Sequence[BalancerStatus]: ...

    async def traffic(self) -> Mapping[str, PoolTraffic]:
        """By the ids of pools; what began anew since counts from nothing. Raises Temporary."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yields at once, and then whenever ``status()`` has changed: health of a target, state of a balancer."""
        ...

    async def run(self) -> None:
        """The engine's own loop, declared in apps: keeps alive what ``apply`` asked for (the proxy's process, health
        checks). Runs until cancelled, and leaves the proxy running then: only ``stop`` ends that."""
        ...

    async def stop(self) -> None:
        """End the proxy; in-flight requests have a moment to finish."""
        ...


LogSink = Callable[[str, str, Sequence[tuple[int, bytes]]], "asyncio.Future[None] | None"]
"""(workload id, container name, lines as (milliseconds, text)): called for each batch, in order per container. None says
that the lines are kept for good; a future is done when they are (the writer waits so long)."""
