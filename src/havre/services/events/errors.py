"""EventBridge's errors."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def validation(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def missing(message: str) -> ApiError:
    return ApiError("ResourceNotFoundException", message)


def no_bus(name: str) -> ApiError:
    return missing(f"Event bus {name} does not exist.")


def no_rule(name: str, bus: str) -> ApiError:
    return missing(f"Rule {name} does not exist on EventBus {bus}.")


def exists(message: str) -> ApiError:
    return ApiError("ResourceAlreadyExistsException", message)


def bad_pattern(reason: str) -> ApiError:
    return ApiError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}")


def limit(message: str) -> ApiError:
    return ApiError("LimitExceededException", message)
