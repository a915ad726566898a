"""What a reconciler may use: handed in by apps, never reached for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from havre.control.operation import Aws, Site
from havre.kernel.world import World
from havre.store.ports import Journal, Store


@dataclass(frozen=True)
class ReconcilerDeps:
    """``aws_for(account, region, "ecs.amazonaws.com")`` calls AWS operations as that service's linked role.

    ``aws_with(account, region, credentials)`` calls them with temporary credentials, as AssumeRole answers them
    (``AccessKeyId``, ``SecretAccessKey``, ``SessionToken``); None where nobody can check any.
    """

    store: Store
    journal: Journal
    world: World
    site: Site
    aws_for: Callable[[str, str, str], Aws]
    aws_with: Callable[[str, str, Mapping[str, Any]], Aws] | None = None
