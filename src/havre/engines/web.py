"""Ask a server somewhere else: HTTP/1.1, TLS with verified certificates, bounded; redirections are not followed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec

from havre.engines.webhook import refuse_metadata, troubles, trust
from havre.kernel.errors import Permanent

MOST = 10 << 20
"""Bytes of an answer."""
_PIECE = 1 << 16
_HEAD = 256 << 10
"""Bytes before a body, informational answers among them."""
_DEAREST = 8
"""Bytes on the wire for one of a body: chunks of a byte each take six."""
_OURS = ("connection", "content-length", "host", "transfer-encoding")

Headers = Sequence[tuple[str, str]]


class WebAnswer(msgspec.Struct, frozen=True):
    """Names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Door(msgspec.Struct, frozen=True):
    """A Unix socket that leads to the server, whatever the URL says of where it is. ``name``: what its certificate has to be
    for, and TLS asks for ("": what the URL says). ``authority``: a file of one that is trusted, too, if it is there."""

    path: str
    name: str = ""
    authority: str = ""


class _Reading:
    """What httptools calls."""

    def __init__(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.begun = self.ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.begun = self.parser.get_status_code() >= 200

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() >= 200:
            self.ended = True
        else:
            self.headers.clear()


async def fetch(method: str, url: str, headers: Headers, body: bytes, timeout: float, most: int = MOST) -> WebAnswer:
    """``timeout`` in seconds, for everything; ``most`` bytes of an answer. Raises Temporary when no answer came, Permanent
    for a URL that cannot be asked."""
    with troubles(url, timeout):
        async with asyncio.timeout(timeout):
            return await _exchange(method, url, headers, body, (None, most))


async def fetch_through(door: Door, method: str, url: str, headers: Headers, body: bytes, timeout: float) -> WebAnswer:
    """As ``fetch``."""
    with troubles(url, timeout):
        async with asyncio.timeout(timeout):
            return await _exchange(method, url, headers, body, (door, MOST))


def _trust(door: Door | None) -> ssl.SSLContext:
    context = trust()
    if door is not None:
        with contextlib.suppress(FileNotFoundError):
            context.load_verify_locations(door.authority)
    return context


async def _connect(url: str, door: Door | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    context = _trust(door) if secure else None
    if door is None:
        made = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=context)
        try:
            refuse_metadata(made[1])
        except Permanent:
            made[1].close()
            raise
        return made
    name = (door.name or parts.hostname) if secure else None
    directory, _, socket = door.path.rpartition("/")
    # the whole path may be longer than those of sockets may be
    opened = os.open(directory, os.O_PATH | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{opened}/{socket}"
        return await asyncio.open_unix_connection(short, ssl=context, server_hostname=name)
    finally:
        os.close(opened)


async def _exchange(method: str, url: str, headers: Headers, body: bytes, way: tuple[Door | None, int]) -> WebAnswer:
    """``way``: by which door, and how many bytes of an answer at most."""
    door, most = way
    reader, writer = await _connect(url, door)
    try:
        writer.write(_head(method, url, headers, len(body)) + body)
        await writer.drain()
        return await _read(reader, method, most)
    finally:
        writer.close()


def _head(method: str, url: str, headers: Headers, length: int) -> bytes:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Connection: close"]
    if length or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in _OURS]
    text = "\r\n".join(lines)
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise OSError("a header has a line break")
    return f"{text}\r\n\r\n".encode("latin-1", "replace")


async def _read(reader: asyncio.StreamReader, method: str, most: int) -> WebAnswer:
    answer, read = _Reading(), 0
    while not answer.ended:
        piece = await reader.read(_PIECE)
        if not piece:
            if answer.parser.get_status_code() < 200:
                raise OSError("the server closed the connection without an answer")
            break  # the end of a body without a length
        read += len(piece)
        if read > (_DEAREST * most if answer.begun else 0) + _HEAD + _PIECE:
            raise OSError("the answer's headers are too long")
        answer.parser.feed_data(piece)
        if len(answer.body) > most:
            raise OSError(f"the answer has more than {most} bytes")
        if method == "HEAD" and answer.headers and answer.parser.get_status_code() >= 200:
            break
    return WebAnswer(answer.parser.get_status_code(), tuple(answer.headers), bytes(answer.body))
