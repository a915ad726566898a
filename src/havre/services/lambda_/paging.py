"""MaxItems and Marker: a marker names the operation and the last name that was given out, and is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.services.lambda_.errors import invalid

R = TypeVar("R")
MOST = 50
"""Items of a page that names no size, and of the largest one there is, as of ListFunctions."""


def page(
    call: Call, request: Request, found: Sequence[R], key_of: Callable[[R], str], most: int = MOST
) -> tuple[Sequence[R], str | None]:
    """This page of ``found``, and the marker of the next (None on the last). ``found`` may be in any order that stays; what
    the marker names may have gone since."""
    size = min(request.get("MaxItems") or most, most)
    start = 0
    if request.get("Marker"):
        last, place = _read(call.operation, request["Marker"])
        start = next((i + 1 for i, each in enumerate(found) if key_of(each) == last), place - 1)
    end = start + size
    shown = found[start:end]
    if end >= len(found):
        return shown, None
    return shown, base64.urlsafe_b64encode(f"{call.operation}\n{end}\n{key_of(shown[-1])}".encode()).decode()


def _read(operation: str, marker: str) -> tuple[str, int]:
    """The key of the last item that was given out, and how many there had been with it. Raises ApiError."""
    try:
        of, place, last = base64.urlsafe_b64decode(marker.encode()).decode().split("\n")
        if of == operation and int(place) > 0:
            return last, int(place)
    except (binascii.Error, ValueError):
        pass
    raise invalid("Invalid value for parameter Marker")
