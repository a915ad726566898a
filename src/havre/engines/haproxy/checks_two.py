"""Health checks of targets that speak HTTP/2: with plain requests, or as gRPC calls. h2 is loaded with the first of them."""

from __future__ import annotations

import asyncio
from typing import Any

from havre.engines.haproxy.health import FAILED, PASSED, Outcome, matches, mismatch
from havre.kernel.balancer import BalancerHealthCheck

_MOST = 1 << 20
"""Bytes of an answer that are looked at."""
_MESSAGE = bytes(5)
"""An empty message of gRPC."""


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, check: BalancerHealthCheck
) -> Outcome:
    """Raises OSError; whoever does not speak HTTP/2 fails."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import H2Error

    connection = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
    connection.initiate_connection()
    grpc = check.version == "GRPC"
    headers = [
        (":method", "POST" if grpc else "GET"),
        (":scheme", check.protocol.lower()),
        (":authority", host),
        (":path", check.path),
        ("user-agent", "ELB-HealthChecker/2.0"),
    ]
    headers += [("content-type", "application/grpc"), ("te", "trailers")] if grpc else []
    try:
        connection.send_headers(1, headers, end_stream=not grpc)
        if grpc:
            connection.send_data(1, _MESSAGE, end_stream=True)
        writer.write(connection.data_to_send())
        return _judge(await _answer(connection, reader, writer), check)
    except (H2Error, ValueError):
        return FAILED


async def _answer(connection: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, str]:
    """Headers and trailers, by name."""
    from h2 import events

    found: dict[str, str] = {}
    size = 0
    while data := await reader.read(65536):
        size += len(data)
        if size > _MOST:
            break
        for event in connection.receive_data(data):
            if isinstance(event, events.ResponseReceived | events.TrailersReceived):
                found.update((str(name), str(value)) for name, value in event.headers)
            elif isinstance(event, events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, events.StreamEnded | events.StreamReset | events.ConnectionTerminated):
                return found
        if writer.is_closing():
            break
        writer.write(connection.data_to_send())
    return found


def _judge(found: dict[str, str], check: BalancerHealthCheck) -> Outcome:
    status = found.get(":status", "")
    if check.version == "GRPC":
        status = found.get("grpc-status", "") if status == "200" else ""
    if not status.isdigit():
        return FAILED
    return PASSED if matches(check.matcher, int(status)) else mismatch(int(status))
