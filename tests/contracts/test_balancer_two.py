"""Targets that speak HTTP/2 behind HAProxy: plain requests and gRPC's, with their checks and their trailers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

from havre.control.certificates.authority import Authority
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerHealthCheck, BalancerPool, BalancerTarget
from tests.contracts.balancer_bench import HOST, PATIENCE, Target, balancer, need_haproxy, real, states, until
from tests.contracts.test_balancer_tls import issue, secure, trusting

CHECK = "/AWS.ALB/healthcheck"


class Two:
    """A server of HTTP/2: echoes what it is sent, and ends with a trailer as gRPC does. Checks get ``code``."""

    def __init__(self) -> None:
        self.code, self.status, self.checks = "12", "200", 0
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> Two:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        self._server.close()

    def target(self) -> BalancerTarget:
        return BalancerTarget(f"127.0.0.1:{self.port}", "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        asked: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = {}
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, events.RequestReceived):
                    asked[event.stream_id], bodies[event.stream_id] = dict(event.headers), b""  # type: ignore[arg-type]
                elif isinstance(event, events.DataReceived):
                    bodies[event.stream_id] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, events.StreamEnded):
                    self._answer(connection, event.stream_id, asked[event.stream_id], bodies[event.stream_id])
            writer.write(connection.data_to_send())
        writer.close()

    def _answer(self, connection: H2Connection, stream: int, asked: dict[str, str], body: bytes) -> None:
        check = asked.get("user-agent") == "ELB-HealthChecker/2.0"
        self.checks += check
        grpc = asked.get("content-type") == "application/grpc"
        headers = [(":status", self.status if check else "200"), ("x-proto", asked.get("x-forwarded-proto", ""))]
        if not grpc:
            connection.send_headers(stream, headers)
            connection.send_data(stream, body or b"hello", end_stream=True)
            return
        connection.send_headers(stream, [*headers, ("content-type", "application/grpc")])
        connection.send_data(stream, body)
        trailers = [("grpc-status", self.code if check else "0"), ("grpc-message", "done")]
        connection.send_headers(stream, trailers, end_stream=True)


async def call(authority: Authority, port: int, body: bytes) -> tuple[dict[str, str], bytes, dict[str, str]]:
    """A gRPC client's request over TLS: (headers, body, trailers) of the answer."""
    context = trusting(authority)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="a.example.com")
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    named = [(":method", "POST"), (":scheme", "https"), (":authority", "a.example.com"), (":path", "/echo.Echo/Say")]
    connection.send_headers(1, [*named, ("content-type", "application/grpc"), ("te", "trailers")])
    connection.send_data(1, body, end_stream=True)
    writer.write(connection.data_to_send())
    headers: dict[str, str] = {}
    trailers: dict[str, str] = {}
    found, ended = b"", False
    async with asyncio.timeout(PATIENCE):
        while not ended and (data := await reader.read(65536)):
            for event in connection.receive_data(data):
                if isinstance(event, events.ResponseReceived):
                    headers = dict(event.headers)  # type: ignore[arg-type]
                elif isinstance(event, events.TrailersReceived):
                    trailers = dict(event.headers)  # type: ignore[arg-type]
                elif isinstance(event, events.DataReceived):
                    found += event.data
                ended = ended or isinstance(event, events.StreamEnded)
            writer.write(connection.data_to_send())
    writer.close()
    return headers, found, trailers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    need_haproxy()
    async with real(tmp_path / "haproxy") as made:
        yield made


def encrypted(authority: Authority, where: Path) -> ssl.SSLContext:
    (where / "target.pem").write_text(issue(authority, "target").bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where / "target.pem")
    context.set_alpn_protocols(["h2"])
    return context


async def serve(
    engine: HaproxyEngine, authority: Authority, port: int, version: str, protocol: str, *targets: BalancerTarget
) -> None:
    path, matcher = (CHECK, "0-5,12") if version == "GRPC" else ("/health", "200")
    check = BalancerHealthCheck(protocol, path, 0, 0.05, 20, 2, 2, matcher, version=version)
    pool = BalancerPool("pool", protocol, targets, check, version=version)
    made = secure(port, issue(authority, "a.example.com"))
    await engine.apply([balancer(port, listeners=(made,), pools=(pool,))], {})


async def state(engine: HaproxyEngine, target: Any) -> str:
    return (await states(engine))[target.target().id].state


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
async def test_grpc_reaches_its_target_with_trailers(
    engine: HaproxyEngine, authority: Authority, port: int, tmp_path: Path, protocol: str
) -> None:
    target = await Two().start(encrypted(authority, tmp_path) if protocol == "HTTPS" else None)
    await serve(engine, authority, port, "GRPC", protocol, target.target())
    await until(lambda: _is(engine, target, "healthy"))
    assert target.checks
    message = b"\0\0\0\0\x05hello"
    headers, body, trailers = await call(authority, port, message)
    assert (headers[":status"], headers["x-proto"], body) == ("200", "https", message)
    assert trailers == {"grpc-status": "0", "grpc-message": "done"}
    target.code = "14"
    await until(lambda: _is(engine, target, "unhealthy"))
    seen = (await states(engine))[target.target().id]
    assert (seen.reason, seen.description) == (
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [14]",
    )
    target.code = "0"
    await until(lambda: _is(engine, target, "healthy"))
    target.stop()


async def _is(engine: HaproxyEngine, target: Any, wanted: str) -> bool:
    return await state(engine, target) == wanted


async def test_plain_requests_by_http2_and_targets_that_do_not_speak_it(
    engine: HaproxyEngine, authority: Authority, port: int
) -> None:
    target, older = await Two().start(), await Target().start()
    await serve(engine, authority, port, "HTTP2", "HTTP", target.target(), older.target())
    await until(lambda: _is(engine, target, "healthy"))
    await until(lambda: _is(engine, older, "unhealthy"))
    headers, body, _ = await call(authority, port, b"x")
    assert (headers[":status"], body) == ("200", b"x")
    target.status = "404"
    await until(lambda: _is(engine, target, "unhealthy"))
    target.stop()
    await older.stop()
