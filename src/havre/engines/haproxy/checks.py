"""One health check of one target, as AWS's load balancers make it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from havre.engines.haproxy.health import FAILED, PASSED, TIMED_OUT, Outcome, matches, mismatch
from havre.engines.haproxy.namespaces import tcp_socket
from havre.kernel.balancer import BalancerHealthCheck

if TYPE_CHECKING:
    import ssl

_LINE = 4096
_REST = 65536


class Place(msgspec.Struct, frozen=True):
    """Where a target is: address and port, in a network namespace ("" the host's), to be asked from ``source``."""

    address: str
    port: int
    namespace: str = ""
    source: str = ""


async def probe(place: Place, check: BalancerHealthCheck) -> Outcome:
    """Never raises: whatever goes wrong is an outcome."""
    try:
        sock = tcp_socket(place.namespace, place.source)
    except OSError:
        return FAILED
    try:
        async with asyncio.timeout(check.timeout):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (place.address, check.port or place.port))
            if check.version != "HTTP1":
                outcome = await _two(sock, place, check)
            elif check.protocol == "HTTP":
                outcome = await _http(sock, place, check)
            elif check.protocol == "HTTPS":
                outcome = await _https(sock, place, check)
            else:
                outcome = PASSED
        await _leave(sock)
    except TimeoutError:
        return TIMED_OUT
    except (OSError, ValueError):
        return FAILED
    finally:
        sock.close()
    return outcome


def _request(place: Place, check: BalancerHealthCheck) -> bytes:
    host = f"{place.address}:{check.port or place.port}"
    return (
        f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"
    ).encode()


async def _http(sock: socket.socket, place: Place, check: BalancerHealthCheck) -> Outcome:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _request(place, check))
    head = b""
    while b"\n" not in head and len(head) < _LINE:
        more = await loop.sock_recv(sock, _LINE)
        if not more:
            return FAILED
        head += more
    return _judge(head, check)


async def _https(sock: socket.socket, place: Place, check: BalancerHealthCheck) -> Outcome:
    reader, writer = await asyncio.open_connection(sock=sock.dup(), ssl=_unverified(), server_hostname=place.address)
    try:
        writer.write(_request(place, check))
        return _judge(await reader.readline(), check)
    finally:
        writer.close()


async def _two(sock: socket.socket, place: Place, check: BalancerHealthCheck) -> Outcome:
    from havre.engines.haproxy.checks_two import ask

    tls: dict[str, Any] = {}
    if check.protocol == "HTTPS":
        tls = {"ssl": _unverified("h2"), "server_hostname": place.address}
    reader, writer = await asyncio.open_connection(sock=sock.dup(), **tls)
    try:
        return await ask(reader, writer, f"{place.address}:{check.port or place.port}", check)
    finally:
        writer.close()


@functools.cache
def _unverified(spoken: str = "") -> ssl.SSLContext:
    """AWS does not verify targets either. One for all: making it costs more than a check."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if spoken:
        context.set_alpn_protocols([spoken])
    return context


def _judge(head: bytes, check: BalancerHealthCheck) -> Outcome:
    words = head.split(b"\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return FAILED
    status = int(words[1])
    return PASSED if matches(check.matcher, status) else mismatch(status)


async def _leave(sock: socket.socket) -> None:
    """Read the rest for a moment, so that the target's log shows a request and not a reset connection."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.1):
            while await loop.sock_recv(sock, _REST):
                pass
