"""Archives that lie encrypted by a key of the user's: a head that tells what opens them, and the archive under a data key.

Whoever may have the data key is KMS's business. With it a node opens the archive by itself, once for all that it runs of it.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any

import msgspec

_LENGTH = 4
_NONCE = 12
_MOST = 1 << 16
"""Bytes of a head."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """``function`` is the ARN of the function that it was encrypted for, ``key`` the data key, encrypted by KMS with that
    ARN as context."""

    account: str
    region: str
    function: str
    key: bytes
    nonce: bytes = b""


def sealed(head: Head, key: bytes, archive: bytes) -> bytes:
    """``key``: the data key, 32 bytes. Takes as long as it takes to encrypt all of it."""
    whole = msgspec.structs.replace(head, nonce=secrets.token_bytes(_NONCE))
    text: bytes = _cipher(key).encrypt(whole.nonce, archive, whole.function.encode())
    front = msgspec.msgpack.encode(whole)
    return len(front).to_bytes(_LENGTH, "big") + front + text


def head_of(path: Path) -> Head:
    """Raises OSError, ValueError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(_LENGTH), "big")
        if size > _MOST:
            raise ValueError(f"{path.name} is no archive that was encrypted here")
        return msgspec.msgpack.decode(file.read(size), type=Head)


def opened(path: Path, key: bytes) -> bytes:
    """The archive. Raises OSError, ValueError where the key is another one or the file was changed."""
    from cryptography.exceptions import InvalidTag

    head = head_of(path)
    data = path.read_bytes()
    text = memoryview(data)[_LENGTH + int.from_bytes(data[:_LENGTH], "big") :]
    try:
        archive: bytes = _cipher(key).decrypt(head.nonce, text, head.function.encode())
    except InvalidTag:
        raise ValueError(f"{path.name} cannot be opened by this key") from None
    return archive


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
