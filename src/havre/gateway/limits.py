"""How large a request may be. The size of its headers is bounded by the HTTP server."""

from __future__ import annotations

from havre.kernel.errors import ApiError

KIB, MIB = 1024, 1024 * 1024
DEFAULT = 1 * MIB
BY_SERVICE = {
    # names of credential scopes
    "dynamodb": 20 * MIB,  # BatchWriteItem: 16 MiB of items
    "ec2": 2 * MIB,
    "ecr": 32 * MIB,  # UploadLayerPart: 20 MiB as base64
    "events": 8 * MIB,  # 1 MiB of events, whose characters JSON may escape
    "iam": 1 * MIB,
    "kinesis": 16 * MIB,  # PutRecords: 10 MiB as base64
    "lambda": 100 * MIB,  # a zip archive of 50 MiB as base64 in JSON
    "sns": 8 * MIB,  # 1 MiB of messages, as a form
    "sqs": 8 * MIB,  # 1 MiB of messages, likewise
    "logs": 8 * MIB,  # 1 MiB of events, whose characters JSON may write as \\u followed by four digits
    "s3": 128 * MIB,  # an object, or a part of one: it is held in memory on its way
}
URL = 16 * KIB
DRAINED = 16 * MIB
DRAIN_PATIENCE = 5.0
"""Seconds that a client has to send the rest of what is refused, before it is told all the same."""


def body_limit(service: str) -> int:
    """In bytes; "" is a request that does not say whom it is for."""
    return BY_SERVICE.get(service, DEFAULT)


def too_large(limit: int) -> ApiError:
    return ApiError("RequestEntityTooLargeException", f"Request size exceeded the limit of {limit} bytes.", 413)


def url_too_long() -> ApiError:
    return ApiError("RequestUriTooLong", f"Your request's URI exceeds {URL} bytes.", 414)
