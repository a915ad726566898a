"""Errors of SQS, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from havre.kernel.errors import ApiError


def no_queue() -> ApiError:
    return ApiError("QueueDoesNotExist", "The specified queue does not exist.", 400)


def not_an_address(url: str) -> ApiError:
    return ApiError("InvalidAddress", f"The address {url[:256]} is not valid for this endpoint.", 404)


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValue", message, 400)


def bad_value(name: str, value: object, reason: str) -> ApiError:
    return invalid(f"Value {str(value)[:256]} for parameter {name} is invalid. Reason: {reason}")


def missing(name: str) -> ApiError:
    return ApiError("MissingParameter", f"The request must contain the parameter {name}.", 400)


def bad_attribute(name: str, reason: str = "") -> ApiError:
    return ApiError("InvalidAttributeValue", f"Invalid value for the parameter {name}.{reason and ' Reason: '}{reason}")


def unknown_attribute(name: str) -> ApiError:
    return ApiError("InvalidAttributeName", f"Unknown Attribute {name[:256]}.")


def both_encryptions() -> ApiError:
    told = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
    return ApiError("InvalidAttributeName", told)


def wrong_type(name: str, value: object) -> ApiError:
    return bad_value(name, value, "The request include parameter that is not valid for this queue type.")


def bad_receipt(handle: str) -> ApiError:
    return ApiError(
        "ReceiptHandleIsInvalid", f'The input receipt handle "{handle[:256]}" is not a valid receipt handle.'
    )


def expired_receipt(handle: str) -> ApiError:
    return bad_value("ReceiptHandle", handle, "The receipt handle has expired.")


def not_available(handle: str) -> ApiError:
    reason = "Message does not exist or is not available for visibility timeout change."
    return bad_value("ReceiptHandle", handle, reason)


def foreign(operation: str) -> ApiError:
    return ApiError("AccessDeniedException", f"Cross-account permissions don't apply to {operation}.", 403)


def repeated(ids: Sequence[str]) -> ApiError:
    twice = next(each for n, each in enumerate(ids) if each in ids[:n])
    return ApiError("BatchEntryIdsNotDistinct", f"Id {twice} repeated.")
