"""What a reconciler may use: handed in by apps, never reached for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from havre.control.metrics import UNMETERED, Metrics
from havre.control.operation import Aws, Site
from havre.kernel.world import World
from havre.store.ports import Journal, Store


class AwsFor(Protocol):
    def __call__(self, account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws: ...


class AwsWith(Protocol):
    def __call__(self, account: str, region: str, credentials: Mapping[str, Any], trace: str = "") -> Aws: ...


@dataclass(frozen=True)
class ReconcilerDeps:
    """``aws_for(account, region, "ecs.amazonaws.com")`` calls AWS operations as that service's linked role; with the
    ARN of the resource that it acts for as a fourth argument, as far as resource policies let it (``AsService``).

    ``aws_with(account, region, credentials)`` calls them with temporary credentials, as AssumeRole answers them
    (``AccessKeyId``, ``SecretAccessKey``, ``SessionToken``); None where nobody can check any.

    ``trace`` is the trace header that the calls carry on: functions that they lead to are counted in its lineage.
    ``metrics`` takes what AWS's metrics of the services are made of.
    """

    store: Store
    journal: Journal
    world: World
    site: Site
    aws_for: AwsFor
    aws_with: AwsWith | None = None
    metrics: Metrics = UNMETERED
