"""Where key material is kept: in the store, under a key that is not in it.

Whoever gets hold of the store alone (a backup, a database on another machine) has no key material.
"""

from __future__ import annotations

import secrets

from havre.kernel.errors import Permanent

NONCE = 12
_VERSION = b"\x01"


class Vault:
    """``secret``: 32 bytes that the state directory has and the store has not."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, data: bytes, place: str) -> bytes:
        """``place``, the ARN of the key, is bound to it: sealed material cannot be moved to another key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE)
        return _VERSION + nonce + AESGCM(self._secret).encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises Permanent when it is not of this installation, or damaged."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._secret).decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], place.encode())
        except InvalidTag:
            raise Permanent(f"the material of {place} cannot be read with this installation's secret") from None
