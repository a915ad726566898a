"""Lambda's errors, in its words."""

from __future__ import annotations

from havre.kernel.errors import ApiError, not_built


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)


def not_found(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def no_function(arn: str) -> ApiError:
    return not_found(f"Function not found: {arn}")


def conflict(message: str) -> ApiError:
    return ApiError("ResourceConflictException", message)


def in_use(message: str) -> ApiError:
    return ApiError("ResourceInUseException", message)


def stale() -> ApiError:
    return ApiError(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )


def absent(what: str) -> ApiError:
    return not_built("lambda", what)


def validation(value: object, member: str, constraint: str) -> ApiError:
    """As the front words what the model forbids: for what AWS's model forbids and botocore's does not."""
    return ApiError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
    )


def busy_pending(state: str) -> ApiError:
    return conflict(
        f"The operation cannot be performed at this time. The function is currently in the following state: {state}"
    )


def busy_updating(arn: str) -> ApiError:
    return conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {arn}")
