"""Typed reads, and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.services.applicationautoscaling import scalable
from havre.services.applicationautoscaling.errors import not_found
from havre.services.applicationautoscaling.resources import TARGET, TargetR, target_name
from havre.store.ports import Reader

R = TypeVar("R")
MOST = 50
_PAGING = Paging("MaxResults", "NextToken", "InvalidNextTokenException", "The next token is not valid.")


def named(request: Request) -> tuple[str, str, str]:
    """(namespace, resource, dimension). Raises ApiError."""
    where = request["ServiceNamespace"], request["ResourceId"], request["ScalableDimension"]
    scalable.check(where[0], where[2], where[1])
    return where


def find(reader: Reader, call: Call, request: Request) -> TargetR | None:
    _, resource, dimension = named(request)
    return reader.get(TARGET, call.account, call.region, target_name(dimension, resource))


def get(reader: Reader, call: Call, request: Request) -> TargetR:
    """Raises ApiError ObjectNotFoundException."""
    found = find(reader, call, request)
    if found is None:
        namespace, resource, dimension = named(request)
        raise not_found("scalable target", namespace, resource, dimension)
    return found


def page(
    call: Call, request: Request, found: Sequence[R], shown: Callable[[R], dict[str, Any]]
) -> tuple[list[dict[str, Any]], str | None]:
    """Raises ApiError InvalidNextTokenException."""
    bounded = {**request, "MaxResults": min(MOST, request.get("MaxResults") or MOST)}
    some, token = _PAGING.page_by_count(call, bounded, found, MOST)
    return [shown(each) for each in some], token


def asked_for(request: Request, target: TargetR) -> bool:
    """Whether a Describe… means this target, or what hangs on it."""
    spec = target.spec
    resources = request.get("ResourceIds") or ([request["ResourceId"]] if "ResourceId" in request else None)
    return (
        spec.namespace == request["ServiceNamespace"]
        and (resources is None or spec.resource in resources)
        and ("ScalableDimension" not in request or spec.dimension == request["ScalableDimension"])
    )
