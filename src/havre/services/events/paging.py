"""``Limit`` and ``NextToken`` of lists; tokens are bound to their question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.wire import tokens

T = TypeVar("T")
PAGE = 100


def page(call: Call, request: Request, items: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """``items`` are in the order of ``key``."""
    asked = {k: v for k, v in request.items() if k not in ("NextToken", "Limit")}
    bound = {**asked, "account": call.account, "region": call.region}
    secret = f"havre-events-{call.site.instance}".encode()
    code, words = "ValidationException", "Token is invalid. Reason: Failed to validate it."
    pages = tokens.Pages(secret, call.operation, bound, code, words)
    return tokens.page(pages, items, key, request.get("Limit") or PAGE, request.get("NextToken"))
