"""Protocols and endpoints of subscriptions: which there are, which fit which topic. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from havre.kernel.errors import ApiError, not_built
from havre.services.sns.errors import invalid
from havre.services.sns.names import FIFO

_TOKEN = re.compile(r"[0-9a-f]+").fullmatch
PROTOCOLS = ("http", "https", "lambda", "sqs")
ABSENT = ("email", "email-json", "sms", "application", "firehose")


def check(protocol: str, endpoint: str | None, fifo: bool) -> str:
    """The endpoint. Raises ApiError."""
    if protocol in ABSENT:
        raise not_built("sns", f"subscriptions of the protocol {protocol}")
    if protocol not in PROTOCOLS:
        raise invalid(f"Amazon SNS does not support this protocol string: {protocol}")
    if not endpoint:
        raise invalid("Endpoint must be specified")
    if fifo and protocol != "sqs":
        raise invalid(f"Invalid protocol type: {protocol}")
    if protocol == "sqs":
        _queue(endpoint, fifo)
    elif protocol == "lambda":
        _function(endpoint)
    else:
        _url(protocol, endpoint)
    return endpoint


def _queue(endpoint: str, fifo: bool) -> None:
    parts = endpoint.split(":")
    if len(parts) != 6 or parts[2] != "sqs" or not parts[3] or not _is_account(parts[4]) or not parts[5]:
        raise invalid("SQS endpoint ARN")
    if parts[5].endswith(FIFO) and not fifo:
        raise invalid(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
        )


def _function(endpoint: str) -> None:
    parts = endpoint.split(":")
    if len(parts) not in (7, 8) or parts[2] != "lambda" or parts[5] != "function" or not _is_account(parts[4]):
        raise invalid("Lambda endpoint ARN")


def _url(protocol: str, endpoint: str) -> None:
    if not endpoint.startswith(f"{protocol}://"):
        raise invalid("Endpoint must match the specified protocol")
    try:
        parts = urlsplit(endpoint)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or len(endpoint) > 2048 or not endpoint.isascii() or any(c <= " " for c in endpoint):
        raise invalid("Endpoint Reason: Not a URL")


def _is_account(text: str) -> bool:
    return len(text) == 12 and text.isdigit()


def confirms_itself(protocol: str, endpoint: str, caller: str) -> bool:
    """Whether the subscriber's own account asks, so that nobody else has to agree."""
    return protocol in ("sqs", "lambda") and endpoint.split(":")[4] == caller


def check_token(token: str) -> None:
    """Whether it is one at all. Raises ApiError."""
    if not _TOKEN(token):
        raise ApiError("InvalidParameterException", "Invalid token")


def not_pending() -> ApiError:
    return invalid("Token")
