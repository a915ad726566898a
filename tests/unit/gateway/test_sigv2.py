"""Presigned URLs of version 2, as botocore makes them: whole, tampered with, stale, and for nobody but S3."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.gateway import sigv2
from havre.gateway.sigv4 import Canonical, Denied

SECRET = "secret/key+1"


def presigned(style: str, key: str = "a key+ü.txt", token: str | None = None, **params: Any) -> Canonical:
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url="http://s3.localhost:4566",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        config=Config(signature_version="s3", s3={"addressing_style": style}),
    )
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key, **params}))
    return Canonical("GET", url.path, url.query, {"host": url.netloc})


def checked(request: Canonical, secret: str = SECRET, now: float | None = None) -> None:
    claimed = sigv2.claim(request)
    assert claimed is not None and claimed.access_key == "AKIAEXAMPLE"
    sigv2.check(request, claimed, secret, time.time() if now is None else now)


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize(
    "params",
    [{}, {"VersionId": "v/1"}, {"ResponseContentType": "text/html; a=b", "ResponseExpires": 0}, {"PartNumber": 2}],
)
def test_what_botocore_signs_is_right(style: str, params: dict[str, Any]) -> None:
    checked(presigned(style, **params))


def test_a_session_token_is_signed_along() -> None:
    request = presigned("path", token="token/with+signs=")
    claimed = sigv2.claim(request)
    assert claimed is not None and claimed.token == "token/with+signs="
    checked(request)
    with pytest.raises(Denied):
        checked(Canonical("GET", request.path, request.query.replace("token%2F", "taken%2F"), request.headers))


def test_another_secret_method_path_or_query_is_refused() -> None:
    request = presigned("path")
    for other in (
        Canonical("PUT", request.path, request.query, request.headers),
        Canonical("GET", request.path + "x", request.query, request.headers),
        Canonical("GET", request.path, request.query + "&versionId=1", request.headers),
        Canonical("GET", request.path, request.query, {**request.headers, "x-amz-acl": "public-read"}),
        Canonical("GET", request.path, request.query, {**request.headers, "content-type": "text/plain"}),
    ):
        with pytest.raises(Denied, match="does not match"):
            checked(other)
    with pytest.raises(Denied, match="does not match"):
        checked(request, secret="another")


def test_it_is_good_for_its_time_only() -> None:
    request = presigned("path")
    with pytest.raises(Denied, match="expired"):
        checked(request, now=time.time() + 3601)
    claimed = sigv2.claim(request)
    assert claimed is not None and claimed.expires is not None
    longer = request.query.replace(f"Expires={claimed.expires}", f"Expires={claimed.expires + 3600}")
    with pytest.raises(Denied, match="does not match"):
        checked(Canonical("GET", request.path, longer, request.headers))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="AWSAccessKeyId=Signature&Expires0123%+", max_size=80))
def test_nonsense_claims_nothing_or_is_refused(query: str) -> None:
    try:
        claimed = sigv2.claim(Canonical("GET", "/b/k", f"AWSAccessKeyId=A&Signature=x&{query}", {}))
    except Denied:
        return
    assert claimed is None or (claimed.service == "s3" and claimed.expires is not None)
