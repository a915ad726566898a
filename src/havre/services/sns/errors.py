"""SNS's errors, by their shapes' names; the wire spells their codes."""

from __future__ import annotations

from havre.kernel.errors import ApiError


def invalid(what: str) -> ApiError:
    return ApiError("InvalidParameterException", f"Invalid parameter: {what}")


def invalid_value(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)


def no_topic() -> ApiError:
    return ApiError("NotFoundException", "Topic does not exist")


def no_subscription() -> ApiError:
    return ApiError("NotFoundException", "Subscription does not exist")
