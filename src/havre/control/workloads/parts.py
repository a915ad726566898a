"""What the agent is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from havre.control.terminals.node import Terminals
from havre.control.workloads.shares import Shares
from havre.engines.ports import BalancerEngine, ContainerEngine, NetworkEngine, RunState
from havre.kernel.balancer import BalancerStatus
from havre.kernel.workload import Container, Workload, WorkloadStatus
from havre.kernel.world import World


class Metadata(Protocol):
    """The endpoint that containers ask about themselves (dataplanes/metadata)."""

    def environment(self, workload: Workload, container: Container) -> Mapping[str, str]:
        """What tells the container where the endpoint is."""
        ...

    def resolvers(self, workload: Workload) -> tuple[str, ...]:
        """The name servers of its containers that name none; empty where the engine's own will do."""
        ...

    async def open(self, workload: Workload, pid: int) -> None:
        """Answer where the containers of this workload will ask: an awsvpc one inside the network namespace of this
        process (its sandbox), any other on the host (``pid`` 0). Idempotent. Raises Temporary, Permanent, Gone."""
        ...

    def close(self, workload: str) -> None: ...


class Reports(Protocol):
    """Where status goes (control/nodelink/client.py)."""

    def report(self, status: WorkloadStatus) -> None: ...

    def report_balancers(self, statuses: Sequence[BalancerStatus]) -> None: ...

    async def ask(self, what: str, question: Any, timeout: float = 10.0) -> Any: ...


@dataclass
class AgentParts:
    """``instance_name`` is what EC2 calls this machine; it stands in the reasons of tasks that end with it. ``kept``: the
    ENIs on this machine that are not a workload's and stay (functions have them). ``terminals`` runs commands in containers
    for clients of the server; None where nobody asks for any."""

    containers: ContainerEngine
    network: NetworkEngine
    balancer: BalancerEngine
    metadata: Metadata
    reports: Reports
    world: World
    instance_name: str = "this machine"
    kept: Callable[[], Collection[str]] = frozenset
    terminals: Terminals | None = None
    shares: Shares | None = None
    """What mounts file systems; None where none can be."""
    met: Callable[[], bool] = lambda: True
    """Whether the container engine has ever answered: otherwise nothing of this instance can be with it."""


@dataclass(frozen=True)
class View:
    """A workload as the metadata endpoint sees it; ``containers`` by name. ``subnet`` is the CIDR of its interface's
    subnet."""

    workload: Workload
    status: WorkloadStatus | None
    containers: Mapping[str, RunState]
    subnet: str = ""


def later(delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(max(delay, 0.0), call)
