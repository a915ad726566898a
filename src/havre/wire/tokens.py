"""Pagination tokens: opaque to the client, authenticated, and good only for the query that they came from."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.kernel.errors import ApiError

_TAG = 16
_LONGEST = 8192


def _tag(secret: bytes, operation: str, filters: Mapping[str, Any], body: bytes) -> bytes:
    bound = msgspec.json.encode([operation, filters], order="deterministic")
    key = hashlib.blake2b(secret, digest_size=32, person=b"havre-page-token").digest()
    keyed = hashlib.blake2b(key=key, digest_size=_TAG)
    keyed.update(len(bound).to_bytes(8, "big") + bound + body)
    return keyed.digest()


def encode(secret: bytes, operation: str, filters: Mapping[str, Any], position: Any) -> str:
    """A token for ``position`` (anything that JSON can say). ``filters`` are the request's members that choose what is
    listed; account and region belong among them."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_tag(secret, operation, filters, body) + body).decode().rstrip("=")


def decode(
    secret: bytes,
    operation: str,
    filters: Mapping[str, Any],
    token: str,
    code: str = "InvalidNextTokenException",
    message: str = "The specified next token is not valid.",
) -> Any:
    """The position; ApiError ``code`` for a token that is malformed, altered, or of another query."""
    wrong = ApiError(code, message)
    if len(token) > _LONGEST:
        raise wrong
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise wrong from None
    tag, body = raw[:_TAG], raw[_TAG:]
    if not hmac.compare_digest(tag, _tag(secret, operation, filters, body)):
        raise wrong
    return msgspec.json.decode(body)
