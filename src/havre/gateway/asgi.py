"""The front: ASGI in, ASGI out. Sizes are bounded here, before anything is read."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from havre.gateway import limits
from havre.gateway.context import Context
from havre.gateway.faults import unknown_key
from havre.gateway.ports import Asgi, Receive, Scope, Send
from havre.gateway.refusals import refusal
from havre.gateway.sigv4 import Canonical
from havre.kernel.errors import Temporary
from havre.wire.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from havre.gateway.app import Gateway

INTERNAL, REGISTRY = "/_havre/", "/v2/"
BODY, ANSWER = "havre.body", "havre.answer"
"""What our own HTTP server puts into a scope: the body, if it is there already, and a way to answer in one go."""
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}").fullmatch
MOST_HOSTS, LONGEST_HOST = 1_024, 255


class ClientGone(Exception):
    """The client hung up in the middle of its request: there is nobody to answer."""


class Front:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._internal = gateway.parts.internal
        self._registry = gateway.parts.registry
        self._hosts = gateway.parts.hosts
        self._seen: dict[str, tuple[Asgi | None, str]] = {}
        """Host header → who answers for it, and what URLs may call it: "" for what is no host name."""

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            channels = self._sockets(scope)
            await (channels or _other)(scope, receive, send)
            return
        path: str = scope["path"]
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        named, plain = self._seen.get(host) or self._look_at(host)
        if named is not None:
            await named(scope, receive, send)
        elif path.startswith(INTERNAL):
            await self._find_internal(path)(scope, receive, send)
        elif self._registry is not None and (path.startswith(REGISTRY) or path == "/v2") and not _signed(scope):
            await self._registry(scope, receive, send)
        else:
            await self._aws(scope, receive, send, plain)

    def _sockets(self, scope: Scope) -> Asgi | None:
        """Who serves this WebSocket."""
        if scope["type"] != "websocket":
            return None
        found = (app for prefix, app in self._gateway.parts.sockets.items() if scope["path"].startswith(prefix))
        return next(found, None)

    def _look_at(self, host: str) -> tuple[Asgi | None, str]:
        """What the request's host name alone decides on; clients say the same one again and again."""
        labels = host.lower().split(".", 2)
        found = self._hosts.get(labels[1]) if len(labels) == 3 else None, host if _HOST(host) else ""
        if len(host) <= LONGEST_HOST:
            if len(self._seen) >= MOST_HOSTS:
                self._seen.clear()
            self._seen[host] = found
        return found

    def _find_internal(self, path: str) -> Asgi:
        """The longest registered path that this one is, or lies below."""
        where = path.rstrip("/")
        while where and where != INTERNAL.rstrip("/"):
            app = self._internal.get(where)
            if app is not None:
                return app
            where = where.rpartition("/")[0]
        return _not_found

    async def _aws(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        headers = _headers(scope["headers"])
        client = scope.get("client")
        context = self._gateway.context(client[0] if client else "", headers.get("user-agent", "")[:1024])
        context.secure = scope.get("scheme") == "https"
        context.trace = headers.get("x-amzn-trace-id", "")
        raw = scope.get("raw_path")
        path = raw.decode("latin-1") if raw else scope["path"]
        canonical = Canonical(scope["method"], path, scope["query_string"].decode("latin-1"), headers)
        request = HttpRequest(canonical.method, path, canonical.query, headers)
        context.http = canonical
        if request.method == "OPTIONS" and await self._asked_before(request, send):
            return
        try:
            if len(path) + len(canonical.query) > limits.URL:
                raise limits.url_too_long()
            claimed = context.claimed = self._gateway.claim(canonical)
            limit = limits.body_limit(claimed.service if claimed is not None else "")
            if limit > limits.DEFAULT and not self._gateway.knows(claimed):
                await _drain(receive)  # much is kept in memory only for those who have a key
                raise unknown_key()
            take = scope.get(BODY)
            body = take() if take is not None else None
            if body is None:
                body = await _read(receive, headers, limit)
            elif len(body) > limit:
                raise limits.too_large(limit)
        except ClientGone:
            return
        except Exception as fault:
            response = self._refuse(context, request, fault)
        else:
            context.hung_up = partial(_hung_up, receive)
            context.origin = f"{scope.get('scheme', 'http')}://{host}" if host else ""
            response = await self._gateway.serve(context, request, body)
        answer, whole = scope.get(ANSWER), response.body
        if answer is None or not isinstance(whole, bytes) or not answer(response.status, response.headers, whole):
            await _answer(send, response, request.method == "HEAD")

    async def _asked_before(self, request: HttpRequest, send: Send) -> bool:
        """Whether this was a browser's question before its request, and has been answered."""
        ask = self._gateway.parts.preflight
        if ask is None or "access-control-request-method" not in request.headers:
            return False
        try:
            response = await ask(request)
        except Temporary:
            response = HttpResponse(503, [])
        if response is not None:
            await _answer(send, response, False)
        return response is not None

    def _refuse(self, context: Context, request: HttpRequest, fault: Exception) -> HttpResponse:
        """An answer to what was not even read."""
        parts = self._gateway.parts
        return refusal(parts.models, parts.services, request, fault, context.request_id)


def _signed(scope: Scope) -> bool:
    return any(n == b"authorization" and v.startswith(b"AWS4-HMAC-SHA256") for n, v in scope["headers"])


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names are in lower case already; repeated ones are joined. The server bounds their size."""
    headers = {name.decode("latin-1"): value.decode("utf-8", "surrogateescape") for name, value in raw}
    if len(headers) != len(raw):
        headers = {}
        for name, value in raw:
            key, text = name.decode("latin-1"), value.decode("utf-8", "surrogateescape")
            headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


async def _read(receive: Receive, headers: dict[str, str], limit: int) -> bytes:
    said = headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        await _drain(receive)
        raise limits.too_large(limit)
    message = await receive()
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body = message.get("body", b"")
        size += len(body)
        if size > limit:
            if message.get("more_body"):
                await _drain(receive)
            raise limits.too_large(limit)
        if not message.get("more_body"):
            return b"".join([*pieces, body]) if pieces else body
        pieces.append(body)
        message = await receive()


async def _hung_up(receive: Receive) -> None:
    """Returns when the client has gone. The request has been read to its end."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drain(receive: Receive) -> None:
    """Read and throw away, so that the client gets to hear why. One that does not stop, or sends nothing, is cut off."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limits.DRAIN_PATIENCE):
            size = 0
            while size < limits.DRAINED:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


async def _answer(send: Send, response: HttpResponse, head: bool) -> None:
    body = response.body
    headers = [(n.lower().encode("latin-1"), v.encode("utf-8")) for n, v in response.headers]
    if isinstance(body, bytes | bytearray):
        if not (head and any(n == b"content-length" for n, _ in headers)):  # S3 tells how long what GET would bring is
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})
        return
    await _stream(send, {"type": "http.response.start", "status": response.status, "headers": headers}, body)


async def _stream(send: Send, start: dict[str, Any], body: AsyncIterator[bytes]) -> None:
    """What makes the body hears at once when the client has gone: ``send`` raises, and the body is closed."""
    try:
        await send(start)
        async for piece in body:
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    await send({"type": "http.response.body", "body": b""})


async def _not_found(_scope: Scope, _receive: Receive, send: Send) -> None:
    body = b'{"message":"there is nothing here"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan events, which need nothing; WebSockets that nobody serves."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    answers: dict[Any, str] = {
        "lifespan.startup": "lifespan.startup.complete",
        "lifespan.shutdown": "lifespan.shutdown.complete",
    }
    while True:
        kind = (await receive())["type"]
        await send({"type": answers[kind]})
        if kind == "lifespan.shutdown":
            return
