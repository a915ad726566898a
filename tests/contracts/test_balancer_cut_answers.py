"""A target that is killed (-9) in the middle of an answer: clients see that it is cut off, as behind AWS's load balancers.

One that has not told its length is an exception by HTTP/2: HAProxy (2.6, as Debian 12 has it) ends its stream in order.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamReset
from h2.exceptions import ProtocolError

from havre.control.certificates.authority import Authority
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerPool, BalancerTarget
from tests.contracts.balancer_bench import HOST, PATIENCE, QUICK, balancer, listener, need_haproxy, real, states, until
from tests.contracts.test_balancer_tls import secure
from tests.ports import free_port

PART = 1000
"""Bytes of the body that come before it is killed, of twice as many."""
SERVER = f"""
import asyncio, sys

async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if b"ELB-HealthChecker" in head:
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    elif b" /whole" in head:
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: {2 * PART}\\r\\n\\r\\n" + b"a" * {PART})
    else:
        writer.write(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n{PART:x}\\r\\n")
        writer.write(b"a" * {PART} + b"\\r\\n")
    await writer.drain()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    need_haproxy()
    async with real(tmp_path / "haproxy") as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[tuple[asyncio.subprocess.Process, BalancerTarget]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, str(port))
    yield process, BalancerTarget(f"127.0.0.1:{port}", "127.0.0.1", port)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _healthy(engine: HaproxyEngine) -> bool:
    return all(each.state == "healthy" for each in (await states(engine)).values())


@pytest.mark.parametrize("path", ["/whole", "/pieces"])
async def test_by_http_1(
    engine: HaproxyEngine, port: int, target: tuple[asyncio.subprocess.Process, BalancerTarget], path: str
) -> None:
    process, place = target
    pool = BalancerPool("pool", "HTTP", (place,), QUICK)
    await engine.apply([balancer(port, listeners=(listener(port),), pools=(pool,))], {})
    await until(lambda: _healthy(engine))
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    came = b""
    async with asyncio.timeout(PATIENCE):
        while came.count(b"a" * PART) < 1:
            came += await reader.read(65536)
        process.send_signal(signal.SIGKILL)
        came += await reader.read(-1)  # the connection ends
    head, _, body = came.partition(b"\r\n\r\n")
    if path == "/whole":
        assert f"content-length: {2 * PART}".encode() in head.lower()
        assert len(body) < 2 * PART
    else:
        assert b"transfer-encoding: chunked" in head.lower()
        assert not body.endswith(b"0\r\n\r\n")
    writer.close()


async def test_by_http_2(
    engine: HaproxyEngine, port: int, target: tuple[asyncio.subprocess.Process, BalancerTarget], tmp_path: Path
) -> None:
    process, place = target
    authority = Authority(tmp_path / "ca", "test")
    pool = BalancerPool("pool", "HTTP", (place,), QUICK)
    made = secure(port, authority.issue(("a.example.com",), "EC_prime256v1", time.time()))
    await engine.apply([balancer(port, listeners=(made,), pools=(pool,))], {})
    await until(lambda: _healthy(engine))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="a.example.com")
    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    names = {":method": "GET", ":scheme": "https", ":authority": "a.example.com", ":path": "/whole"}
    connection.send_headers(1, list(names.items()), end_stream=True)
    body = b""
    with pytest.raises((ProtocolError, ConnectionError)):  # a length that was not kept, a reset stream, no connection
        async with asyncio.timeout(PATIENCE):
            while True:
                writer.write(connection.data_to_send())
                data = await reader.read(65536)
                if not data:
                    raise ConnectionError
                for event in connection.receive_data(data):
                    if isinstance(event, DataReceived):
                        body += event.data
                        if len(body) == PART:
                            process.send_signal(signal.SIGKILL)
                    elif isinstance(event, StreamReset):
                        raise ConnectionError
    writer.close()
    assert len(body) == PART
