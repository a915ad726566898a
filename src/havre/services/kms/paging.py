"""Limit and Marker of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

T = TypeVar("T")
_PAGING = Paging("Limit", "Marker", "InvalidMarkerException", "Invalid marker")


def page(
    call: Call, request: Request, found: Sequence[T], key: Callable[[T], str], most: int
) -> tuple[list[T], dict[str, Any]]:
    """This page, and what the answer says of the next. ``most``: items without a Limit."""
    shown, following = _PAGING.page(call, request, sorted(found, key=key), key, most)
    return shown, {"NextMarker": following, "Truncated": following is not None}
