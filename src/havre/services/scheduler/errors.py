"""EventBridge Scheduler's errors."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def validation(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def missing(what: str, name: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"{what} {name} does not exist.")


def conflict(message: str) -> ApiError:
    return ApiError("ConflictException", message)
