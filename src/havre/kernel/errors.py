"""The few errors that Havre raises on purpose. Anything else is a bug and is loud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error of the AWS API: what a client sees.

    ``code`` is AWS's error code, as the service's documentation spells it. ``status`` is the HTTP status; None takes
    the one of the service model, and 400 where the model has none. ``fields`` are further members of the modelled
    error shape, by their AWS names.
    """

    def __init__(
        self, code: str, message: str = "", status: int | None = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = dict(fields or {})


def not_built(service: str, what: str) -> ApiError:
    """The answer to what Havre does not do: it names it, so that nobody mistakes it for done."""
    code = "NotImplemented" if service == "s3" else "NotImplementedException"  # S3 has that error itself
    return ApiError(code, f"Havre does not implement {service} {what}", 501)


class Temporary(Exception):
    """Try again, ``after`` seconds from now at the earliest."""

    def __init__(self, reason: str, after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Permanent(Exception):
    """Trying again with the same input cannot help; ``reason`` is fit for a user's eyes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Gone(Exception):
    """What was asked for is not there (any more)."""


class Conflict(Exception):
    """The stored version is not the one that the change was made from, or the name is taken."""
