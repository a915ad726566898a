"""The DNS server of a VPC, by UDP and TCP: its own names at once, others from the machine's resolvers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from havre.engines.host_network import names as dns

RESOLV = Path("/etc/resolv.conf")
TIMEOUT = 5.0
UNDER_WAY = 1024
"""Questions to others at a time; more are answered with a failure."""
MOST_BYTES = 65_535
CONNECTIONS = 128

NamesOf = Callable[[], tuple[dns.Names, bool]]
"""What the VPC knows now, and whether others may be asked."""


def upstream() -> str:
    """The machine's first resolver; "" when it has none."""
    try:
        lines = RESOLV.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    servers = (line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1)
    return next((s for s in servers if ":" not in s), "")


class Forwarder(asyncio.DatagramProtocol):
    """Questions for others, from all VPCs, over one socket at a time: ids tell whose answer it is."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._server = ""
        self._pending: dict[int, tuple[int, Callable[[bytes | None], None], asyncio.TimerHandle]] = {}
        self._next = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        if len(data) < 12:
            return
        found = self._pending.pop(dns.id_of(data), None)
        if found is not None:
            id, done, timer = found
            timer.cancel()
            done(dns.with_id(data, id))

    async def open(self) -> bool:
        """Reads resolv.conf anew, so that the machine may change its resolver. False when there is none."""
        server = upstream()
        if not server:
            return False
        if server != self._server or self._transport is None or self._transport.is_closing():
            self.close()
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(server, 53))
            self._server = server
        return True

    def ask(self, message: bytes, done: Callable[[bytes | None], None]) -> None:
        """``done`` gets the answer, or None when there is none in time."""
        if self._transport is None or len(self._pending) >= UNDER_WAY:
            done(None)
            return
        while (number := self._next) in self._pending:
            self._next = (self._next + 1) & 0xFFFF
        self._next = (number + 1) & 0xFFFF
        timer = asyncio.get_running_loop().call_later(TIMEOUT, self._give_up, number)
        self._pending[number] = (dns.id_of(message), done, timer)
        self._transport.sendto(dns.with_id(message, number))

    def _give_up(self, number: int) -> None:
        found = self._pending.pop(number, None)
        if found is not None:
            found[1](None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        for number in list(self._pending):
            self._pending[number][2].cancel()
            self._give_up(number)


class Server(asyncio.DatagramProtocol):
    """Of one VPC."""

    def __init__(self, names: NamesOf, forwarder: Forwarder) -> None:
        self._names = names
        self._forwarder = forwarder
        self._transports: list[asyncio.DatagramTransport] = []
        self._listeners: list[asyncio.Server] = []
        self._connections = 0

    async def serve(self, datagrams: list[socket.socket], streams: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        await self._forwarder.open()
        for each in datagrams:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self._answer), sock=each)
            self._transports.append(transport)
        for stream in streams:
            self._listeners.append(await asyncio.start_server(self._converse, sock=stream))

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        for listener in self._listeners:
            listener.close()

    def _answer(self, message: bytes, send: Callable[[bytes], None]) -> None:
        asked = dns.question(message)
        if asked is None:
            return
        names, abroad = self._names()
        own = dns.answer(asked, names)
        if own is not None:
            send(own)
        elif not abroad:
            send(dns.reply(asked, dns.NO_NAME))
        else:
            self._forwarder.ask(message, lambda a: send(a if a is not None else dns.reply(asked, dns.SERVER_FAILURE)))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions over one connection, one after the other; each has its length before it."""
        self._connections += 1
        try:
            while self._connections <= CONNECTIONS:
                size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), TIMEOUT), "big")
                message = await asyncio.wait_for(reader.readexactly(size), TIMEOUT)
                said = await self._stream_answer(message)
                if said is None:
                    return
                writer.write(len(said).to_bytes(2, "big") + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        finally:
            self._connections -= 1
            writer.close()

    async def _stream_answer(self, message: bytes) -> bytes | None:
        asked = dns.question(message)
        if asked is None:
            return None
        names, abroad = self._names()
        own = dns.answer(asked, names)
        if own is not None:
            return own
        if not abroad:
            return dns.reply(asked, dns.NO_NAME)
        try:
            return await asyncio.wait_for(_ask_by_stream(message), TIMEOUT)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return dns.reply(asked, dns.SERVER_FAILURE)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes, Callable[[bytes], None]], None]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: object) -> None:
        def send(reply: bytes) -> None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(reply, addr)  # type: ignore[arg-type]

        self._answer(data, send)


async def _ask_by_stream(message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(upstream(), 53)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(size)
    finally:
        writer.close()
