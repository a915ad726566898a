"""POST to servers elsewhere: what comes through, what is Temporary, what is Permanent; certificates are checked."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from havre.engines import webhook
from havre.kernel.errors import Permanent, Temporary

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
got: list[bytes] = []


def answering(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        got.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return serve


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    got.clear()
    made = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with made:
        port = made.sockets[0].getsockname()[1]
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"


async def test_what_is_posted_comes_through() -> None:
    async with server(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as url:
        assert await webhook.post(f"{url}/a/b?c=d", b"body", {"X-One": "1"}) == 204
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:") and b"X-One: 1" in head and body == b"body"


class _Reached:
    def __init__(self, address: str) -> None:
        self.peer = (address, 80)

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return self.peer


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "fe80::1%2", "fd00:ec2::254", "100.100.100.200"],
)
def test_metadata_of_clouds_is_not_for_whoever_names_a_url(address: str) -> None:
    with pytest.raises(Permanent, match="for this machine alone"):
        webhook.refuse_metadata(_Reached(address))  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "93.184.216.34", "fd00:ec2::1"])
def test_other_servers_are(address: str) -> None:
    webhook.refuse_metadata(_Reached(address))  # type: ignore[arg-type]


async def test_who_may_not_be_asked_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_METADATA", (ip_network("127.0.0.0/8"),))
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        with pytest.raises(Permanent):
            await webhook.post(url, b"secret", {})
    assert got == []


async def test_user_and_password_are_sent_and_not_told() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        secret = url.replace("://", "://me:p%40ss@")
        assert await webhook.post(f"{secret}/x", b"", {}) == 200
        assert webhook.without_password(f"{secret}/x@y") == f"{url.replace('://', '://me:****@')}/x@y"
    assert b"Authorization: Basic " + base64.b64encode(b"me:p@ss") in got[0]
    with pytest.raises(Temporary) as failed:
        await webhook.post(secret, b"", {})
    assert "p%40ss" not in failed.value.reason and "me:****@" in failed.value.reason
    for plain in (url, f"{url}/a:b@c", "http://me@host/x"):
        assert webhook.without_password(plain) == plain


async def test_redirections_are_not_followed_and_interim_answers_are_none() -> None:
    async with server(answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")) as url:
        assert await webhook.post(url, b"", {}) == 302
    assert len(got) == 1


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200_000]
)
async def test_what_is_no_answer_is_tried_again(answer: bytes) -> None:
    async with server(answering(answer)) as url:
        with pytest.raises(Temporary):
            await webhook.post(url, b"x", {})


async def test_silence_and_absence_are_tried_again() -> None:
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with server(silent) as url:
        with pytest.raises(Temporary, match="did not answer within"):
            await webhook.post(url, b"x", {}, timeout=0.05)
        release.set()
    with pytest.raises(Temporary):
        await webhook.post(url, b"x", {})


@pytest.mark.parametrize("url", ["ftp://x/", "http:///x", "file:///etc/passwd"])
async def test_what_is_no_url_of_a_server(url: str) -> None:
    with pytest.raises(Permanent):
        await webhook.post(url, b"x", {})


async def test_headers_cannot_be_smuggled() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        with pytest.raises(Permanent):
            await webhook.post(url, b"x", {"a": "b\r\nc: d"})
    assert not got


def certificate(where: Path) -> ssl.SSLContext:
    """A server's context, with a certificate for 127.0.0.1 that signs itself, in ``where``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    where.write_bytes(secret + built.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where)
    return context


async def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.pem"
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n"), certificate(path)) as url:
        webhook.trust.cache_clear()
        with pytest.raises(Temporary, match="certificate is not good"):
            await webhook.post(url, b"x", {})
        assert not got
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        webhook.trust.cache_clear()
        assert await webhook.post(url, b"x", {}) == 200
        with pytest.raises(Temporary):  # another name than the certificate's
            await webhook.post(url.replace("127.0.0.1", "localhost"), b"x", {})
    webhook.trust.cache_clear()
