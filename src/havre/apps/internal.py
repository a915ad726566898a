"""``/_havre/…``: what an instance tells about itself. health is for everyone, the rest wants the instance's token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from havre.gateway.pages import from_here

Answerer = Callable[[Mapping[str, str]], Awaitable[tuple[int, Any]]]
"""Query parameters → status and what to answer as JSON."""


class Page:
    """One path as an ASGI application. ``token`` "" lets everyone in."""

    def __init__(self, answerer: Answerer, *, method: str = "GET", token: str = "") -> None:
        self._answerer = answerer
        self._method = method
        self._token = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        head = scope["method"] == "HEAD" and self._method == "GET"
        if scope["method"] != self._method and not head:
            await respond(send, 405, {"message": f"use {self._method}"})
        elif self._method != "GET" and not from_here(_header(scope, b"origin").decode("latin-1")):
            await respond(send, 403, {"message": "pages of other sites may not do this"})
        elif self._token and not hmac.compare_digest(_header(scope, b"authorization"), self._token):
            await respond(send, 403, {"message": "this wants the instance's own token"})
        else:
            status, answer = await self._answerer(parameters(scope["query_string"]))
            await respond(send, status, answer, head)


def _header(scope: Any, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


def parameters(query: bytes) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(query.decode("latin-1")))


async def respond(send: Any, status: int, answer: Any, head: bool = False) -> None:
    body = msgspec.json.encode(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
