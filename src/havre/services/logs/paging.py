"""``limit`` and ``nextToken`` of lists; tokens are bound to their question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.wire import tokens

T = TypeVar("T")
PAGE = 50


def bound(call: Call, request: Request) -> dict[str, Any]:
    """What a token of this request belongs to."""
    asked = {k: v for k, v in request.items() if k not in ("nextToken", "limit")}
    return {**asked, "account": call.account, "region": call.region}


def secret(call: Call) -> bytes:
    return f"havre-logs-{call.site.instance}".encode()


def read(call: Call, request: Request) -> Any:
    """The position that the request's token names, None without one. Raises ApiError for a token of another question."""
    given = request.get("nextToken")
    if not given:
        return None
    code, words = "InvalidParameterException", "The specified nextToken is invalid."
    return tokens.decode(secret(call), call.operation, bound(call, request), given, code, words)


def write(call: Call, request: Request, position: Any) -> str:
    return tokens.encode(secret(call), call.operation, bound(call, request), position)


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
