"""What is told of asynchronous invocations: records for destinations, attributes for dead-letter queues."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from havre.core.invoking.payloads import json_fault, value
from havre.core.invoking.retries import ZERO_CONCURRENCY

MESSAGE = 1024
"""Bytes of the error message in a dead letter's attributes."""
NOT_FOUND, THROTTLED = 404, 429
_RATE = "Rate Exceeded."
_NO_CONCURRENCY = "Function not invoked. Function isconfigured with zero reserved concurrent executions"
"""As AWS says it, to the letter."""


class Told(msgspec.Struct, frozen=True):
    """One event that is through. ``function`` is its qualified ARN. ``response`` None: the function was not run the last
    time. ``error`` is the kind of failure ("" for none), ``status`` what Lambda itself answered to the last try (0: it was
    not tried)."""

    request_id: str
    function: str
    condition: str
    runs: int
    payload: bytes
    response: bytes | None = None
    version: str = ""
    error: str = ""
    status: int = 200


def moment(at: float) -> str:
    """Milliseconds in UTC, as in ``2019-11-14T18:16:05.568Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def record(told: Told, now: float, most: int | None = None) -> bytes:
    """The record that a destination gets. Payloads that would make it longer than ``most`` bytes are left out."""
    whole = msgspec.json.encode(_record(told, now, True))
    if most is None or len(whole) <= most:
        return whole
    return msgspec.json.encode(_record(told, now, False))


def _record(told: Told, now: float, payloads: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "version": "1.0",
        "timestamp": moment(now),
        "requestContext": {
            "requestId": told.request_id,
            "functionArn": told.function,
            "condition": told.condition,
            "approximateInvokeCount": told.runs,
        },
    }
    if payloads:
        body["requestPayload"] = msgspec.Raw(told.payload)
    if told.response is None:
        if told.status:
            body["responseContext"] = {"statusCode": told.status}
        return body
    context: dict[str, Any] = {"statusCode": told.status, "executedVersion": told.version}
    if told.error:
        context["functionError"] = "Unhandled"
    body["responseContext"] = context
    if payloads:
        body["responsePayload"] = _as_json(told.response)
    return body


def _as_json(payload: bytes) -> Any:
    """A function may answer with what is no JSON: it is told as text."""
    if not payload:
        return None
    return msgspec.Raw(payload) if json_fault(payload) is None else payload.decode("utf-8", "replace")


def error_message(response: bytes) -> str:
    """The ``errorMessage`` in a failed function's answer, else the answer itself."""
    answer = value(response)
    if isinstance(answer, Mapping) and isinstance(answer.get("errorMessage"), str):
        text: str = answer["errorMessage"]
    else:
        text = response.decode("utf-8", "replace")
    return text.encode()[:MESSAGE].decode("utf-8", "ignore")


def letter_attributes(told: Told) -> dict[str, dict[str, str]]:
    """Message attributes of a dead letter, whose body is the event."""
    code = {"ErrorCode": {"DataType": "Number", "StringValue": str(told.status)}} if told.status else {}
    return {
        "RequestID": {"DataType": "String", "StringValue": told.request_id},
        **code,
        "ErrorMessage": {"DataType": "String", "StringValue": _message(told) or told.condition},
    }


def _message(told: Told) -> str:
    if told.response is not None:
        return error_message(told.response)
    if told.condition == ZERO_CONCURRENCY:
        return _NO_CONCURRENCY
    if told.status == NOT_FOUND:
        return f"Function not found: {told.function}"
    return _RATE if told.status == THROTTLED else ""


def object_key(function: str, now: float, unique: str) -> str:
    """Where a failed event's record lies in a bucket. ``function`` is the name."""
    at = datetime.fromtimestamp(now, UTC)
    return f"aws/lambda/async/{function}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{unique}"
