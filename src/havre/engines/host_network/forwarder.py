"""Questions that a VPC's DNS server passes on: to the machine's own resolvers, one after the other."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from havre.engines.host_network import names as dns

RESOLV = Path("/etc/resolv.conf")
TIMEOUT = 5.0
PATIENCE = 2.0
"""Seconds that a resolver has while there is another one to ask."""
UNDER_WAY = 1024
"""Questions to others at a time; more are answered with a failure."""
SERVERS = 3
"""As many as the C library reads."""
MOST_BYTES = 65_535

Done = Callable[[bytes | None], None]


def upstreams(text: str) -> list[str]:
    """The resolvers that resolv.conf names."""
    lines = (line.split() for line in text.splitlines())
    found = (words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    return list(dict.fromkeys(found))[:SERVERS]


class _Asked(NamedTuple):
    message: bytes
    done: Done
    server: str
    others: Sequence[str]
    timer: asyncio.TimerHandle


class Forwarder:
    """Of all VPCs, over one socket a resolver; ids that nobody can guess tell whose answer it is. resolv.conf is read
    again when it has changed: laptops move."""

    def __init__(self, resolv: Path | None = None) -> None:
        self._resolv = resolv or RESOLV
        self._read: tuple[int, list[str]] = (-1, [])
        self._sockets: dict[str, socket.socket] = {}
        self._pending: dict[int, _Asked] = {}

    def servers(self) -> list[str]:
        """Empty when the machine has none."""
        try:
            changed = self._resolv.stat().st_mtime_ns
            if changed != self._read[0]:
                self._read = (changed, upstreams(self._resolv.read_text(errors="replace")))
        except OSError:
            return []
        return self._read[1]

    def ask(self, message: bytes, done: Done) -> None:
        """``done`` gets the answer, or None when there is none in time."""
        if len(self._pending) >= UNDER_WAY:
            done(None)
        else:
            self._try(message, done, self.servers())

    def _try(self, message: bytes, done: Done, servers: Sequence[str]) -> None:
        for at, server in enumerate(servers):
            others = servers[at + 1 :]
            while (number := secrets.randbelow(1 << 16)) in self._pending:
                pass
            try:
                self._socket(server).send(dns.with_id(message, number))
            except OSError:
                continue
            timer = asyncio.get_running_loop().call_later(PATIENCE if others else TIMEOUT, self._late, number)
            self._pending[number] = _Asked(message, done, server, others, timer)
            return
        done(None)

    def _late(self, number: int) -> None:
        asked = self._pending.pop(number)
        self._try(asked.message, asked.done, asked.others)

    def _socket(self, server: str) -> socket.socket:
        """Raises OSError."""
        if server not in self._sockets:
            family, kind, protocol, _, address = socket.getaddrinfo(
                server, 53, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )[0]
            made = socket.socket(family, kind, protocol)
            try:
                made.setblocking(False)
                made.connect(address)
            except OSError:
                made.close()
                raise
            asyncio.get_running_loop().add_reader(made.fileno(), self._readable, server)
            self._sockets[server] = made
        return self._sockets[server]

    def _readable(self, server: str) -> None:
        try:
            while True:
                self._take(server, self._sockets[server].recv(MOST_BYTES))
        except BlockingIOError:
            return
        except OSError:  # nobody listens there: whoever waits for it need not
            for number, asked in list(self._pending.items()):
                if asked.server == server:
                    asked.timer.cancel()
                    self._late(number)

    def _take(self, server: str, data: bytes) -> None:
        number = dns.id_of(data)
        asked = self._pending.get(number)
        if asked is None or asked.server != server or len(data) < dns.HEADER_BYTES:
            return
        del self._pending[number]
        asked.timer.cancel()
        asked.done(dns.with_id(data, dns.id_of(asked.message)))

    def close(self) -> None:
        for made in self._sockets.values():
            asyncio.get_running_loop().remove_reader(made.fileno())
            made.close()
        self._sockets.clear()
        pending, self._pending = list(self._pending.values()), {}
        for asked in pending:
            asked.timer.cancel()
            asked.done(None)

    async def ask_by_stream(self, message: bytes) -> bytes | None:
        """The same over TCP, for long answers."""
        for server in self.servers():
            try:
                return await asyncio.wait_for(_stream(server, message), TIMEOUT)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                continue
        return None


async def _stream(server: str, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(size)
    finally:
        writer.close()
