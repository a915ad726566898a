"""MaxResults and NextToken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.services.ec2.errors import combination, invalid

R = TypeVar("R")
MOST = 1000
_PAGING = Paging("MaxResults", "NextToken", "InvalidNextToken", "The token '{token}' is invalid")


def page(
    call: Call, request: Request, found: Sequence[R], id_of: Callable[[R], str], ids: str = ""
) -> tuple[Sequence[R], str | None]:
    """This page of ``found`` (ordered by id), and the token of the next. ``ids`` names the member with ids, which AWS
    does not allow together with MaxResults."""
    size = request.get("MaxResults")
    if size is not None and ids and request.get(ids):
        raise combination(f"The parameter {ids} cannot be used with the parameter MaxResults")
    if size is not None and size < 1:
        raise invalid(f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value of at least 5.")
    bounded = request if size is None else {**request, "MaxResults": min(size, MOST)}
    return _PAGING.page(call, bounded, found, id_of, MOST)
