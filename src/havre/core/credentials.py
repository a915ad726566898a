"""Access key ids, and session credentials that carry their own proof.

A session token is what the session is (who, until when, with which policies) with an HMAC over it; the secret access
key is derived from the token. So sessions need no storage, hold over a restart, and cannot be made or altered by anyone
without the installation's secret.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

import msgspec

_ACCOUNT_MASK = (1 << 40) - 1
_PREFIX = b"\x21\x0aHv1"
_MAC = 32


class Session(msgspec.Struct, frozen=True, array_like=True):
    """``kind``, ``arn``, ``id``, ``name``, ``role`` as in Principal; times in seconds since the epoch."""

    access_key: str
    kind: str
    account: str
    arn: str
    id: str
    name: str
    role: str
    issued: int
    expires: int
    policies: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    transitive: tuple[str, ...] = ()
    context: Mapping[str, str] = {}
    federated: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Session).decode


def access_key_id(prefix: str, account: str, noise: bytes) -> str:
    """An id of 20 characters that carries its account, as AWS's do. ``noise``: at least 5 random bytes; ``prefix``:
    ``AKIA`` or ``ASIA``."""
    head = (1 << 47) | (int(account) & _ACCOUNT_MASK) << 7 | noise[0] & 0x7F
    return prefix + base64.b32encode(head.to_bytes(6, "big") + noise[1:5]).decode("ascii")


def account_of(access_key: str) -> str | None:
    """The account that an access key id belongs to; None when it is not an id of this kind."""
    if len(access_key) != 20 or access_key[:4] not in ("AKIA", "ASIA"):
        return None
    try:
        raw = base64.b32decode(access_key[4:])
    except ValueError:
        return None
    head = int.from_bytes(raw[:6], "big")
    return f"{head >> 7 & _ACCOUNT_MASK:012d}" if head >> 47 else None


def secret_key(noise: bytes) -> str:
    """A secret access key of 40 characters from 30 random bytes."""
    return base64.b64encode(noise[:30]).decode("ascii")


class SessionTokens:
    """Makes session tokens and reads them."""

    def __init__(self, secret: bytes) -> None:
        """``secret``: at least 32 random bytes, the same over restarts and on every server of an installation."""
        if len(secret) < 32:
            raise ValueError("the installation's secret must have at least 32 bytes")
        self._sign = hmac.digest(secret, b"session-token", "sha256")
        self._derive = hmac.digest(secret, b"session-key", "sha256")

    def issue(self, session: Session) -> tuple[str, str]:
        """(secret access key, session token)."""
        body = _PREFIX + _encode(session)
        mac = hmac.digest(self._sign, body, "sha256")
        return self._secret(mac), base64.b64encode(body + mac).decode("ascii")

    def read(self, token: str) -> tuple[Session, str] | None:
        """(session, secret access key); None when this installation did not issue the token. Expiry is not checked."""
        try:
            raw = base64.b64decode(token, validate=True)
        except ValueError:
            return None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if not body.startswith(_PREFIX) or not hmac.compare_digest(hmac.digest(self._sign, body, "sha256"), mac):
            return None
        try:
            return _decode(body[len(_PREFIX) :]), self._secret(mac)
        except msgspec.DecodeError:
            return None

    def _secret(self, mac: bytes) -> str:
        return secret_key(hmac.digest(self._derive, mac, "sha256"))
