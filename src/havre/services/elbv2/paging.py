"""PageSize and Marker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging

R = TypeVar("R")
MOST = 400
_PAGING = Paging("PageSize", "Marker", "ValidationError", "The marker '{token}' is not valid")


def page(
    call: Call, request: Request, found: Sequence[R], name_of: Callable[[R], str]
) -> tuple[Sequence[R], str | None]:
    """This page of ``found``, and the marker of the next (None on the last)."""
    return _PAGING.page_as_listed(call, request, found, name_of, MOST)
