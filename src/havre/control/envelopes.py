"""Values under a key of KMS, for services that keep few of them: encrypted by a data key, which lies beside them encrypted.

``aws`` acts as whoever stores or reads the value: the key's policy and IAM decide about him.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.operation import Aws

DIRECT = 4096
"""Bytes that a key encrypts by itself."""
_NONCE = 12


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """``key``: the value itself, or the data key of ``text``, as KMS has encrypted it for ``context``."""

    key: bytes
    context: Mapping[str, str]
    nonce: bytes = b""
    text: bytes = b""


class Sealer(msgspec.Struct, frozen=True):
    """A data key for some values that belong together."""

    plain: bytes
    kept: bytes
    context: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Sealer(context={self.context!r}, plain=<hidden>)"

    def seal(self, value: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        text = _cipher(self.plain).encrypt(nonce, value, None)
        return msgspec.msgpack.encode(Envelope(self.kept, self.context, nonce, text))


async def sealer(aws: Aws, key: str, context: Mapping[str, str]) -> Sealer:
    """Raises ApiError as KMS does."""
    data = await aws("kms", "GenerateDataKey", {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context})
    return Sealer(data["Plaintext"], data["CiphertextBlob"], context)


async def seal(aws: Aws, key: str, value: bytes, context: Mapping[str, str], *, direct: bool = False) -> bytes:
    """``direct``: by the key itself where it takes as much (kms:Encrypt), else by a data key (kms:GenerateDataKey). Raises
    ApiError as KMS does."""
    if direct and len(value) <= DIRECT:
        asked = {"KeyId": key, "Plaintext": value, "EncryptionContext": context}
        return msgspec.msgpack.encode(Envelope((await aws("kms", "Encrypt", asked))["CiphertextBlob"], context))
    return (await sealer(aws, key, context)).seal(value)


async def opened(aws: Aws, sealed: bytes) -> bytes:
    """Raises ApiError as KMS does."""
    kept = msgspec.msgpack.decode(sealed, type=Envelope)
    asked = {"CiphertextBlob": kept.key, "EncryptionContext": kept.context}
    plain: bytes = (await aws("kms", "Decrypt", asked))["Plaintext"]
    return plain if not kept.text else bytes(_cipher(plain).decrypt(kept.nonce, kept.text, None))


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
