"""AWS Lambda: functions, versions, aliases, layers, policies, event source mappings, and their invocation.

The promise: what is acknowledged is kept; a function that says it is Active can be invoked at once; while an update is in
progress, invocations run what was before it.
"""

from __future__ import annotations

from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.policies import resource_policy

__all__ = ["Facilities", "reconcilers", "resource_policy", "service"]


def service(facilities: Facilities | None = None) -> Service:
    """``facilities`` is filled in by apps; operations that need what is missing fail before that."""
    from havre.services.lambda_.resources import KINDS

    return Service("lambda", merge(), KINDS)


def reconcilers(deps: ReconcilerDeps, facilities: Facilities) -> list[Any]:
    return []
