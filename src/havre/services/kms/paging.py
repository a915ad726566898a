"""Limit and Marker of lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.wire import tokens

T = TypeVar("T")


def page(
    call: Call, request: Request, found: Sequence[T], key: Callable[[T], str], most: int
) -> tuple[list[T], dict[str, Any]]:
    """This page, and what the answer says of the next. ``most``: items without a Limit."""
    filters = {k: v for k, v in request.items() if k not in ("Limit", "Marker")}
    filters |= {"account": call.account, "region": call.region}
    secret = f"havre-kms-{call.site.instance}".encode()
    pages = tokens.Pages(secret, call.operation, filters, "InvalidMarkerException", "Invalid marker")
    ordered = sorted(found, key=key)
    shown, following = tokens.page(pages, ordered, key, request.get("Limit") or most, request.get("Marker"))
    return shown, {"NextMarker": following, "Truncated": following is not None}
