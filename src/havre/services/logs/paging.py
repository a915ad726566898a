"""``limit`` and ``nextToken`` of lists; tokens are bound to their question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

T = TypeVar("T")
PAGE = 50


_PAGING = Paging("limit", "nextToken", "InvalidParameterException", "The specified nextToken is invalid.")
read, write = _PAGING.read, _PAGING.write


def page(
    call: Call, request: Request, items: Sequence[T], key: Callable[[T], Any], descending: bool = False
) -> tuple[Sequence[T], str | None]:
    """``items`` are in the order of ``key`` (what JSON can say); a page begins behind the last one's end."""
    after = read(call, request)
    first = 0
    if after is not None:
        keys = ((n, key(item)) for n, item in enumerate(items))
        first = next((n for n, each in keys if (each < after if descending else each > after)), len(items))
    limit = request.get("limit") or PAGE
    shown = items[first : first + limit]
    if not shown or first + limit >= len(items):
        return shown, None
    return shown, write(call, request, key(shown[-1]))
