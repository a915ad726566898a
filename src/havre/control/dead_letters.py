"""Dead letters of EventBridge and its scheduler: to a queue, with what AWS tells there about why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.deliveries import Progress, temporary
from havre.control.operation import Aws
from havre.control.targets import queue_url
from havre.kernel.errors import ApiError

USUAL_ATTEMPTS = 185
LONGEST = 1024
"""Characters of an attribute."""


async def send_letter(aws: Aws, endpoint: str, queue: str, text: str, attributes: Mapping[str, Any]) -> None:
    """``queue`` is an ARN. Errors as of ``Courier.bury``."""
    request = {"QueueUrl": queue_url(endpoint, queue), "MessageBody": text, "MessageAttributes": attributes}
    try:
        await aws("sqs", "SendMessage", request)
    except ApiError as error:
        raise temporary(error) from error


def attributes(status: Progress, target: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, Any]:
    """``about``: what the service tells of its own besides the target and the error."""
    told = {
        **about,
        "TARGET_ARN": str(target["Arn"]),
        "ERROR_CODE": status.code or "SDK_CLIENT_ERROR",
        "ERROR_MESSAGE": status.error or "The target could not be invoked",
    }
    if status.failed > 1:
        attempts = (target.get("RetryPolicy") or {}).get("MaximumRetryAttempts")
        by_count = status.failed > (USUAL_ATTEMPTS if attempts is None else attempts)
        told["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts" if by_count else "MaximumEventAgeInSeconds"
    found: dict[str, Any] = {k: {"DataType": "String", "StringValue": v[:LONGEST]} for k, v in told.items()}
    found["RETRY_ATTEMPTS"] = {"DataType": "Number", "StringValue": str(max(0, status.failed - 1))}
    return found
