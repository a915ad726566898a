"""One request and its answer, a thin coat over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from havre.control.images import Place
from havre.control.operation import Principal
from havre.dataplanes.registry.errors import OciError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ANONYMOUS = Principal("Anonymous", "", "", "")
_VERSION = (b"docker-distribution-api-version", b"registry/2.0")
_QUERY_LIMIT = 100
_encode = msgspec.json.Encoder().encode


class Disconnected(Exception):
    """The client went away before all of the body had come."""


class Exchange:
    __slots__ = (
        "_more", "_receive", "_send", "headers", "method", "path", "place", "principal", "query", "scope", "started",
    )  # fmt: skip

    def __init__(
        self, scope: Mapping[str, Any], headers: dict[bytes, bytes], receive: Receive, send: Send, place: Place
    ) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._more = True
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = headers
        raw = scope["query_string"]
        self.query: list[tuple[str, str]] = (
            parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_LIMIT) if raw else []
        )
        self.place = place
        self.principal = ANONYMOUS
        self.started = False

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def parameter(self, name: str) -> str:
        return next((v for k, v in self.query if k == name), "")

    def parameters(self, name: str) -> list[str]:
        return [v for k, v in self.query if k == name]

    @property
    def source_ip(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""

    async def chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """(piece, whether more follow). Raises Disconnected."""
        while self._more:
            yield await self._piece(), self._more

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise Disconnected
        self._more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def drain(self, limit: int) -> None:
        """Read what is left of the body, at most ``limit`` bytes, and throw it away."""
        try:
            async for piece, _ in self.chunks():
                limit -= len(piece)
                if limit < 0:
                    return
        except Disconnected:
            return

    async def body(self, limit: int) -> bytes | None:
        """The whole body; None when it is longer than ``limit``. Raises Disconnected."""
        pieces, size = [], 0
        while self._more:
            piece = await self._piece()
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        headers.append(_VERSION)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    @property
    def sends_files(self) -> bool:
        """Whether ``send_file`` works."""
        return "http.response.zerocopysend" in (self.scope.get("extensions") or {})

    async def send_file(self, file: int, start: int, count: int) -> None:
        """The rest of the answer: ``count`` bytes of an open file."""
        message = {"type": "http.response.zerocopysend", "file": file, "offset": start, "count": count}
        await self._send(message)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """``content-length`` is set from ``body`` unless ``headers`` tell it (HEAD)."""
        lines = [(k.encode("ascii"), v.encode("latin-1")) for k, v in headers.items()]
        if "content-length" not in headers and status != 204:
            lines.append((b"content-length", b"%d" % len(body)))
        await self.begin(status, lines)
        await self.write(b"" if self.method == "HEAD" else body, False)

    async def answer_json(self, value: Any, headers: Mapping[str, str] | None = None) -> None:
        await self.answer(200, {"content-type": "application/json", **(headers or {})}, _encode(value))

    async def refuse(self, error: OciError) -> None:
        item = {"code": error.code, "message": error.message}
        if error.detail is not None:
            item["detail"] = error.detail
        headers = {"content-type": "application/json; charset=utf-8"}
        headers |= {k.decode(): v.decode("latin-1") for k, v in error.headers.items()}
        await self.answer(error.status, headers, _encode({"errors": [item]}))
