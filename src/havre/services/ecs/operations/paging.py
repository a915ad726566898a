"""ECS's lists: ``maxResults``, ``nextToken``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.services.ecs.rules.common import invalid

T = TypeVar("T")
MAX = 100
_PAGING = Paging("maxResults", "nextToken", "InvalidParameterException", "Invalid token.")


def paged(
    call: Call, request: Request, items: Sequence[T], key: Callable[[T], str], most: int = MAX
) -> tuple[list[T], str | None]:
    """Items sorted by a unique key, one page of them."""
    if not 1 <= (request.get("maxResults") or most) <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    return _PAGING.page(call, request, items, key, most)
