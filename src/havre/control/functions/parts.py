"""What environments are made of, whose they are, and how they fail to begin."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from havre.control.functions.api import Exchange, OpenApi
from havre.control.functions.debugging import DebugDoors
from havre.control.functions.lines import LineSpool
from havre.core.environments.failures import Failure
from havre.engines.sandbox import Sandbox, SandboxEngine
from havre.kernel.function import Function
from havre.kernel.workload import Interface
from havre.kernel.world import World

if TYPE_CHECKING:
    from havre.control.functions.environment import Environment


class Interfaces(Protocol):
    """Network interfaces of functions that are in a VPC."""

    async def take(self, function: Function) -> Interface:
        """One in one of its subnets; the VPC is there by then. Raises Permanent, Temporary."""
        ...

    async def give_back(self, function: Function, interface: Interface) -> None:
        """Raises Permanent, Temporary."""
        ...


@dataclass(frozen=True)
class Parts:
    """What environments are made of. ``steady``: a clock for durations, in seconds. ``credentials`` gives a function's, in
    the shape of STS with ``Expiration`` in seconds since the epoch, empty without a role; it raises Temporary and
    Permanent. ``endpoint`` is Havre's API where the sandbox does not know better, ``dial`` gives a
    TCP socket in a sandbox's network, not connected yet, or raises OSError."""

    engine: SandboxEngine
    open_api: OpenApi
    world: World
    steady: Callable[[], float]
    spool: LineSpool
    endpoint: str
    dial: Callable[[Sandbox], Awaitable[socket.socket]]
    interfaces: Interfaces
    doors: DebugDoors
    credentials: Callable[[Function], Awaitable[Mapping[str, str | float]]]
    unseal: Callable[[Function], Awaitable[Mapping[str, str]]] | None = None
    """Variables of a function that are kept encrypted; raises Temporary and Permanent."""
    shares: Callable[[Function], Awaitable[Mapping[str, int]]] | None = None
    """What it has of file systems: path → a mount that is nowhere yet (descriptor), which whoever asks closes. Raises
    Temporary and Permanent."""


class Owner(Protocol):
    """Who has all environments of the node."""

    def attach(self, environment: Environment) -> None:
        """It has its sandbox now: what the engine tells of that is for it."""
        ...

    def detach(self, environment: Environment) -> None: ...

    def lend(self, environment: Environment, exchange: Exchange) -> None:
        """One of its processes, which may, asks for the credentials of the function's role."""
        ...

    def answered(self, environment: Environment) -> None: ...

    def settled(self, environment: Environment) -> None:
        """It can take the next invocation."""
        ...

    def failed(self, environment: Environment, reason: str) -> None:
        """Its invocation has, and what runs in it is of no use any more. ``reason`` as extensions hear it: timeout or
        failure."""
        ...

    def broken(self, environment: Environment, reason: str) -> None:
        """The whole of it is of no use any more."""
        ...


class InitFailed(Exception):
    """The init phase has not ended well. ``status``: error or timeout."""

    def __init__(self, failure: Failure, status: str = "error") -> None:
        super().__init__(failure.type)
        self.failure = failure
        self.status = status


def describe(failure: Failure) -> str:
    """In a sentence, for who published or provisioned the function."""
    try:
        found = json.loads(failure.payload)
    except ValueError:
        return failure.type
    if not isinstance(found, dict):
        return failure.type
    kind, message = found.get("errorType") or failure.type, found.get("errorMessage")
    return f"{kind}: {message}" if message else str(kind)
