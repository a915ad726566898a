"""Objects of 64 KiB and small items through the borrowed services, 8 connections, against moto's own server.

Both get the same signed requests from the same client, which speaks HTTP over plain sockets. Havre checks signatures,
decides by IAM, and answers when a change is on the disk; moto's server keeps all in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

CONNECTIONS = 8
EACH = 40
BODY = os.urandom(64 * 1024)


class Ask(NamedTuple):
    service: str
    method: str
    path: str
    body: bytes = b""
    target: str = ""


class Connection:
    """One connection that is kept; requests are signed anew each time, as a client has to."""

    def __init__(self, running: _peers.Running) -> None:
        self._host = urlsplit(running.endpoint).netloc
        self._key, self._secret = running.env["AWS_ACCESS_KEY_ID"], running.env["AWS_SECRET_ACCESS_KEY"]
        self._day = time.strftime("%Y%m%d", time.gmtime())

    async def open(self) -> Connection:
        host, _, port = self._host.partition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
        return self

    def close(self) -> None:
        self._writer.close()

    def _signing(self, service: str) -> bytes:
        key = f"AWS4{self._secret}".encode()
        for part in (self._day, "us-east-1", service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    async def __call__(self, ask: Ask) -> bytes:
        now, digest = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), hashlib.sha256(ask.body).hexdigest()
        headers = {"host": self._host, "x-amz-content-sha256": digest, "x-amz-date": now}
        if ask.target:
            headers |= {"content-type": "application/x-amz-json-1.0", "x-amz-target": ask.target}
        signed = ";".join(sorted(headers))
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = hashlib.sha256(f"{ask.method}\n{ask.path}\n\n{named}\n{signed}\n{digest}".encode()).hexdigest()
        scope = f"{self._day}/us-east-1/{ask.service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}"
        signature = hmac.digest(self._signing(ask.service), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{ask.method} {ask.path} HTTP/1.1\r\n{lines}content-length: {len(ask.body)}\r\n\r\n"
        self._writer.write(head.encode() + ask.body)
        told = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        answer = await self._reader.readexactly(int(told.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        if not told.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{ask}: {told!r} {answer[:500]!r}")
        if b"connection: close" in told:
            await self.open()
        return answer


async def _side_by_side(running: _peers.Running, make: Callable[[int, int], Ask]) -> float:
    """Requests a second of all connections together; ``make`` gets the number of the connection and of the request."""
    connections = [await Connection(running).open() for _ in range(CONNECTIONS)]

    async def work(worker: int) -> None:
        for number in range(EACH):
            await connections[worker](make(worker, number))

    began = time.perf_counter()
    await asyncio.gather(*(work(worker) for worker in range(CONNECTIONS)))
    took = time.perf_counter() - began
    for each in connections:
        each.close()
    return CONNECTIONS * EACH / took


def _item(operation: str, **request: object) -> Ask:
    body = json.dumps({"TableName": "bench", **request}).encode()
    return Ask("dynamodb", "POST", "/", body, f"DynamoDB_20120810.{operation}")


async def _prepare(running: _peers.Running) -> None:
    connection = await Connection(running).open()
    await connection(Ask("s3", "PUT", "/bench"))
    keys = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    await connection(_item("CreateTable", **keys, AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}]))
    connection.close()


WORK: dict[str, Callable[[int, int], Ask]] = {
    "objects of 64 KiB put": lambda worker, number: Ask("s3", "PUT", f"/bench/{worker}-{number}", BODY),
    "objects of 64 KiB read": lambda worker, number: Ask("s3", "GET", f"/bench/{worker}-{number}"),
    "items put": lambda worker, number: _item(
        "PutItem", Item={"id": {"S": f"{worker}-{number}"}, "v": {"S": "x" * 200}}
    ),
    "items read": lambda worker, number: _item("GetItem", Key={"id": {"S": f"{worker}-{number}"}}),
}


def main() -> None:
    promises = {name: Promise(f"{name}, 8 connections", "/s", ">= 0.5", "moto_server") for name in WORK}
    with _peers.havre() as havre, _peers.moto() as moto:
        for each in (havre, moto):
            asyncio.run(_prepare(each))
        for name, make in WORK.items():
            measure: Callable[[_peers.Running], Awaitable[float]] = lambda of, make=make: _side_by_side(of, make)  # noqa: E731
            promises[name].run(
                lambda measure=measure: asyncio.run(measure(havre)),
                lambda measure=measure: asyncio.run(measure(moto)),
                rounds=rounds(5),
            )
    finish(*promises.values())


if __name__ == "__main__":
    sys.exit(main())
