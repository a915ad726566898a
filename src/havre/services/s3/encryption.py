"""Encryption of objects with keys of KMS: who writes needs kms:GenerateDataKey, who reads kms:Decrypt, each as himself.

Each object under such a key has a data key of its own, made when it is written, with the object's ARN (or its bucket's,
with a bucket key) as context; it lies encrypted behind the key's ARN, which is all that clients see of it. Without leave,
or while the key is disabled, pending deletion or gone, an object is neither written nor read. The bytes themselves are
not encrypted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from msgspec.structs import replace

from havre.control.borrowed import Lender
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.services.s3.access import arn
from havre.services.s3.resources import BUCKET, USUAL, Bucket
from havre.store.ports import Transaction

KMS, OWN = "aws:kms", USUAL
HEADERS = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
}
_BEHIND = "|"
"""Between a key's ARN, whether the context is the bucket's (``b``) or the object's (``o``), and the data key, in what is
kept as the id of the key."""
_CODES = {
    "DisabledException": "KMS.DisabledException",
    "InvalidKeyUsageException": "KMS.InvalidKeyUsageException",
    "KMSInvalidStateException": "KMS.KMSInvalidStateException",
    "NotFoundException": "KMS.NotFoundException",
}
_NEEDED = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
_NOT_APPLICABLE = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse"
_RULES = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": OWN}, "BucketKeyEnabled": False}]}


# --- objects that are written


async def dress(lender: Lender, call: Call, request: Request) -> Mapping[str, Any]:
    """What is kept with an object that is about to be written. Raises ApiError."""
    asked, key = request.get("ServerSideEncryption"), request.get("SSEKMSKeyId")
    if asked not in (None, OWN, KMS):
        if asked == "aws:kms:dsse":
            raise not_built("s3", "dual-layer encryption (aws:kms:dsse)")
        raise ApiError("InvalidArgument", "The encryption method specified is not supported", 400)
    if key and asked != KMS:
        raise ApiError("InvalidArgument", _NEEDED, 400)
    if request.get("SSEKMSEncryptionContext"):
        raise not_built("s3", "encryption contexts of one's own")
    usual = await _usual(lender, call, request["Bucket"])
    kind = asked or usual.encryption
    if kind != KMS:
        return {"ServerSideEncryption": kind}
    bucket_key = request.get("BucketKeyEnabled")
    shared = usual.bucket_key if bucket_key is None else bool(bucket_key)
    data_key = await _data_key(call, (key if asked else usual.key) or "alias/aws/s3", request, shared=shared)
    kept = {"ServerSideEncryption": KMS, "SSEKMSKeyId": data_key}
    return {**kept, "BucketKeyEnabled": True} if shared else kept


async def _usual(lender: Lender, call: Call, name: str) -> Bucket:
    found = call.store.get(BUCKET, "", "", name)
    if found is None:
        return Bucket("", encryption=OWN)
    if not found.spec.encryption:
        told = await describe(lender, _as(call, "GetBucketEncryption"), {"Bucket": name})
        await keep(call, {"Bucket": name, **(told or {})})
        found = call.store.get(BUCKET, "", "", name) or found
    return found.spec


async def dress_copy(lender: Lender, call: Call, request: Request) -> Mapping[str, Any]:
    """The same; and who copies reads. Onto itself without a change a copy is refused, so nothing is said of it then."""
    name, _, key, version = _source(request)
    await _open_source(lender, call, request)
    here = (name, key) == (request["Bucket"], request["Key"]) and not version
    kept = await dress(lender, call, request)
    return {} if here and not request.get("ServerSideEncryption") and kept["ServerSideEncryption"] == OWN else kept


async def dress_part(lender: Lender, call: Call, request: Request) -> Mapping[str, Any]:
    """A part that is copied is read."""
    await _open_source(lender, call, request)
    return {}


def _source(request: Request) -> tuple[str, str, str, str]:
    path, _, query = request["CopySource"].lstrip("/").partition("?")
    name, slash, key = unquote(path).partition("/")
    return name, slash, key, parse_qs(query).get("versionId", [""])[0]


async def _open_source(lender: Lender, call: Call, request: Request) -> None:
    name, _, key, version = _source(request)
    where = {"Bucket": name, "Key": key, **({"VersionId": version} if version else {})}
    try:
        told = await lender.values(_as(call, "HeadObject"), False, where)
    except ApiError as error:
        if error.status is not None and error.status >= 500:
            raise
        return  # the copy is refused for it
    await _open(call, where, told)


def _as(call: Call, operation: str) -> Call:
    return replace(call, operation=operation)


def _context(where: Request, *, shared: bool) -> Mapping[str, str]:
    return {"aws:s3:arn": arn(where["Bucket"], None if shared else where["Key"])}


async def _data_key(call: Call, key: str, where: Request, *, shared: bool) -> str:
    asked = {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": _context(where, shared=shared)}
    try:
        made = await call.aws("kms", "GenerateDataKey", asked)
    except ApiError as refusal:
        raise _of_s3(refusal) from None
    return _BEHIND.join((made["KeyId"], "b" if shared else "o", base64.b64encode(made["CiphertextBlob"]).decode()))


def _of_s3(refusal: ApiError) -> ApiError:
    if refusal.status is not None and refusal.status >= 500:
        return refusal
    if refusal.code in ("AccessDenied", "AccessDeniedException"):
        return ApiError("AccessDenied", refusal.message, 403)
    return ApiError(_CODES.get(refusal.code, refusal.code), refusal.message, 400)


# --- what clients are told


async def tell(call: Call, request: Request, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a key, no more than its ARN."""
    id = told.get("SSEKMSKeyId") or ""
    return {**told, "SSEKMSKeyId": id.partition(_BEHIND)[0]} if _BEHIND in id else told


async def read(call: Call, request: Request, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object that is read is opened first. Raises ApiError."""
    await _open(call, request, told)
    return await tell(call, request, told)


async def _open(call: Call, where: Request, told: Mapping[str, Any]) -> None:
    """``where``: Bucket and Key."""
    _, *behind = (told.get("SSEKMSKeyId") or "").split(_BEHIND)
    if not behind:
        return
    context = _context(where, shared=behind[0] == "b")
    try:
        blob = base64.b64decode(behind[-1], validate=True)
        await call.aws("kms", "Decrypt", {"CiphertextBlob": blob, "EncryptionContext": context})
    except binascii.Error:
        raise ApiError("InternalError", "the object's data key cannot be read", 500) from None
    except ApiError as refusal:
        raise _of_s3(refusal) from None


# --- what a bucket's objects usually have


async def check(call: Call, request: Request) -> None:
    """A bucket's configuration, before it is kept. Raises ApiError."""
    rules = request["ServerSideEncryptionConfiguration"]["Rules"]
    if len(rules) != 1:
        words = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ApiError("MalformedXML", words, 400)
    usual = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
    if usual.get("SSEAlgorithm") == OWN and usual.get("KMSMasterKeyID"):
        raise ApiError("InvalidArgument", _NOT_APPLICABLE, 400)
    if usual.get("SSEAlgorithm") not in (None, OWN, KMS):
        raise not_built("s3", f"buckets with the default encryption {usual['SSEAlgorithm']}")


async def keep(call: Call, request: Request) -> None:
    """The bucket has a new default."""
    rule = request["ServerSideEncryptionConfiguration"]["Rules"][0]
    usual = rule.get("ApplyServerSideEncryptionByDefault") or {}
    kind, key = usual.get("SSEAlgorithm") or OWN, usual.get("KMSMasterKeyID") or ""
    await _set(call, request["Bucket"], encryption=kind, key=key, bucket_key=bool(rule.get("BucketKeyEnabled")))


async def forget(call: Call, request: Request) -> None:
    """The bucket has no default of its own any more."""
    await _set(call, request["Bucket"], encryption=OWN, key="", bucket_key=False)


async def _set(call: Call, name: str, **settings: Any) -> None:
    def change(tx: Transaction) -> None:
        found = tx.get(BUCKET, "", "", name)
        if found is not None:
            tx.update(found, spec=replace(found.spec, **settings))

    await call.store.transact(change)


async def describe(lender: Lender, call: Call, request: Request) -> Answer:
    """Objects of a bucket for which nothing was said are AWS's own to encrypt, and have been since 2023."""
    try:
        return await lender.values(call, False, request)
    except ApiError as error:
        if error.code != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        return {"ServerSideEncryptionConfiguration": _RULES}
