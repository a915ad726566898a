"""The DNS server of a VPC, by UDP and TCP: its own names at once, others from the machine's resolvers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from havre.engines.host_network import names as dns
from havre.engines.host_network.forwarder import Forwarder

TIMEOUT = 10.0
"""Seconds that a connection may be silent."""
CONNECTIONS = 128

NamesOf = Callable[[], tuple[dns.Names, bool]]
"""What the VPC knows now, and whether others may be asked."""


class Server:
    """Of one VPC."""

    def __init__(self, names: NamesOf, forwarder: Forwarder) -> None:
        self._names = names
        self._forwarder = forwarder
        self._transports: list[asyncio.DatagramTransport] = []
        self._listeners: list[asyncio.Server] = []
        self._connections = 0

    async def serve(self, datagrams: list[socket.socket], streams: list[socket.socket]) -> None:
        """The sockets are its own from now on."""
        loop = asyncio.get_running_loop()
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
                if said is None or writer.is_closing():
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
        answered = await self._forwarder.ask_by_stream(message)
        return answered if answered is not None else dns.reply(asked, dns.SERVER_FAILURE)


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
