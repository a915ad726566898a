"""ACM's errors, in AWS's words."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def validation(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def parameter(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def missing(arn: str, account: str) -> ApiError:
    return ApiError("ResourceNotFoundException", f"Could not find certificate {arn} in account {account}.")


def in_progress(arn: str) -> ApiError:
    return ApiError("RequestInProgressException", f"The certificate {arn} has not been issued yet.")


def state(message: str) -> ApiError:
    return ApiError("InvalidStateException", message)
