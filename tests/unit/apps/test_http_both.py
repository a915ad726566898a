"""HTTP and HTTPS on one port, and the certificates of the endpoint."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from havre.apps.http.listeners import Listeners
from havre.apps.own_tls import OwnTls
from havre.control.certificates.authority import DAYS, Authority


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = f"{scope['scheme']} {sorted(scope['extensions'])}".encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Own:
    def __init__(self, state: Path) -> None:
        self.authority, self.now = Authority(state, "test"), time.time()
        self.tls = OwnTls(self.authority, ("localhost", "127.0.0.1"), lambda: self.now)
        self.trust = ssl.create_default_context(cafile=str(self.authority.certificate_file))
        self.port = 0

    async def ask(self, name: str = "", *, secure: bool = True) -> tuple[str, Any]:
        """(the body, the certificate). ``name`` "" asks for the address."""
        given: dict[str, Any] = {"ssl": self.trust, "server_hostname": name or "127.0.0.1"} if secure else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **given)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            raw = await asyncio.wait_for(reader.read(-1), 60)
            stream = writer.get_extra_info("ssl_object")
            return raw.partition(b"\r\n\r\n")[2].decode(), stream.getpeercert() if stream is not None else None
        finally:
            writer.close()


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    made = Own(tmp_path)
    listeners = Listeners(application)
    await listeners.open("127.0.0.1", 0, made.tls.context)
    made.port = next(iter(listeners._servers.values())).sockets[0].getsockname()[1]
    yield made
    await listeners.close(1)


async def test_one_port_speaks_both(own: Own) -> None:
    for _ in range(3):
        assert (await own.ask(secure=False))[0] == "http ['http.response.zerocopysend']"
        assert (await own.ask())[0] == "https []"


async def test_names_below_localhost_get_certificates_of_their_own(own: Own) -> None:
    names = ("localhost", "abc.execute-api.eu-west-1.localhost", "d.lambda-url.us-east-1.localhost")
    for name in names:
        _, certificate = await own.ask(name)  # the name is checked by the client
        assert ("DNS", name) in certificate["subjectAltName"]
    with pytest.raises(ssl.SSLCertVerificationError):
        await own.ask("www.example.com")


async def test_a_certificate_is_kept_and_made_anew_in_time(own: Own) -> None:
    first = (await own.ask())[1]["serialNumber"]
    assert (await own.ask())[1]["serialNumber"] == first
    own.now += (DAYS - 44) * 86400
    own.trust.check_hostname, own.trust.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", own.port, ssl=own.trust)
    again = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    del reader
    assert int(first, 16) != _serial(again)


def _serial(der: bytes) -> int:
    from cryptography import x509

    return x509.load_der_x509_certificate(der).serial_number


async def test_whoever_says_nothing_or_nonsense_is_in_nobodys_way(own: Own) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", own.port) for _ in range(20)]
    gone, other = silent[:10], silent[10:]
    for _, writer in gone:
        writer.close()
    for _, writer in other[:5]:
        writer.write(b"\x16\x03\x01nonsense that is no handshake\r\n\r\n")
    assert (await own.ask(secure=False))[0].startswith("http")
    assert (await own.ask())[0].startswith("https")
    for _, writer in other:
        writer.close()
