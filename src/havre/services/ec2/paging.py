"""MaxResults and NextToken: a token names the operation and the last id that was given out, and is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Request
from havre.kernel.errors import ApiError
from havre.services.ec2.errors import combination, invalid

R = TypeVar("R")
MOST = 1000


def page(
    operation: str, request: Request, found: Sequence[R], id_of: Callable[[R], str], ids: str = ""
) -> tuple[Sequence[R], str | None]:
    """This page of ``found`` (ordered by id), and the token of the next. ``ids`` names the member with ids, which AWS
    does not allow together with MaxResults."""
    size, token = request.get("MaxResults"), request.get("NextToken")
    if size is not None and ids and request.get(ids):
        raise combination(f"The parameter {ids} cannot be used with the parameter MaxResults")
    if size is not None and size < 1:
        raise invalid(f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value of at least 5.")
    if token:
        after = _read(operation, token)
        found = [each for each in found if id_of(each) > after]
    size = min(size or MOST, MOST)
    if len(found) <= size:
        return found, None
    shown = found[:size]
    return shown, base64.urlsafe_b64encode(f"{operation}\n{id_of(shown[-1])}".encode()).decode()


def _read(operation: str, token: str) -> str:
    try:
        of, _, after = base64.urlsafe_b64decode(token.encode()).decode().partition("\n")
    except (binascii.Error, ValueError):
        of, after = "", ""
    if of != operation or not after:
        raise ApiError("InvalidNextToken", f"The token '{token}' is invalid")
    return after
