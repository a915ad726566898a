"""AWS for those who try again: an error that passes by itself is Temporary, and no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Aws, Request
from havre.kernel.errors import ApiError, Temporary

_THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
_UNAVAILABLE = 503


def patient(aws: Aws) -> Aws:
    """Throttling, and what the store refuses for now, is raised as Temporary. Every other error is the operation's word
    and stays an ApiError: InternalFailure too, which is a bug, and would be one again."""

    async def call(service: str, operation: str, request: Request) -> Mapping[str, Any]:
        try:
            return await aws(service, operation, request)
        except ApiError as error:
            if error.code in _THROTTLED or error.status == _UNAVAILABLE:
                raise Temporary(f"{service} {operation}: {error.code}: {error.message}") from error
            raise

    return call
