"""ECS's lists: ``maxResults``, ``nextToken``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call
from havre.services.ecs.rules.common import invalid
from havre.wire.tokens import Pages, page

T = TypeVar("T")
MAX = 100


def paged(
    call: Call, request: Mapping[str, Any], items: Sequence[T], key: Callable[[T], str], most: int = MAX
) -> tuple[list[T], str | None]:
    """Items sorted by a unique key, one page of them."""
    limit = request.get("maxResults") or most
    if not 1 <= limit <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    filters = {k: v for k, v in request.items() if k not in ("nextToken", "maxResults")}
    filters["account"], filters["region"] = call.account, call.region
    pages = Pages(
        f"havre-ecs-{call.site.instance}".encode(),
        call.operation,
        filters,
        "InvalidParameterException",
        "Invalid token.",
    )
    return page(pages, items, key, limit, request.get("nextToken"))
