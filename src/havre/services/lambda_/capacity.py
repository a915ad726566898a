"""Capacity providers as they are stored, and what a function says of the one that it runs on."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.kernel.function import FunctionNetwork

ACTIVE_ONLY_PUBLISHED = "ActiveNonInvocable"
"""The state of ``$LATEST`` of a function on a capacity provider: published versions alone are invoked."""


class ManagedUse(msgspec.Struct, frozen=True):
    """``provider`` is an ARN, ``network`` the provider's, which never changes. ``concurrency``: invocations that one
    environment works on at once; ``ratio``: GiB of memory for each vCPU."""

    provider: str
    network: FunctionNetwork
    concurrency: int
    ratio: float = 2.0

    def cpus(self, memory: int) -> float:
        """vCPUs of an environment with so many MiB."""
        return memory / 1024 / self.ratio


class TargetPolicy(msgspec.Struct, frozen=True):
    """``target`` in percent."""

    metric: str
    target: float


class CapacitySpec(msgspec.Struct, frozen=True):
    """``tags_of_resources`` and ``telemetry`` are kept as they were given: there are no instances to which they could
    apply. ``mode`` is Auto or Manual, which has ``policies``."""

    provider: str
    network: FunctionNetwork
    role: str
    modified: float
    architecture: str = "x86_64"
    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    max_vcpus: int = 400
    mode: str = "Auto"
    policies: tuple[TargetPolicy, ...] = ()
    tags: Mapping[str, str] = {}
    propagate: str = ""
    tags_of_resources: Mapping[str, str] = {}
    system_level: str = ""
    log_group: str = ""

    @property
    def target(self) -> float | None:
        """Share of processors that is to be in use; None: as is usual."""
        return self.policies[0].target / 100 if self.policies else None


class CapacityStatus(msgspec.Struct, frozen=True):
    state: str = "Pending"
