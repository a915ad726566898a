"""``MaxResults`` and ``NextToken`` of lists of queues."""

from __future__ import annotations

from collections.abc import Sequence

from havre.control.operation import Call, Request
from havre.control.paging import Paging
from havre.services.sqs.errors import bad_value
from havre.services.sqs.resources import Queue

MOST = 1000
_PAGING = Paging("MaxResults", "NextToken", "InvalidParameterValue", "Invalid or expired next token.")


def page(call: Call, request: Request, queues: Sequence[Queue]) -> tuple[Sequence[Queue], str | None]:
    """Without MaxResults there is one page of up to a thousand, and no token behind it, as in AWS."""
    most = request.get("MaxResults")
    if most is not None and not 1 <= most <= MOST:
        raise bad_value("MaxResults", most, f"MaxResults must be an integer between 1 and {MOST}.")
    shown, following = _PAGING.page(call, request, queues, lambda q: q.meta.arn, MOST)
    return shown, following if most is not None else None
