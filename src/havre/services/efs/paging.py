"""Pages of lists: the older operations have MaxItems and Marker, the newer ones MaxResults and NextToken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from havre.control.operation import Call, Request
from havre.wire import tokens

T = TypeVar("T")
MOST = 100


def page(call: Call, request: Request, found: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
    filters = {k: v for k, v in request.items() if k not in ("MaxItems", "Marker", "MaxResults", "NextToken")}
    filters |= {"account": call.account, "region": call.region}
    pages = tokens.Pages(
        f"havre-efs-{call.site.instance}".encode(), call.operation, filters, "BadRequest", "Invalid pagination token"
    )
    size = min(request.get("MaxItems") or request.get("MaxResults") or MOST, 1000)
    token = request.get("Marker") or request.get("NextToken")
    return tokens.page(pages, sorted(found, key=key), key, size, token)
