"""HTTP over ASGI for those who take a request whole and answer it whole: function URLs, HTTP APIs, target groups."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.core.http_events import Asked, HttpAnswer


def plain(status: int, body: dict[str, Any], *more: tuple[str, str]) -> HttpAnswer:
    return HttpAnswer(status, (("content-type", "application/json"), *more), msgspec.json.encode(body))


def as_asked(scope: Any, body: bytes, now: float) -> Asked:
    headers = tuple((n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"])
    raw = scope.get("raw_path")
    return Asked(
        scope["method"],
        raw.decode("latin-1") if raw else scope["path"],
        scope["query_string"].decode("latin-1"),
        headers,
        body,
        (scope.get("client") or ("",))[0],
        now,
        next((value for name, value in headers if name == "host"), ""),
        f"HTTP/{scope.get('http_version', '1.1')}",
        scheme=scope.get("scheme", "http"),
    )


async def read(receive: Any, most: int) -> bytes | None:
    """None when it is larger; it is read to its end then, so that the client gets to hear it."""
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        piece = message.get("body", b"")
        size += len(piece)
        if size <= most:
            pieces.append(piece)
        more = message.get("more_body", False)
    return b"".join(pieces) if size <= most else None


async def send(send_: Any, answer: HttpAnswer, head: bool) -> None:
    """``head``: the request was a HEAD, which gets no body."""
    skipped = (b"content-length", b"transfer-encoding", b"connection")
    headers = [(n.encode("latin-1", "replace"), v.encode("latin-1", "replace")) for n, v in answer.headers]
    headers = [each for each in headers if each[0] not in skipped]
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send_({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send_({"type": "http.response.body", "body": b"" if head else answer.body})
