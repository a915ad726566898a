"""``MaxResults`` and ``NextToken`` of lists; tokens are bound to their question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.wire import tokens

T = TypeVar("T")
PAGE = 100


def page(call: Call, request: Request, items: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """``items`` are in the order of ``key``."""
    asked = {k: v for k, v in request.items() if k not in ("NextToken", "MaxResults")}
    bound = {**asked, "account": call.account, "region": call.region}
    secret = f"havre-scheduler-{call.site.instance}".encode()
    pages = tokens.Pages(secret, call.operation, bound, "ValidationException", "Invalid NextToken.")
    return tokens.page(pages, items, key, request.get("MaxResults") or PAGE, request.get("NextToken"))
