"""CloudWatch Logs' errors, in its words."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def no_group() -> ApiError:
    return ApiError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> ApiError:
    return ApiError("ResourceNotFoundException", "The specified log stream does not exist.")


def group_exists() -> ApiError:
    return ApiError("ResourceAlreadyExistsException", "The specified log group already exists")


def stream_exists() -> ApiError:
    return ApiError("ResourceAlreadyExistsException", "The specified log stream already exists")


def bad_token() -> ApiError:
    return invalid("The specified nextToken is invalid.")


def protected() -> ApiError:
    return ApiError(
        "ValidationException",
        "Deletion protection is enabled on the log group. Disable it with PutLogGroupDeletionProtection before you delete.",
    )
