"""Signature Version 2 of S3's presigned URLs, which boto3 makes unless it is told otherwise: only in URLs, only for S3."""

from __future__ import annotations

import hmac
from base64 import b64encode
from urllib.parse import unquote_to_bytes

from havre.gateway.sigv4 import MISMATCH, UNSIGNED, Canonical, Denied, Signature

SCOPE = "version-2"
"""Stands where version 4 has the scope of its credential."""
_SUBRESOURCES = frozenset(
    (
        *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location"),
        *("logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires", "restore", "select"),
        *("select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning"),
        *("versions", "website"),
    )
)
_PARTS = frozenset(("AWSAccessKeyId", "Expires", "Signature"))


def claim(request: Canonical) -> Signature | None:
    """The signature that the URL carries, None when it carries none. Raises Denied when it is not whole."""
    if "AWSAccessKeyId=" not in request.query or "Signature=" not in request.query:
        return None
    fields = dict(_pairs(request.query))
    if not fields.keys() >= _PARTS:
        return None
    if not fields["Expires"].isdecimal() or len(fields["Expires"]) > 12:
        raise Denied("incomplete", "Invalid date (should be seconds since epoch): " + fields["Expires"][:50])
    token = fields.get("x-amz-security-token", "")
    expires = int(fields["Expires"])
    key, signature = fields["AWSAccessKeyId"], fields["Signature"]
    return Signature(key, "", "", "s3", "", signature, "", UNSIGNED, token, expires, SCOPE)


def check(request: Canonical, claimed: Signature, secret: str, now: float) -> None:
    """Raises Denied when the URL is too old, or ``secret`` does not make this signature of it."""
    if claimed.expires is not None and now > claimed.expires:
        raise Denied("expired_url", "Request has expired.")
    expected = b64encode(
        hmac.digest(secret.encode(), _to_sign(request, claimed).encode("utf-8", "surrogateescape"), "sha1")
    )
    if not hmac.compare_digest(expected, claimed.signature.encode("utf-8", "replace")):
        raise Denied("mismatch", MISMATCH)


def _to_sign(request: Canonical, claimed: Signature) -> str:
    query, headers = _pairs(request.query), request.headers
    amz = {name: value.strip() for name, value in (*headers.items(), *query) if name.startswith("x-amz-")}
    given = dict(query)
    lines = [
        request.method,
        headers.get("content-md5", given.get("content-md5", "")),
        headers.get("content-type", given.get("content-type", "")),
        str(claimed.expires),
        *(f"{name}:{amz[name]}" for name in sorted(amz)),
        _resource(request, query),
    ]
    return "\n".join(lines)


def _resource(request: Canonical, query: list[tuple[str, str]]) -> str:
    bucket, found, _ = request.headers.get("host", "").partition(":")[0].partition(".s3.")
    path = f"/{bucket}{request.path}" if found and bucket else request.path
    without = {pair for pair in request.query.split("&") if "=" not in pair}
    wanted = sorted((name, value) for name, value in query if name in _SUBRESOURCES)
    told = "&".join(name if name in without else f"{name}={value}" for name, value in wanted)
    return f"{path}?{told}" if told else path


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        pairs.append((_plain(name), _plain(value)))
    return pairs


def _plain(text: str) -> str:
    return unquote_to_bytes(text.replace("+", "%20")).decode("utf-8", "replace") if "%" in text or "+" in text else text
