"""CloudWatch's errors, by the names of their shapes; each protocol has its own code for them."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)


def combination(message: str) -> ApiError:
    return ApiError("InvalidParameterCombinationException", message)


def missing(message: str) -> ApiError:
    return ApiError("MissingRequiredParameterException", message)


def validation(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def limit(message: str) -> ApiError:
    return ApiError("LimitExceededFault", message)


def too_many(name: str, most: int) -> ApiError:
    return validation(f"The collection {name} must not have a size greater than {most}.")


def no_alarm() -> ApiError:
    return ApiError("ResourceNotFound", "")
