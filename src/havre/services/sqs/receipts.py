"""Receipt handles: which message, and the how-manieth time it was received. They survive a restart, for they say it all."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import blake2b
from hmac import compare_digest
from struct import Struct

from havre.services.sqs.errors import bad_receipt

_FIELDS = Struct(">QI")
_SEAL = 12


def handle(uid: str, id: int, receipt: int) -> str:
    """``uid`` is that of the queue: no other queue takes the handle."""
    fields = _FIELDS.pack(id, receipt)
    return urlsafe_b64encode(fields + _seal(uid, fields)).decode()


def opened(uid: str, text: str) -> tuple[int, int]:
    """(id, receipt). Raises ApiError ReceiptHandleIsInvalid."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
    except (Error, ValueError):
        raise bad_receipt(text) from None
    fields, seal = raw[: _FIELDS.size], raw[_FIELDS.size :]
    if len(fields) != _FIELDS.size or not compare_digest(seal, _seal(uid, fields)):
        raise bad_receipt(text)
    id, receipt = _FIELDS.unpack(fields)
    return id, receipt


def _seal(uid: str, fields: bytes) -> bytes:
    return blake2b(fields, digest_size=_SEAL, key=uid.encode()).digest()
