"""Destinations of asynchronous invocations and of batches that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.arn import Arn
from havre.services.lambda_.errors import absent, invalid

ON_SUCCESS = ("lambda", "sns", "sqs", "events")
ON_FAILURE = (*ON_SUCCESS, "s3")
"""Services that the outcome of an asynchronous invocation can go to; queues and topics are standard ones."""


def asynchronous(given: Mapping[str, Any], function: str) -> tuple[str, str]:
    """(on success, on failure) of a DestinationConfig, "" for none. ``function`` is the ARN of the function itself, without
    a qualifier. Raises ApiError."""
    success = (given.get("OnSuccess") or {}).get("Destination") or ""
    failure = (given.get("OnFailure") or {}).get("Destination") or ""
    if _wrong(success, ON_SUCCESS) or _wrong(failure, ON_FAILURE):
        shown_success = f"OnSuccess(destination={success})" if success else "null"
        shown_failure = f"OnFailure(destination={failure})" if failure else "null"
        raise invalid(
            f"The provided destination config DestinationConfig(onSuccess={shown_success}, onFailure={shown_failure}) is "
            "invalid."
        )
    for target in (success, failure):
        if target == function or target.startswith(f"{function}:"):
            raise invalid("You can't specify the function as a destination for itself.")
    return success, failure


def _wrong(target: str, services: tuple[str, ...]) -> bool:
    if not target:
        return False
    if target.startswith("kafka://"):
        raise absent("destinations in Kafka")
    try:
        return Arn.parse(target).service not in services or target.endswith(".fifo")
    except ValueError:
        return True


def of_stream(given: Mapping[str, Any]) -> str:
    """Where a stream's batches go that failed for good. Raises ApiError."""
    if (given.get("OnSuccess") or {}).get("Destination"):
        raise invalid("Unsupported DestinationConfig parameter for given event source mapping type.")
    target = (given.get("OnFailure") or {}).get("Destination") or ""
    if _wrong(target, ("sqs", "sns", "s3")):
        raise invalid(f"The destination ARN {target} is invalid.")
    return target
