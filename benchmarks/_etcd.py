"""etcd, and a gRPC client for it that costs little: HTTP/2 by hand, any number of requests under way.

Only what KV/Put and KV/Range need: headers are sent literally and those of answers are not read; a request has succeeded
when its answer's message came.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
_WINDOW = 1 << 30


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that is not put into the table, names and values without Huffman coding."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    size, length = len(value), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


class Etcd(asyncio.Protocol):
    """``put`` and ``get`` may run side by side."""

    def __init__(self, authority: str) -> None:
        self.authority = authority.encode()
        self.transport: Any = None
        self.stream = 1
        self.buffer = b""
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.heads: dict[bytes, bytes] = {}

    @classmethod
    async def connect(cls, port: int) -> Etcd:
        _, protocol = await asyncio.get_running_loop().create_connection(
            lambda: cls(f"127.0.0.1:{port}"), "127.0.0.1", port
        )
        return protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        settings = _frame(SETTINGS, 0, 0, struct.pack(">HI", 4, _WINDOW))
        window = _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW))
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + window)

    async def put(self, key: bytes, value: bytes) -> None:
        await self._call(b"/etcdserverpb.KV/Put", _field(1, key) + _field(2, value))

    async def get(self, key: bytes) -> bytes:
        """The whole answer; its last field is the value's key-value pair."""
        return await self._call(b"/etcdserverpb.KV/Range", _field(1, key))

    async def _call(self, path: bytes, message: bytes) -> bytes:
        stream, self.stream = self.stream, self.stream + 2
        head = self.heads.get(path)
        if head is None:
            fields = {
                b":method": b"POST",
                b":scheme": b"http",
                b":path": path,
                b":authority": self.authority,
                b"content-type": b"application/grpc",
                b"te": b"trailers",
            }
            head = self.heads[path] = b"".join(_literal(name, value) for name, value in fields.items())
        body = b"\0" + struct.pack(">I", len(message)) + message
        answer = self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.transport.write(_frame(HEADERS, END_HEADERS, stream, head) + _frame(DATA, END_STREAM, stream, body))
        return await answer

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data
        at = 0
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at < 9 + size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            self._take(kind, flags, stream, buffer[at + 9 : at + 9 + size])
            at += 9 + size
        self.buffer = buffer[at:]

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            if (future := self.waiting.pop(stream, None)) is not None:
                future.set_result(body[5:])
        elif kind == SETTINGS and not flags & ACK:
            self.transport.write(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self.transport.write(_frame(PING, ACK, 0, body))
        elif kind == GOAWAY:
            self._fail(RuntimeError(f"etcd ends the connection: {body[8:200]!r}"))
        elif stream in self.waiting and (kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM)):
            error = RuntimeError(f"etcd refused: {body[:200]!r}")  # the end of a stream without a message
            self.waiting.pop(stream).set_exception(error)

    def _fail(self, error: Exception) -> None:
        for future in self.waiting.values():
            future.set_exception(error)
        self.waiting.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("etcd hung up"))


@contextlib.contextmanager
def etcd() -> Iterator[int]:
    """Its client port. State on the disk on which Havre's is, everything else as it comes."""
    state = tempfile.mkdtemp(prefix="havre-bench-etcd-")
    ports = []
    with contextlib.ExitStack() as probes:
        for _ in range(2):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    command = ["etcd", "--data-dir", state, "--log-level", "error", "--initial-cluster", f"default={peer}"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path(state))
    try:
        _wait(process, ports[0])
        yield ports[0]
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(state)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    async def write() -> None:
        await (await Etcd.connect(port)).put(b"ready", b"yes")

    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, RuntimeError):
            asyncio.run(write())
            return
        time.sleep(0.05)
    raise RuntimeError("etcd does not answer")
