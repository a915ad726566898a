"""Blobs: HEAD, GET (whole or a range), DELETE."""

from __future__ import annotations

import os
import re

from havre.control.images import Layer
from havre.control.images.changes import layer, remove_layer, repository
from havre.core.images.names import is_digest
from havre.dataplanes.registry.blobs import SMALL, Blobs
from havre.dataplanes.registry.errors import OciError, blob_unknown, digest_invalid, unsupported
from havre.dataplanes.registry.exchange import Exchange
from havre.dataplanes.registry.gate import Gate
from havre.dataplanes.registry.sweep import Touched
from havre.kernel.errors import Gone
from havre.store.ports import Store

INLINE = 64 * 1024
"""Blobs up to this size are read on the loop: they are most likely in the page cache."""
PIECE = 1 << 20
"""Bytes that a worker reads at a time, one piece ahead of what is being sent."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Pulls:
    def __init__(self, store: Store, blobs: Blobs, gate: Gate, touched: Touched) -> None:
        self._store = store
        self._blobs = blobs
        self._gate = gate
        self._touched = touched

    async def blob(self, exchange: Exchange, digest: str) -> None:
        """``/v2/<name>/blobs/<digest>``"""
        if exchange.method == "DELETE":
            await self._delete(exchange, digest)
            return
        if exchange.method not in ("GET", "HEAD"):
            raise unsupported(exchange.method)
        if not self._gate.opens(exchange, digest):
            self._gate.identify(exchange)
            head = exchange.method == "HEAD"
            await self._gate.allow(
                exchange, "ecr:BatchCheckLayerAvailability" if head else "ecr:GetDownloadUrlForLayer"
            )
        repository(self._store, exchange.place)
        if not is_digest(digest):
            raise digest_invalid(digest)
        found = layer(self._store, exchange.place, digest)
        if found is None:
            raise blob_unknown(digest)
        self._touched.note(exchange.place, digest)
        headers = {
            "content-type": "application/octet-stream",
            "docker-content-digest": digest,
            "etag": f'"{digest}"',
            "accept-ranges": "bytes",
            "cache-control": "max-age=31536000",
        }
        if exchange.header(b"if-none-match") == headers["etag"]:
            await exchange.answer(304, headers | {"content-length": "0"})
        elif exchange.method == "HEAD":
            await exchange.answer(200, headers | {"content-length": str(found.spec.size)})
        else:
            await self._send(exchange, found, headers)

    async def _send(self, exchange: Exchange, found: Layer, headers: dict[str, str]) -> None:
        size = found.spec.size
        wanted = _range(exchange.header(b"range"), size)
        start, end = wanted or (0, size)
        status = 206 if wanted else 200
        if wanted:
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        headers["content-length"] = str(end - start)
        if size <= SMALL and (content := self._blobs.small(found.spec.digest)) is not None:
            await exchange.answer(status, headers, content[start:end])
            return
        try:
            file = self._blobs.open(found.spec.digest)
        except Gone:
            raise blob_unknown(found.spec.digest) from None
        try:
            if end - start <= INLINE:
                await exchange.answer(status, headers, os.pread(file, end - start, start))
            else:
                await exchange.begin(status, [(k.encode(), v.encode()) for k, v in headers.items()])
                if exchange.sends_files:
                    await exchange.send_file(file, start, end - start)
                else:
                    await self._stream(exchange, file, start, end)
        finally:
            os.close(file)

    async def _stream(self, exchange: Exchange, file: int, start: int, end: int) -> None:
        ahead = self._blobs.submit(os.pread, file, min(PIECE, end - start), start)
        try:
            while start < end:
                piece = await ahead
                if not piece:
                    raise OSError(f"a blob is shorter than its record says: {end - start} bytes are missing")
                start += len(piece)
                if start < end:
                    ahead = self._blobs.submit(os.pread, file, min(PIECE, end - start), start)
                await exchange.write(piece, start < end)
        finally:
            await ahead  # the descriptor must stay open while a worker reads from it

    async def _delete(self, exchange: Exchange, digest: str) -> None:
        self._gate.identify(exchange)
        await self._gate.allow(exchange, "ecr:BatchDeleteImage")
        repository(self._store, exchange.place)
        if not is_digest(digest):
            raise digest_invalid(digest)
        if not await self._store.transact(lambda change: remove_layer(change, exchange.place, digest)):
            raise blob_unknown(digest)
        await exchange.answer(202, {})


def _range(text: str, size: int) -> tuple[int, int] | None:
    """(start, end) of a single range; None for the whole, also where the header asks for what cannot be understood or for
    several ranges, as RFC 9110 allows. Raises OciError 416."""
    found = _RANGE.fullmatch(text) if text else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if start >= end:
        headers = {b"content-range": b"bytes */%d" % size}
        raise OciError(416, "RANGE_INVALID", "The range cannot be satisfied", None, headers)
    return start, end
