"""ELB's errors, in AWS's words."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def validation(message: str) -> ApiError:
    return ApiError("ValidationError", message, 400)


def configuration(message: str) -> ApiError:
    return ApiError("InvalidConfigurationRequest", message)


def not_permitted(message: str) -> ApiError:
    return ApiError("OperationNotPermitted", message)


def limit(code: str, what: str, arn: str = "") -> ApiError:
    where = f" '{arn}'" if arn else ""
    return ApiError(code, f"The maximum number of {what} has been reached{where}")
