"""Requests that moto does not expect, and fails at: what AWS says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NO_SECRET = ("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
_TOKENS = {
    "secretsmanager": ("InvalidNextTokenException", "Invalid pagination token."),
    "ssm": ("InvalidNextToken", "The specified token is not valid."),
}
"""Of services whose tokens moto reads as numbers."""


def refusal(service: str, operation: str, body: bytes, error: Exception) -> tuple[str, str] | None:
    """Code and message, where ``error`` comes of what the request says; None for a fault of moto's."""
    asked = _read(body)
    if isinstance(error, KeyError) and service == "secretsmanager" and error.args == (asked.get("SecretId"),):
        return _NO_SECRET
    token = asked.get("NextToken")
    if isinstance(error, ValueError) and service in _TOKENS and isinstance(token, str) and repr(token) in str(error):
        return _TOKENS[service]
    if isinstance(error, ValueError) and (service, operation) == ("kinesis", "GetRecords"):
        return "InvalidArgumentException", "Invalid ShardIterator."
    return None


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}
