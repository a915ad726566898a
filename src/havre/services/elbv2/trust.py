"""Trust stores: whom listeners take certificates of clients from. What is brought is checked here; reads of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.bodies import whole
from havre.control.certificates import reading
from havre.control.operation import Call
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import scoped
from havre.services.elbv2 import resources as r
from havre.services.elbv2.queries import key_of
from havre.store.ports import Reader

LARGEST_BUNDLE, LARGEST_REVOCATION = 64 << 10, 1 << 20
"""Bytes."""
MOST_AUTHORITIES = 25


def trust_store(call: Call, reader: Reader, arn: str) -> r.TrustStoreR:
    key = key_of(call, arn, "truststore", "TrustStoreNotFound")
    found = reader.get(r.TRUST_STORE, call.account, call.region, key)
    if found is None or found.meta.arn != arn:
        raise ApiError("TrustStoreNotFound", f"Trust store '{arn}' not found")
    return found


def used_by(reader: Reader, store: r.TrustStoreR) -> Sequence[r.ListenerR]:
    return reader.find(r.LISTENER, "trust", store.meta.arn)


def named(call: Call, reader: Reader, name: str) -> Sequence[r.TrustStoreR]:
    return reader.find(r.TRUST_STORE, "name", scoped(call.account, call.region, name))


def stores_of(reader: Reader, listeners: Sequence[r.ListenerR]) -> dict[str, r.TrustStoreR]:
    """Those that these listeners verify clients with, by ARN."""
    found: dict[str, r.TrustStoreR] = {}
    for arn in {each.spec.mutual.trust_store for each in listeners if each.spec.mutual is not None} - {""}:
        name = arn.rpartition("truststore/")[2]
        for listener in listeners[:1]:
            store = reader.get(r.TRUST_STORE, listener.meta.account, listener.meta.region, name)
            if store is not None:
                found[arn] = store
    return found


async def bundle(call: Call, given: Mapping[str, Any], prefix: str) -> tuple[str, int]:
    """(PEM text, how many) of the authorities in an object of S3, read as the caller. Raises CaCertificatesBundleNotFound,
    InvalidCaCertificatesBundle."""
    data = await _object(call, given, prefix, LARGEST_BUNDLE, "CaCertificatesBundleNotFound")
    if data is None:
        raise ApiError(
            "InvalidCaCertificatesBundle", f"The CA certificate bundle is larger than {LARGEST_BUNDLE} bytes"
        )
    try:
        found = reading.chain_of(data, MOST_AUTHORITIES)
    except reading.Unreadable:
        raise ApiError(
            "InvalidCaCertificatesBundle", "The specified CA certificate bundle is in an invalid format, or corrupt"
        ) from None
    return reading.pem_of(found), len(found)


async def revocation(call: Call, given: Mapping[str, Any]) -> tuple[str, int]:
    """(PEM text, how many entries) of a list of revocations. Raises RevocationContentNotFound, InvalidRevocationContent."""
    if (given.get("RevocationType") or "CRL") != "CRL":
        raise not_built("elbv2", f"revocations of the type {given['RevocationType']}")
    data = await _object(call, given, "", LARGEST_REVOCATION, "RevocationContentNotFound")
    if data is None:
        raise not_built("elbv2", f"lists of revocations of more than {LARGEST_REVOCATION} bytes")
    try:
        return reading.revocations_of(data)
    except reading.Unreadable:
        raise ApiError("InvalidRevocationContent", "The provided revocation file is in an invalid format") from None


async def _object(call: Call, given: Mapping[str, Any], prefix: str, most: int, missing: str) -> bytes | None:
    """None when it is larger than ``most``."""
    request = {"Bucket": given.get(f"{prefix}S3Bucket") or "", "Key": given.get(f"{prefix}S3Key") or ""}
    if given.get(f"{prefix}S3ObjectVersion"):
        request["VersionId"] = given[f"{prefix}S3ObjectVersion"]
    try:
        answer = await call.aws("s3", "GetObject", request)
    except ApiError as error:
        if error.code in ("AccessDenied", "AccessDeniedException"):
            raise ApiError("AccessDenied", error.message, 403) from None
        raise ApiError(
            missing, f"The object '{request['Key']}' in the bucket '{request['Bucket']}' is not found"
        ) from None
    return await whole(answer["Body"], most)
