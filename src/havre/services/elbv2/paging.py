"""PageSize and Marker: a marker names the operation and the last name that was given out, and is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.services.elbv2.errors import validation

R = TypeVar("R")
MOST = 400


def page(
    call: Call, request: Request, found: Sequence[R], name_of: Callable[[R], str]
) -> tuple[Sequence[R], str | None]:
    """This page of ``found``, and the marker of the next (None on the last)."""
    size = request.get("PageSize") or MOST
    names = [name_of(each) for each in found]
    start = 0
    if request.get("Marker"):
        last = _read(call.operation, request["Marker"])
        beyond = next((i for i, name in enumerate(names) if name > last), len(names))
        start = names.index(last) + 1 if last in names else beyond
    shown = found[start : start + size]
    if start + size >= len(found):
        return shown, None
    return shown, base64.urlsafe_b64encode(f"{call.operation}\n{name_of(shown[-1])}".encode()).decode()


def _read(operation: str, marker: str) -> str:
    try:
        of, _, last = base64.urlsafe_b64decode(marker.encode()).decode().partition("\n")
    except (binascii.Error, ValueError):
        of, last = "", ""
    if of != operation or not last:
        raise validation(f"The marker '{marker}' is not valid")
    return last
