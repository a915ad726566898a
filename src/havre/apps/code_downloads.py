"""``/_havre/functions/<digest>``: archives of functions and layers, for who has a link that the API gave out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from havre.apps.internal import parameters, respond
from havre.control.functions import sealed_archives
from havre.kernel.errors import Gone
from havre.services.lambda_ import Facilities, downloads

PIECE = 1 << 18


class Downloads:
    """The link's signature says that its holder may have the code, until a time that it names."""

    def __init__(self, facilities: Facilities, now: Callable[[], float]) -> None:
        self._facilities = facilities
        self._now = now

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, {"message": "use GET"})
            return
        digest, query = scope["path"].rpartition("/")[2], parameters(scope["query_string"])
        secret = self._facilities.secret
        if not downloads.allowed(secret, digest, query, self._now()):
            await respond(send, 403, {"message": "this link is not valid, or not any more"})
            return
        try:
            path = self._facilities.open_code().path(digest)
        except Gone as gone:
            await respond(send, 404, {"message": str(gone)})
            return
        if "Key" in query:
            await _open(scope, send, path, query, secret)
        else:
            await _answer(scope, send, path, path.stat().st_size)


async def _open(scope: Any, send: Any, path: Path, query: Mapping[str, str], secret: bytes) -> None:
    """One that lies encrypted, by the key in its link."""
    try:
        key = downloads.unwrapped(secret, path.name, query)
        data = await asyncio.to_thread(sealed_archives.opened, path, key)
    except ValueError:
        await respond(send, 403, {"message": "this link is not valid, or not any more"})
        return
    headers = [(b"content-type", b"application/zip"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else data})


async def _answer(scope: Any, send: Any, path: Path, size: int) -> None:
    headers = [(b"content-type", b"application/zip"), (b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["method"] == "HEAD" or not size:
        await send({"type": "http.response.body", "body": b""})
        return
    async for piece, more in _pieces(path, size):
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _pieces(path: Path, size: int) -> AsyncIterator[tuple[bytes, bool]]:
    """Read beside the loop: the file may have to come from the disk first."""
    with path.open("rb") as file:
        while size:
            piece = await asyncio.to_thread(file.read, min(size, PIECE))
            if not piece:
                raise OSError(f"{path} has become shorter")
            size -= len(piece)
            yield piece, size > 0
