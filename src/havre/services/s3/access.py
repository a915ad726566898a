"""On which buckets and objects IAM decides, and by which action."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from havre.control.operation import Action, Call, Request
from havre.kernel.errors import ApiError, not_built
from havre.services.s3.resources import BUCKET

_WRITTEN = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ACL": "x-amz-acl",
    "StorageClass": "x-amz-storage-class",
    "CopySource": "x-amz-copy-source",
    "MetadataDirective": "x-amz-metadata-directive",
}


def arn(bucket: str, key: str | None = None) -> str:
    if bucket.startswith("arn:"):
        raise not_built("s3", "access points")
    return f"arn:aws:s3:::{bucket}" if key is None else f"arn:aws:s3:::{bucket}/{key}"


async def guard(call: Call, request: Request) -> None:
    """What clients may ask of any operation, and what moto would pass over in silence."""
    for member, name in (
        ("ExpectedBucketOwner", request.get("Bucket")),
        ("ExpectedSourceBucketOwner", _source(request)),
    ):
        found = call.store.get(BUCKET, "", "", str(name)) if request.get(member) else None
        if found is not None and found.spec.owner != request[member]:
            raise ApiError("AccessDenied", "Access Denied", 403)
    if request.get("SSECustomerAlgorithm") or request.get("CopySourceSSECustomerAlgorithm"):
        raise not_built("s3", "encryption with keys of customers")


def _source(request: Request) -> str:
    return unquote(request.get("CopySource", "").lstrip("/").partition("/")[0])


def bucket(call: Call, request: Request) -> tuple[str, ...]:
    return (arn(request["Bucket"]),)


def object_(call: Call, request: Request) -> tuple[str, ...]:
    return (arn(request["Bucket"], request["Key"]),)


def versioned(action: str) -> Action:
    """S3 has another action where the request names a version."""

    def of(call: Call, request: Request) -> str:
        if not request.get("VersionId"):
            return f"s3:{action}"
        verb, noun, rest = action.partition("Object")
        return f"s3:{verb}{noun}Version{rest}"

    return of


def listing(call: Call, request: Request) -> Mapping[str, str]:
    """``s3:prefix``, ``s3:delimiter`` and ``s3:max-keys``: what is absent is the empty prefix."""
    keys = {"s3:prefix": str(request.get("Prefix", ""))}
    for member, key in (("Delimiter", "s3:delimiter"), ("MaxKeys", "s3:max-keys")):
        if request.get(member) is not None:
            keys[key] = str(request[member])
    return keys


def writing(call: Call, request: Request) -> Mapping[str, str]:
    """What policies ask of an object that is written: how it is encrypted, who may have it, where it lies."""
    return {f"s3:{header}": str(request[member]) for member, header in _WRITTEN.items() if request.get(member)}


async def source(call: Call, request: Request) -> None:
    """A copy reads what it copies."""
    path, _, query = request["CopySource"].lstrip("/").partition("?")
    name, _, key = unquote(path).partition("/")
    if not name or not key:
        raise ApiError(
            "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", 400
        )
    action = "s3:GetObjectVersion" if "versionId" in parse_qs(query) else "s3:GetObject"
    await call.authorize(action, [arn(name, key)], {})
