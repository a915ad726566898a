"""``MaxResults`` (a text here) and ``NextToken``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from havre.control.operation import Call, Request
from havre.services.apigatewayv2.errors import bad
from havre.wire import tokens

T = TypeVar("T")
PAGE = 100


def page(call: Call, request: Request, items: Sequence[T]) -> tuple[Sequence[T], str | None]:
    secret = f"havre-apigateway-{call.site.instance}".encode()
    asked: dict[str, Any] = {k: v for k, v in request.items() if k not in ("NextToken", "MaxResults")}
    bound = {**asked, "account": call.account, "region": call.region}
    given = request.get("MaxResults") or str(PAGE)
    if not given.isdigit() or not 1 <= int(given) <= 500:
        raise bad("Invalid value for maxResults")
    first = 0
    if request.get("NextToken"):
        words = "Invalid position parameter specified"
        first = tokens.decode(secret, call.operation, bound, request["NextToken"], "BadRequestException", words)
    end = first + int(given)
    token = tokens.encode(secret, call.operation, bound, end) if end < len(items) else None
    return items[first:end], token
