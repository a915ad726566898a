"""Bodies of messages under a key of KMS: what a queue's KmsMasterKeyId asks for.

Senders and receivers need the key themselves: a data key is made and opened as whoever sends or receives, and used again by
him for the queue's KmsDataKeyReusePeriodSeconds. A message says by which data key and for which queue it was sealed, also
when it has come to a dead-letter queue. Attributes are not encrypted, as on AWS.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from havre.control.operation import Call
from havre.core.queueing import Message
from havre.kernel.errors import ApiError
from havre.services.sqs.messages import Draft, Envelope, Sealed
from havre.services.sqs.resources import Queue

PRINCIPAL = "sqs.amazonaws.com"
REMEMBERED = 4096
_NONCE = 12
_CODES = {
    # of KMS: of SQS
    "AccessDeniedException": "KmsAccessDenied",
    "DisabledException": "KmsDisabled",
    "InvalidKeyUsageException": "KmsInvalidKeyUsage",
    "KMSInvalidStateException": "KmsInvalidState",
    "NotFoundException": "KmsNotFound",
}
Found = Sequence[tuple[Message, Envelope]]
Who = tuple[str, ...]


class DataKey(NamedTuple):
    """``kept``: as KMS has encrypted it. Used until ``until``, seconds since the epoch."""

    plain: bytes
    kept: bytes
    until: float


class Keys:
    """The data keys that this process knows, of all queues."""

    def __init__(self) -> None:
        self._sealing: dict[tuple[str, str, Who], DataKey] = {}
        self._opening: dict[tuple[bytes, Who], tuple[bytes, float]] = {}
        self._probes: dict[tuple[str, str], bytes] = {}

    async def seal(self, call: Call, queue: Queue, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """Raises ApiError as SQS tells of keys."""
        key = await self._data_key(call, queue)
        return [replace(draft, body="", md5="", sealed=_sealed(key, queue.meta.arn, draft)) for draft in drafts]

    async def check(self, call: Call, queue: Queue) -> None:
        """Before messages are taken: whether the caller can open what the queue's key has sealed. Raises ApiError."""
        place = queue.spec.uid, queue.spec.kms_key
        probe = self._probes.get(place)
        if probe is None:
            assert call.as_service is not None
            request = {"KeyId": key_arn(queue), "KeySpec": "AES_256", "EncryptionContext": _context(queue.meta.arn)}
            probe = await _asked(call.as_service(PRINCIPAL), "GenerateDataKeyWithoutPlaintext", request)
            _trim(self._probes)
            self._probes[place] = probe
        await self._plain(call, queue, queue.meta.arn, probe)

    async def open(self, call: Call, queue: Queue, found: Found) -> Found:
        """With the bodies of those that were sealed. Raises ApiError."""
        return [(message, await self._opened(call, queue, envelope)) for message, envelope in found]

    async def _opened(self, call: Call, queue: Queue, envelope: Envelope) -> Envelope:
        sealed = envelope.sealed
        if sealed is None:
            return envelope
        key = await self._plain(call, queue, sealed.arn, sealed.key)
        md5, body = msgspec.msgpack.decode(
            _cipher(key).decrypt(sealed.nonce, sealed.text, sealed.arn.encode()), type=tuple[str, str]
        )
        return replace(envelope, body=body, md5=md5, sealed=None)

    async def _data_key(self, call: Call, queue: Queue) -> DataKey:
        place = queue.spec.uid, queue.spec.kms_key, _who(call)
        known = self._sealing.get(place)
        if known is not None and known.until > call.now:
            return known
        request = {"KeyId": key_arn(queue), "KeySpec": "AES_256", "EncryptionContext": _context(queue.meta.arn)}
        try:
            made = await call.aws("kms", "GenerateDataKey", request)
        except ApiError as refusal:
            raise _refused(refusal) from None
        _trim(self._sealing)
        key = DataKey(made["Plaintext"], made["CiphertextBlob"], call.now + queue.spec.kms_reuse)
        self._sealing[place] = key
        return key

    async def _plain(self, call: Call, queue: Queue, arn: str, kept: bytes) -> bytes:
        place = kept, _who(call)
        plain, until = self._opening.get(place, (b"", 0.0))
        if until > call.now:
            return plain
        request = {"CiphertextBlob": kept, "EncryptionContext": _context(arn)}
        try:
            plain = bytes((await call.aws("kms", "Decrypt", request))["Plaintext"])
        except ApiError as refusal:
            raise _refused(refusal) from None
        _trim(self._opening)
        self._opening[place] = plain, call.now + queue.spec.kms_reuse
        return plain


def key_arn(queue: Queue) -> str:
    """The queue's key, of the queue's account: by id, alias or ARN."""
    given, meta = queue.spec.kms_key, queue.meta
    if given.startswith("arn:"):
        return given
    kind = "" if given.startswith("alias/") else "key/"
    return f"arn:aws:kms:{meta.region}:{meta.account}:{kind}{given}"


def _who(call: Call) -> Who:
    who = call.principal
    return who.arn, who.id, who.access_key, who.source


def _context(arn: str) -> dict[str, str]:
    return {"aws:sqs:arn": arn}


async def _asked(aws: Any, operation: str, request: Any) -> bytes:
    try:
        kept: bytes = (await aws("kms", operation, request))["CiphertextBlob"]
    except ApiError as refusal:
        raise _refused(refusal) from None
    return kept


def _refused(refusal: ApiError) -> ApiError:
    code = _CODES.get(refusal.code)
    return refusal if code is None else ApiError(code, refusal.message, 400)


def _sealed(key: DataKey, arn: str, draft: Draft) -> Sealed:
    nonce = secrets.token_bytes(_NONCE)
    text = _cipher(key.plain).encrypt(nonce, msgspec.msgpack.encode((draft.md5, draft.body)), arn.encode())
    return Sealed(arn, key.kept, nonce, text)


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _trim(known: dict[Any, Any]) -> None:
    if len(known) >= REMEMBERED:
        known.clear()
