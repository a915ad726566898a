"""Messages through SQS, 8 connections: sent one by one and in tens, received in tens and deleted in tens.

Both get the same signed requests from the same client, which speaks HTTP over plain sockets. Havre checks the
signatures, decides by IAM, and answers when a message is on the disk; ministack keeps its messages in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

CONNECTIONS = 8
MESSAGES = 10_000
SINGLE = 4_000
BODY = json.dumps({"order": 12345, "items": ["a", "b", "c"], "note": "x" * 160})
Client = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Connection:
    """One connection that is kept; requests are signed anew each time, as a client has to."""

    def __init__(self, running: _peers.Running) -> None:
        self._host = urlsplit(running.endpoint).netloc
        self._key, secret = running.env["AWS_ACCESS_KEY_ID"], running.env["AWS_SECRET_ACCESS_KEY"]
        self._day = time.strftime("%Y%m%d", time.gmtime())
        key = f"AWS4{secret}".encode()
        for part in (self._day, "us-east-1", "sqs", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._signing = key

    async def open(self) -> Connection:
        host, _, port = self._host.partition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
        return self

    def close(self) -> None:
        self._writer.close()

    async def __call__(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(request).encode()
        now, target = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), f"AmazonSQS.{operation}"
        digest = hashlib.sha256(body).hexdigest()
        named = f"content-type:application/x-amz-json-1.0\nhost:{self._host}\nx-amz-date:{now}\nx-amz-target:{target}\n"
        signed = "content-type;host;x-amz-date;x-amz-target"
        canonical = hashlib.sha256(f"POST\n/\n\n{named}\n{signed}\n{digest}".encode()).hexdigest()
        scope = f"{self._day}/us-east-1/sqs/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{canonical}"
        signature = hmac.digest(self._signing, text.encode(), "sha256").hex()
        self._writer.write(
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Date: {now}\r\n"
            f"X-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={self._key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{operation}: {head!r} {answer!r}")
        return json.loads(answer) if answer else {}


async def _side_by_side(running: _peers.Running, work: Callable[[Client], Awaitable[int]]) -> float:
    """Messages a second of all connections together."""
    connections = [await Connection(running).open() for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    counts = await asyncio.gather(*(work(each) for each in connections))
    took = time.perf_counter() - began
    for each in connections:
        each.close()
    return sum(counts) / took


async def _send_single(client: Client, url: str) -> int:
    for _ in range(SINGLE // CONNECTIONS):
        await client("SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    return SINGLE // CONNECTIONS


async def _send_tens(client: Client, url: str, messages: int) -> int:
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
    for _ in range(messages // CONNECTIONS // 10):
        answer = await client("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        assert len(answer["Successful"]) == 10
    return messages // CONNECTIONS // 10 * 10


async def _drain(client: Client, url: str) -> int:
    count = 0
    while received := (await client("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10})).get("Messages"):
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(received)]
        answer = await client("DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})
        assert len(answer["Successful"]) == len(received)
        count += len(received)
    return count


async def _measure(running: _peers.Running) -> tuple[float, float, float]:
    client = await Connection(running).open()
    url = (await client("CreateQueue", {"QueueName": f"q{time.monotonic_ns()}"}))["QueueUrl"]
    single = await _side_by_side(running, lambda each: _send_single(each, url))
    tens = await _side_by_side(running, lambda each: _send_tens(each, url, MESSAGES - SINGLE))
    drained = await _side_by_side(running, lambda each: _drain(each, url))
    await client("DeleteQueue", {"QueueUrl": url})
    client.close()
    return single, tens, drained


def main() -> None:
    targets = {"SendMessage": 1, "SendMessageBatch of 10": 0.8, "ReceiveMessage and DeleteMessageBatch of 10": 5}
    promises = [
        Promise(f"{name}, 8 connections", "messages/s", f">= {at}", "ministack") for name, at in targets.items()
    ]
    with _peers.havre() as ours, _peers.ministack() as peer:
        for running in (ours, peer):
            asyncio.run(_measure(running))
        for _ in range(rounds(3)):
            for promise, mine, other in zip(
                promises, asyncio.run(_measure(ours)), asyncio.run(_measure(peer)), strict=True
            ):
                promise.add(mine, other)
    finish(*promises)


if __name__ == "__main__":
    sys.exit(main())
