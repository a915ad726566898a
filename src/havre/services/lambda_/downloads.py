"""Links from which code is downloaded: signed, and good for ten minutes, as AWS's are."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from havre.control.operation import Site

PATH = "/_havre/functions"
LIFE = 600


def link(site: Site, secret: bytes, digest: str, now: float) -> str:
    expires = int(now) + LIFE
    return f"{site.endpoint}{PATH}/{digest}?Expires={expires}&Signature={_signature(secret, digest, expires)}"


def allowed(secret: bytes, digest: str, query: Mapping[str, str], now: float) -> bool:
    """Whether this is a link that was given out, and not too long ago."""
    text = query.get("Expires", "")
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) < now:
        return False
    given = query.get("Signature", "").encode("utf-8", "replace")
    return hmac.compare_digest(_signature(secret, digest, int(text)).encode(), given)


def _signature(secret: bytes, digest: str, expires: int) -> str:
    return hmac.digest(secret, f"{digest} {expires}".encode(), "sha256").hex()
