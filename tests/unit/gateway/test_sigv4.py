"""Signatures of botocore's own signers, every kind, and what must not pass."""

from __future__ import annotations

import datetime
import hmac
from hashlib import sha256
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from havre.gateway import payload
from havre.gateway.sigv4 import EMPTY_SHA256, Canonical, Denied, Signature, Verifier, check_time, claim

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime.datetime(2026, 11, 24, 3, 44, 0, tzinfo=datetime.UTC)
AT = NOW.timestamp()


def signed(
    signer: type = auth.SigV4Auth,
    url: str = "http://h:4566/",
    body: bytes = b"{}",
    service: str = "ecs",
    method: str = "POST",
    headers: Any = None,
    token: str | None = None,
    **kwargs: Any,
) -> tuple[Canonical, bytes]:
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    request.context["payload_signing_enabled"] = True
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: NOW.replace(tzinfo=None)):
        signer(Credentials(KEY, SECRET, token), service, "eu-west-1", **kwargs).add_auth(request)
    parts = urlsplit(request.prepare().url)
    sent = {k.lower(): v if isinstance(v, str) else v.decode() for k, v in request.headers.items()}
    sent.setdefault("host", parts.netloc)
    return Canonical(method, parts.path or "/", parts.query, sent), body


def verify(request: Canonical, body: bytes, secret: str = SECRET, now: float = AT) -> Signature:
    claimed = claim(request)
    assert claimed is not None
    check_time(claimed, now)
    payload.verify(Verifier(), request, claimed, secret, body)
    return claimed


def test_a_signed_header() -> None:
    claimed = verify(*signed())
    assert (claimed.access_key, claimed.region, claimed.service) == (KEY, "eu-west-1", "ecs")
    assert claimed.expires is None


def test_the_host_by_its_name_in_http_2() -> None:
    """The SDK for JavaScript signs ``:authority``, which is in ``host`` by the time that it gets here."""
    request, body = signed(headers={":authority": "h:4566"})
    assert ":authority" in request.headers["authorization"]
    headers = {name: value for name, value in request.headers.items() if name != ":authority"}
    verify(Canonical(request.method, request.path, request.query, headers), body)
    for wrong in ({"host": "elsewhere"}, {"host": "elsewhere", ":authority": "h:4566"}):
        with pytest.raises(Denied):
            verify(Canonical(request.method, request.path, request.query, {**headers, **wrong}), body)


def test_a_session_token() -> None:
    assert verify(*signed(token="a-token")).token == "a-token"


@pytest.mark.parametrize(
    "path", ["/", "/a/b", "/a%20b/c", "/2015-03-31/functions/arn%3Aaws%3Alambda", "/a//b/../c", "/é%25"]
)
@pytest.mark.parametrize("service", ["lambda", "s3"])
def test_paths(path: str, service: str) -> None:
    signer = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    if service == "s3" and ".." in path:
        pytest.skip("botocore sends S3 keys as they are; servers see them so")
    url = "http://h" + path.replace("é", "%C3%A9")
    verify(*signed(signer, url, service=service))


@given(st.dictionaries(st.text("ab+ /=&%~*é", min_size=1, max_size=4), st.text("xy +/=&%~é", max_size=4), max_size=4))
@settings(max_examples=60)
def test_queries(query: dict[str, str]) -> None:
    request = AWSRequest("GET", "http://h/x", params=query, data=b"")
    with mock.patch("botocore.auth.get_current_datetime", lambda **_: NOW.replace(tzinfo=None)):
        auth.SigV4Auth(Credentials(KEY, SECRET), "lambda", "eu-west-1").add_auth(request)
    parts = urlsplit(request.prepare().url)
    sent = {k.lower(): v for k, v in request.headers.items()} | {"host": "h"}
    if "+" not in parts.query:  # requests writes a blank as +, which botocore signs as %20
        verify(Canonical("GET", "/x", parts.query, sent), b"")


def test_odd_header_values() -> None:
    verify(*signed(headers={"X-Amz-Meta": "a   b  ", "X-Amz-Other": " c"}))


def test_a_presigned_url_ends_in_time() -> None:
    request, body = signed(auth.SigV4QueryAuth, "http://h/?Action=GetCallerIdentity", b"", "sts", "GET", expires=60)
    assert verify(request, body, now=AT + 59).expires == 60
    with pytest.raises(Denied, match="expired") as told:
        verify(request, body, now=AT + 61)
    assert told.value.reason == "expired_url"


def test_a_presigned_s3_url() -> None:
    request, _ = signed(auth.S3SigV4QueryAuth, "http://h/b/k%20y", b"", "s3", "GET", expires=600)
    verify(request, b"anything")


def test_a_presigned_url_lives_a_week_at_most() -> None:
    request, body = signed(auth.SigV4QueryAuth, "http://h/", b"", "sts", "GET", expires=604801)
    with pytest.raises(Denied, match="less than a week"):
        verify(request, body)


@pytest.mark.parametrize("lifetime", ["-1", "", "x", "1e3", "\u00b2", "9" * 400])
def test_a_lifetime_that_is_none_is_refused_in_words(lifetime: str) -> None:
    request, body = signed(auth.SigV4QueryAuth, "http://h/", b"", "s3", "GET", expires=60)
    other = Canonical(
        request.method, request.path, request.query.replace("Expires=60", f"Expires={quote(lifetime)}"), request.headers
    )
    with pytest.raises(Denied, match="X-Amz-Expires") as told:
        verify(other, body)
    assert told.value.reason == "incomplete_url"


def test_an_unsigned_payload_is_the_clients_choice() -> None:
    request, _ = signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    verify(request, b"whatever")


def test_a_payload_that_is_not_the_one_announced() -> None:
    request, body = signed(auth.S3SigV4Auth, service="s3")
    verify(request, body)
    with pytest.raises(Denied) as told:
        verify(request, b"{ }")
    assert told.value.reason == "payload"


@pytest.mark.parametrize("seconds", [-(15 * 60 + 2), 5 * 60 + 2])
def test_the_clock(seconds: int) -> None:
    request, body = signed()
    verify(request, body, now=AT - seconds + (2 if seconds > 0 else -2))
    with pytest.raises(Denied) as told:
        verify(request, body, now=AT - seconds)
    expired = "Signature expired: 20261124T034400Z is now earlier than 20261124T034402Z (20261124T035902Z - 15 min.)"
    early = (
        "Signature not yet current: 20261124T034400Z is still later than 20261124T034358Z (20261124T033858Z + 5 min.)"
    )
    assert told.value.message == (expired if seconds < 0 else early)


def altered(request: Canonical, **changes: Any) -> Canonical:
    fields = {f: getattr(request, f) for f in ("method", "path", "query", "headers")}
    return Canonical(**(fields | changes))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"path": "/other"},
        {"query": "a=b"},
        {"headers": {"x-amz-target": "Other"}},
        {"headers": {"host": "elsewhere"}},
        {"headers": {"x-amz-date": "20261124T034401Z"}},
    ],
)
def test_what_was_altered_does_not_pass(change: dict[str, Any]) -> None:
    request, body = signed(headers={"X-Amz-Target": "ECS.Describe"})
    verify(request, body)
    if "headers" in change:
        change = {"headers": {**request.headers, **change["headers"]}}
    with pytest.raises(Denied) as told:
        verify(altered(request, **change), body)
    assert told.value.reason == "mismatch"
    with pytest.raises(Denied):
        verify(request, body + b" ")
    with pytest.raises(Denied):
        verify(request, body, secret=SECRET[:-1])


SCOPE = f"{KEY}/20261124/eu-west-1/ecs/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("AWS4-HMAC-SHA256", "incomplete"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host", "incomplete"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00", "incomplete"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE[:-3]}, SignedHeaders=host, Signature=00", "mismatch"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('24/', '23/')}, SignedHeaders=host, Signature=00", "mismatch"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=x-amz-date, Signature=00", "mismatch"),
        (f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=é", "mismatch"),
        (f"AWS4-HMAC-SHA256 Signature=00, SignedHeaders=host, Credential={SCOPE}", "mismatch"),
        ("Basic dTpw", "incomplete"),
        ("Bearer x", "incomplete"),
    ],
)
def test_half_signatures(authorization: str, reason: str) -> None:
    for _ in range(2):  # the second time from what was remembered
        with pytest.raises(Denied) as told:
            verify(
                Canonical(
                    "GET", "/", "", {"authorization": authorization, "x-amz-date": "20261124T034400Z", "host": "h"}
                ),
                b"",
            )
        assert told.value.reason == reason


def test_a_date_that_is_none() -> None:
    request, body = signed()
    with pytest.raises(Denied, match="ISO-8601"):
        verify(altered(request, headers={**request.headers, "x-amz-date": "yesterday"}), body)


def test_nothing_signed() -> None:
    assert claim(Canonical("GET", "/", "", {"host": "h"})) is None


# aws-chunked bodies


def chunked(trailer: bool = False, sign: bool = True, spoil: str = "") -> tuple[Canonical, bytes]:
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if sign else "STREAMING-UNSIGNED-PAYLOAD"
    kind += "-TRAILER" if trailer else ""
    headers = {"X-Amz-Content-SHA256": kind, "X-Amz-Decoded-Content-Length": "11"}
    request, _ = signed(auth.SigV4Auth, "http://h/b/k", service="s3", headers=headers)
    claimed = claim(request)
    assert claimed is not None
    key = Verifier().signing_key(SECRET, claimed)
    previous, out = claimed.signature, b""

    def signature(kind: str, *parts: str) -> str:
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", claimed.stamp, claimed.scope, previous, *parts])
        return hmac.digest(key, text.encode(), "sha256").hex()

    for piece in (b"hello ", b"world", b""):
        previous = signature("PAYLOAD", EMPTY_SHA256, sha256(piece).hexdigest())
        shown = previous if spoil != "chunk" or piece != b"world" else "0" * 64
        out += f"{len(piece):x}{f';chunk-signature={shown}' if sign else ''}\r\n".encode()
        out += piece + b"\r\n" if piece or not trailer else b""
    if trailer:
        out += b"x-amz-checksum-crc32:AAAAAA==\r\n"
        if sign:
            digest = sha256(b"x-amz-checksum-crc32:AAAAAA==\n").hexdigest()
            shown = "0" * 64 if spoil == "trailer" else signature("TRAILER", digest)
            out += f"x-amz-trailer-signature:{shown}\r\n".encode()
        out += b"\r\n"
    return request, out


@pytest.mark.parametrize(("trailer", "sign"), [(False, True), (True, True), (True, False)])
def test_chunked_bodies(trailer: bool, sign: bool) -> None:
    request, body = chunked(trailer, sign)
    claimed = claim(request)
    assert claimed is not None
    assert payload.verify(Verifier(), request, claimed, SECRET, body) == b"hello world"
    assert payload.plain(request, body) == b"hello world"
    for cut in (body[:-1], body[: len(body) // 2], body + b"x", b"zz\r\n" + body):
        with pytest.raises(Denied):
            payload.verify(Verifier(), request, claimed, SECRET, cut)


@pytest.mark.parametrize("spoil", ["chunk", "trailer"])
def test_a_spoilt_chunk(spoil: str) -> None:
    request, body = chunked(trailer=True, spoil=spoil)
    with pytest.raises(Denied, match="signature"):
        verify(request, body)


@given(st.lists(st.integers(1, 30), max_size=30))
def test_chunks_come_in_any_pieces(cuts: list[int]) -> None:
    request, body = chunked(trailer=True)
    chunks = payload.Chunks(claim(request), Verifier().signing_key(SECRET, claim(request)))  # type: ignore[arg-type]
    at = 0
    for cut in cuts:
        chunks.feed(body[at : at + cut])
        at += cut
    chunks.feed(body[at:])
    chunks.finish()
    assert b"".join(chunks.data) == b"hello world"
    assert chunks.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}
