"""Links from which code is downloaded: signed, and good for ten minutes, as AWS's are."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from havre.control.operation import Site

PATH = "/_havre/functions"
LIFE = 600
_NONCE = 12


def link(site: Site, secret: bytes, digest: str, now: float, key: bytes = b"") -> str:
    """``key`` opens an archive that lies encrypted; whoever has the link has no other use for it."""
    expires = int(now) + LIFE
    more = f"&Key={wrapped(secret, digest, key)}" if key else ""
    return f"{site.endpoint}{PATH}/{digest}?Expires={expires}&Signature={_signature(secret, digest, expires)}{more}"


def wrapped(secret: bytes, digest: str, key: bytes) -> str:
    nonce = secrets.token_bytes(_NONCE)
    text: bytes = _cipher(secret).encrypt(nonce, key, digest.encode())
    return (nonce + text).hex()


def unwrapped(secret: bytes, digest: str, query: Mapping[str, str]) -> bytes:
    "b where the link has none. Raises ValueError."
    from cryptography.exceptions import InvalidTag

    data = bytes.fromhex(query.get("Key", ""))
    if not data:
        return b""
    try:
        key: bytes = _cipher(secret).decrypt(data[:_NONCE], data[_NONCE:], digest.encode())
    except InvalidTag:
        raise ValueError("this key is none of ours") from None
    return key


def _cipher(secret: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hmac.digest(secret, b"keys in links", "sha256"))


def allowed(secret: bytes, digest: str, query: Mapping[str, str], now: float) -> bool:
    """Whether this is a link that was given out, and not too long ago."""
    text = query.get("Expires", "")
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) < now:
        return False
    given = query.get("Signature", "").encode("utf-8", "replace")
    return hmac.compare_digest(_signature(secret, digest, int(text)).encode(), given)


def _signature(secret: bytes, digest: str, expires: int) -> str:
    return hmac.digest(secret, f"{digest} {expires}".encode(), "sha256").hex()
