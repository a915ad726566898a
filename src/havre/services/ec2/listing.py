"""What every Describe operation does: ids, filters, pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from havre.control.operation import Call, Request
from havre.kernel.resource import Kind, NoStatus, Resource
from havre.services.ec2 import filters, find
from havre.services.ec2.filters import Values
from havre.services.ec2.paging import page

S = TypeVar("S", bound=msgspec.Struct)
ACCEPTS = "Filters MaxResults NextToken"


def described(
    call: Call,
    request: Request,
    kind: Kind[S, NoStatus],
    ids: str,
    known: Mapping[str, Values[Resource[S, NoStatus]]],
) -> tuple[Sequence[Resource[S, NoStatus]], str | None]:
    """The resources that were asked for, and the token of the next page; ``ids`` names the request's member."""
    found = find.some(call, kind, request.get(ids, ()))
    chosen = filters.matching(found, request.get("Filters", ()), known, tags_of)
    return page(call, request, chosen, name_of, ids)


def tags_of(resource: Resource[Any, Any]) -> Mapping[str, str]:
    tags: Mapping[str, str] = resource.spec.tags
    return tags


def name_of(resource: Resource[Any, Any]) -> str:
    return resource.meta.name
