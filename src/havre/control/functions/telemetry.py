"""The Telemetry API and the Logs API before it: extensions get what happens as batches over HTTP, inside their sandbox."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from havre.control.functions.api import Exchange
from havre.control.functions.extensions import refuse
from havre.control.functions.lines import EventLog, iso
from havre.control.tasks import Tasks

log = logging.getLogger("havre.functions")

LOGS_API = "2020-08-15"
_SCHEMAS = {LOGS_API: ("2020-08-15", "2021-03-18"), "2022-07-01": ("2022-07-01", "2022-12-13", "2025-01-29")}
_TYPES = ("platform", "function", "extension")
_OLD_EVENTS = frozenset(
    f"platform.{what}"
    for what in ("start", "end", "report", "runtimeDone", "extension", "logsSubscription", "logsDropped")
)
"""The platform's events that the Logs API knows; the Telemetry API knows no ``platform.end``."""
_BOUNDS = {
    "maxItems": (1000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1000),
}
"""Smallest, largest, and what holds where nothing is said."""
_HOSTS = ("sandbox.localdomain", "sandbox", "127.0.0.1", "localhost")
_PATIENCE = 2.0
_MOST_WAITING = 8 << 20
"""Bytes that wait for an extension that does not take them; what comes then is dropped, and said to be."""

Dial = Callable[[], Awaitable[socket.socket]]
"""A TCP socket in the sandbox's network, not connected yet. Raises OSError."""


class Wanted(msgspec.Struct, frozen=True):
    """A subscription, checked. ``old``: by the Logs API."""

    name: str
    types: tuple[str, ...]
    port: int
    path: str
    items: int
    size: int
    timeout: float
    old: bool


class Telemetry:
    """Of one environment. Whoever subscribes hears of the init phase from its beginning."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._subscribers: dict[str, Subscriber] = {}
        self._past: list[tuple[float, str, Any]] = []
        self._closed = False
        log.listener = self

    def subscribe(self, exchange: Exchange, version: str, name: str, dial: Dial) -> None:
        """Raises nothing: the exchange is answered."""
        if self._closed:
            what = "Logs" if version == LOGS_API else "Telemetry"
            refuse(exchange, f"{what}.SubscriptionClosed", f"{what} API subscription is closed already")
            return
        try:
            wanted = parse(exchange.body, version, name)
        except ValueError as error:
            refuse(exchange, "ValidationError", str(error), 400)
            return
        if (before := self._subscribers.pop(name, None)) is not None:
            before.close()
        subscriber = self._subscribers[name] = Subscriber(wanted, dial)
        for event in self._past:
            subscriber.take(*event)
        kind = "logsSubscription" if wanted.old else "telemetrySubscription"
        record = {"name": name, "state": "Subscribed", "types": list(wanted.types)}
        self._log.platform(f"platform.{kind}", record)
        exchange.answer(200, b'"OK"')

    def freeze_subscriptions(self) -> None:
        """The init phase is over: nobody subscribes any more. Without subscribers nothing is listened to."""
        self._closed = True
        self._past.clear()
        if not self._subscribers:
            self._log.listener = None

    def event(self, at: float, kind: str, record: Any) -> None:
        if not self._closed and len(self._past) < _BOUNDS["maxItems"][0]:
            self._past.append((at, kind, record))
        for subscriber in self._subscribers.values():
            subscriber.take(at, kind, record)

    async def drain(self) -> None:
        """What waits goes out, if it is taken soon."""
        if self._subscribers:
            await asyncio.gather(*(s.drain() for s in self._subscribers.values()))

    def close(self) -> None:
        self._log.listener = None
        for subscriber in self._subscribers.values():
            subscriber.close()
        self._subscribers.clear()


class Subscriber:
    def __init__(self, wanted: Wanted, dial: Dial) -> None:
        self._wanted = wanted
        self._dial = dial
        self._batch: list[bytes] = []
        self._size = 0
        self._dropped = (0, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._turn = asyncio.Lock()
        self._waiting = 0

    def take(self, at: float, kind: str, record: Any) -> None:
        wanted = self._wanted
        if kind.partition(".")[0] not in wanted.types or not _concerns(kind, wanted.old):
            return
        if self._waiting + self._size > _MOST_WAITING:
            self._dropped = (self._dropped[0] + 1, self._dropped[1] + len(str(record)))
            return
        self._add(at, kind, record)

    def _add(self, at: float, kind: str, record: Any) -> None:
        event = json.dumps({"time": iso(at), "type": kind, "record": record}, separators=(",", ":")).encode()
        self._batch.append(event)
        self._size += len(event) + 1
        if len(self._batch) >= self._wanted.items or self._size >= self._wanted.size:
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._wanted.timeout, self._send)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._batch:
            return
        body = b"[" + b",".join(self._batch) + b"]"
        self._batch, self._size = [], 0
        self._waiting += len(body)
        self._tasks.spawn(self._deliver(body), "telemetry")

    async def _deliver(self, body: bytes) -> None:
        """One batch after the other; one that is not taken is tried no more, as in AWS."""
        async with self._turn:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._post(body)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                log.debug("telemetry for %s is lost: %s", self._wanted.name, error or type(error).__name__)
            finally:
                self._waiting -= len(body)
        if self._dropped[0]:
            (records, size), self._dropped = self._dropped, (0, 0)
            record = {"droppedRecords": records, "droppedBytes": size, "reason": "the consumer is too slow"}
            self._add(0.0, "platform.logsDropped", record)

    async def _post(self, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        plain = await self._dial()
        try:
            await loop.sock_connect(plain, ("127.0.0.1", self._wanted.port))
            head = (
                f"POST {self._wanted.path} HTTP/1.1\r\nHost: sandbox.localdomain:{self._wanted.port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            await loop.sock_sendall(plain, head.encode() + body)
            await loop.sock_recv(plain, 1024)
        finally:
            plain.close()

    async def drain(self) -> None:
        self._send()
        await self._tasks.settle()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _concerns(kind: str, old: bool) -> bool:
    if not kind.startswith("platform."):
        return True
    return kind in _OLD_EVENTS if old else kind not in ("platform.end", "platform.logsSubscription")


def parse(body: bytes, version: str, name: str) -> Wanted:
    """Raises ValueError in words."""
    try:
        given = json.loads(body)
    except ValueError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(given, dict):
        raise ValueError("the body is not an object")
    schema = given.get("schemaVersion", LOGS_API if version == LOGS_API else None)
    if schema not in _SCHEMAS[version]:
        raise ValueError(f"schemaVersion is not one of {', '.join(_SCHEMAS[version])}")
    types = given.get("types")
    if not isinstance(types, list) or not types or any(t not in _TYPES for t in types):
        raise ValueError(f"types is not a list of {', '.join(_TYPES)}")
    port, path = _destination(given.get("destination"))
    numbers = _buffering(given.get("buffering") or {})
    return Wanted(
        name,
        tuple(types),
        port,
        path,
        numbers["maxItems"],
        numbers["maxBytes"],
        numbers["timeoutMs"] / 1000,
        version == LOGS_API,
    )


def _destination(given: Any) -> tuple[int, str]:
    if not isinstance(given, Mapping) or given.get("protocol") not in ("HTTP", "TCP"):
        raise ValueError("destination.protocol is not HTTP or TCP")
    if given["protocol"] == "TCP":
        raise ValueError("Havre delivers telemetry over HTTP only: destination.protocol TCP is not implemented")
    if given.get("method", "POST") != "POST":
        raise ValueError("destination.method: Havre delivers by POST only")
    try:
        url = urlsplit(given.get("URI") or "")
        host, port = url.hostname, url.port
    except (ValueError, TypeError, AttributeError):
        raise ValueError("destination.URI is not a URI") from None
    if url.scheme != "http" or host not in _HOSTS:
        raise ValueError("destination.URI is not of the form http://sandbox.localdomain:<port>")
    if port == 9001:
        raise ValueError("destination.URI: port 9001 is the Runtime API's")
    return port or 80, (url.path or "/") + (f"?{url.query}" if url.query else "")


def _buffering(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise ValueError("buffering is not an object")
    found = {}
    for name, (least, most, usual) in _BOUNDS.items():
        value = given.get(name, usual)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"buffering.{name} is not between {least} and {most}")
        found[name] = value
    return found
