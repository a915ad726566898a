"""AWS for those who try again: an error that passes by itself is Temporary, and no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Aws, Request
from havre.kernel.errors import ApiError, Temporary

_THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
_UNAVAILABLE = (500, 502, 503, 504)


def patient(aws: Aws) -> Aws:
    """What SDKs retry is raised as Temporary; every other error is the operation's word, and stays an ApiError."""

    async def call(service: str, operation: str, request: Request) -> Mapping[str, Any]:
        try:
            return await aws(service, operation, request)
        except ApiError as error:
            if error.code in _THROTTLED or error.status in _UNAVAILABLE:
                raise Temporary(f"{service} {operation}: {error.code}: {error.message}") from error
            raise

    return call
