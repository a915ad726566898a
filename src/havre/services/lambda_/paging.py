"""MaxItems and Marker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

R = TypeVar("R")
MOST = 50
"""Items of a page that names no size, and of the largest one there is, as of ListFunctions."""
_PAGING = Paging("MaxItems", "Marker", "InvalidParameterValueException", "Invalid value for parameter Marker")


def page(
    call: Call, request: Request, found: Sequence[R], key_of: Callable[[R], str], most: int = MOST
) -> tuple[Sequence[R], str | None]:
    """This page of ``found``, and the marker of the next (None on the last)."""
    bounded = {**request, "MaxItems": min(request.get("MaxItems") or most, most)}
    return _PAGING.page_as_listed(call, bounded, found, key_of, most)
