"""``MaxResults`` (a text here) and ``NextToken``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.services.apigatewayv2.errors import bad

T = TypeVar("T")
PAGE = 100
_PAGING = Paging("MaxResults", "NextToken", "BadRequestException", "Invalid position parameter specified")


def page(call: Call, request: Request, items: Sequence[T]) -> tuple[Sequence[T], str | None]:
    given = request.get("MaxResults") or str(PAGE)
    if not given.isdecimal() or not 1 <= int(given) <= 500:
        raise bad("Invalid value for maxResults")
    return _PAGING.page_by_count(call, request, items, PAGE)
