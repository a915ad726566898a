"""Pages of lists: the older operations have MaxItems and Marker, the newer ones MaxResults and NextToken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

T = TypeVar("T")
MOST, LARGEST = 100, 1000
_OLD = Paging("MaxItems", "Marker", "BadRequest", "Invalid pagination token")
_NEW = Paging("MaxResults", "NextToken", "BadRequest", "Invalid pagination token")


def page(call: Call, request: Request, found: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    how = _NEW if "MaxResults" in request or "NextToken" in request else _OLD
    bounded = {**request, how.size: min(request.get(how.size) or MOST, LARGEST)}
    return how.page(call, bounded, sorted(found, key=key), key, MOST)
