"""``Limit`` and ``NextToken`` of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

T = TypeVar("T")
PAGE = 100
_PAGING = Paging("Limit", "NextToken", "ValidationException", "Token is invalid. Reason: Failed to validate it.")


def page(call: Call, request: Request, items: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """``items`` are in the order of ``key``."""
    return _PAGING.page(call, request, items, key, PAGE)
