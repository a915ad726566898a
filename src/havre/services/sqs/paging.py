"""``MaxResults`` and ``NextToken`` of lists of queues."""

from __future__ import annotations

from collections.abc import Sequence

from havre.control.operation import Call, Request
from havre.services.sqs.errors import bad_value
from havre.services.sqs.resources import Queue
from havre.wire import tokens

MOST = 1000


def page(call: Call, request: Request, queues: Sequence[Queue]) -> tuple[Sequence[Queue], str | None]:
    """Without MaxResults there is one page of up to a thousand, and no token behind it, as in AWS."""
    most, token = request.get("MaxResults"), request.get("NextToken")
    if most is not None and not 1 <= most <= MOST:
        raise bad_value("MaxResults", most, f"MaxResults must be an integer between 1 and {MOST}.")
    asked = {k: v for k, v in request.items() if k not in ("NextToken", "MaxResults")}
    filters = {**asked, "account": call.account, "region": call.region}
    words = "Invalid or expired next token."
    secret = f"havre-sqs-{call.site.instance}".encode()
    pages = tokens.Pages(secret, call.operation, filters, "InvalidParameterValue", words)
    shown, following = tokens.page(pages, queues, lambda q: q.meta.arn, most or MOST, token)
    return shown, following if most is not None else None
