"""What hangs on scalable targets, each by a name: policies and scheduled actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from havre.control.operation import Call, Request
from havre.kernel.resource import Kind, Resource, scoped
from havre.services.applicationautoscaling import queries
from havre.services.applicationautoscaling.errors import not_found
from havre.services.applicationautoscaling.resources import TARGET, TargetR, part_name
from havre.store.ports import Transaction

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)


def place(call: Call, target: TargetR, noun: str, id: str, name: str) -> dict[str, str]:
    """Where a new one goes, and its ARN. ``noun`` is that of ARNs: ``scalingPolicy``, ``scheduledAction``."""
    short = "policy" if noun == "scalingPolicy" else noun
    arn = f"arn:aws:autoscaling:{call.region}:{call.account}:{noun}:{id}:resource/"
    arn += f"{target.spec.namespace}/{target.spec.resource}:{short}Name/{name}"
    return {"account": call.account, "region": call.region, "name": part_name(target.meta.name, name), "arn": arn}


def get(tx: Transaction, call: Call, kind: Kind[S, T], target: TargetR, name: str) -> Resource[S, T] | None:
    return tx.get(kind, call.account, call.region, part_name(target.meta.name, name))


async def delete(call: Call, request: Request, kind: Kind[Any, Any], name: str, noun: str) -> None:
    """Raises ApiError ObjectNotFoundException; ``noun`` is that of its words."""

    def change(tx: Transaction) -> None:
        target = queries.get(tx, call, request)
        found = get(tx, call, kind, target, name)
        if found is None:
            spec = target.spec
            raise not_found(noun, spec.namespace, spec.resource, spec.dimension)
        tx.remove(found)

    await call.store.transact(change)


def described(
    call: Call, request: Request, kind: Kind[S, T], names: Sequence[str] | None
) -> list[tuple[TargetR, Resource[S, T]]]:
    """Those of the targets that a Describe… means, with their targets; of these names where there are any."""
    found: list[tuple[TargetR, Resource[S, T]]] = []
    for target in call.store.list(TARGET, call.account, call.region):
        if queries.asked_for(request, target):
            value = scoped(call.account, call.region, target.meta.name)
            parts: Sequence[Any] = call.store.find(kind, "target", value)
            found += [(target, part) for part in parts if not names or part.spec.name in names]
    return found
