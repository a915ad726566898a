"""POST to a server somewhere else: HTTP/1.1, TLS with verified certificates, everything bounded."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

from havre.kernel.errors import Permanent, Temporary

TIMEOUT = 15.0
"""Seconds for everything, as SNS gives its subscribers."""
_METADATA = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32")))
"""Where clouds tell their machines who they are, credentials among it: for this machine, not for whoever may name a URL."""
_MOST = 1 << 20
_PIECE = 1 << 16


class _Answer:
    """What httptools calls. The body is read and thrown away."""

    def __init__(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.status = 0

    def on_headers_complete(self) -> None:
        self.status = int(self.parser.get_status_code())


async def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float = TIMEOUT) -> int:
    """The status of the answer. Raises Temporary when none came, Permanent for a URL that cannot be asked.

    Redirections are not followed. User and password of the URL are sent as HTTP's basic authentication, and told to nobody.
    """
    with troubles(url, timeout) as parts:
        async with asyncio.timeout(timeout):
            return await _exchange(parts, body, headers)


@contextmanager
def troubles(url: str, timeout: float) -> Iterator[SplitResult]:
    """Of whatever asks a server: what goes wrong, as Temporary or Permanent, in words without the URL's password."""
    parts = urlsplit(url)
    url = without_password(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Permanent(f"{url} is not the URL of a server")
    try:
        yield parts
    except TimeoutError:
        raise Temporary(f"{url} did not answer within {timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Temporary(f"{url}: its certificate is not good: {error.verify_message}") from None
    except (OSError, httptools.HttpParserError, UnicodeError) as error:
        raise Temporary(f"{url}: {error or type(error).__name__}") from None


def refuse_metadata(writer: asyncio.StreamWriter) -> None:
    """Look at whom a connection has reached, whatever name led there, before a word is said. Raises Permanent."""
    refuse_metadata_at(str(writer.get_extra_info("peername")[0]))


def refuse_metadata_at(peer: str) -> None:
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in _METADATA):
        raise Permanent(f"{address} is for this machine alone, as the metadata services of clouds are")


def without_password(url: str) -> str:
    """The URL as it may be shown: four stars stand for a password."""
    before, at, _ = url.partition("://")[2].partition("/")[0].rpartition("@")
    user, colon, _ = before.partition(":")
    return url.replace(f"{before}{at}", f"{user}:****@", 1) if at and colon else url


async def _exchange(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=trust() if secure else None
    )
    try:
        refuse_metadata(writer)
        writer.write(_head(parts, len(body), headers) + body)
        await writer.drain()
        answer = _Answer()
        read = 0
        while answer.status < 200:
            piece = await reader.read(_PIECE)
            read += len(piece)
            if not piece or read > _MOST:
                raise OSError("the server closed the connection without an answer")
            answer.parser.feed_data(piece)
        return answer.status
    finally:
        writer.close()


def _head(parts: SplitResult, length: int, headers: Mapping[str, str]) -> bytes:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}:{parts.port}" if parts.port else f"Host: {host}",
        f"Content-Length: {length}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    if any("\r" in line or "\n" in line for line in lines):
        raise Permanent("A header cannot hold a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


@lru_cache(1)
def trust() -> ssl.SSLContext:
    """The machine's own authorities."""
    return ssl.create_default_context()
