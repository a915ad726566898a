"""Uploads: monolithic, chunked, streamed, resumed, mounted, cancelled."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from havre.control.images import LAYER, Place
from havre.control.images.changes import layer, link, repository
from havre.control.images.kinds import place_of
from havre.core.images.names import HASHES, algorithm, is_digest, is_repository
from havre.dataplanes.registry.blobs import Blobs
from havre.dataplanes.registry.errors import OciError, digest_invalid, unsupported
from havre.dataplanes.registry.exchange import Disconnected, Exchange
from havre.dataplanes.registry.gate import Gate
from havre.dataplanes.registry.heap import keep_what_is_freed
from havre.dataplanes.registry.upload import HELD, Upload
from havre.store.ports import Store, Transaction

INLINE = HELD
"""Bytes of a request's body that are taken in on the loop, most of them into memory; what follows is hashed and written by
a worker, so that a long upload leaves the loop to others while a short one is spared the way there and back."""
GATHER = 256 << 10
"""Bytes that are taken in on the loop at a time."""
PIECE = 1 << 20
"""Bytes that go to a worker at a time."""
SIZE_LIMIT = 52_000 * 1024 * 1024
"""Bytes of a layer, as in ECR."""
_MOUNT_TRIES = 20
"""Repositories that are asked for leave when a client mounts a blob without saying from where."""
_RANGE = re.compile(r"(?:bytes )?(\d+)-(\d+)(?:/(?:\d+|\*))?")


class Uploads:
    def __init__(self, store: Store, blobs: Blobs, gate: Gate) -> None:
        self._store = store
        self._blobs = blobs
        self._gate = gate

    async def collection(self, exchange: Exchange) -> None:
        """``/v2/<name>/blobs/uploads/``"""
        if exchange.method != "POST":
            raise unsupported(exchange.method)
        await self._gate.allow(exchange, "ecr:InitiateLayerUpload")
        repository(self._store, exchange.place)
        mount, digest = exchange.parameter("mount"), exchange.parameter("digest")
        for given in (mount, digest):
            if given and not is_digest(given):
                raise digest_invalid(given)
        if mount and await self._mounted(exchange, mount):
            await self._created(exchange, mount)
            return
        kind = algorithm(digest) if digest else exchange.parameter("digest-algorithm") or "sha256"
        if kind not in HASHES:
            raise OciError(400, "DIGEST_INVALID", f"The digest algorithm {kind[:50]!r} is not known")
        upload = self._blobs.begin(exchange.place, kind)
        if not digest:
            await self._state(exchange, upload, 202)
            return
        await self._gate.allow(exchange, "ecr:CompleteLayerUpload")
        async with self._blobs.claim(exchange.place, upload.id):
            try:
                await self._receive(exchange, upload)
            except Disconnected:
                await self._blobs.cancel(upload)  # nobody knows its id
                raise
            await self._complete(exchange, upload, digest)

    async def one(self, exchange: Exchange, id: str) -> None:
        """``/v2/<name>/blobs/uploads/<id>``"""
        action = "ecr:CompleteLayerUpload" if exchange.method == "PUT" else "ecr:UploadLayerPart"
        await self._gate.allow(exchange, action)
        repository(self._store, exchange.place)
        if exchange.method == "GET":
            await self._tell(exchange, id)
            return
        if exchange.method not in ("PATCH", "PUT", "DELETE"):
            raise unsupported(exchange.method)
        digest = exchange.parameter("digest")
        if exchange.method == "PUT" and not is_digest(digest):
            raise digest_invalid(digest)
        async with self._blobs.claim(exchange.place, id) as upload:
            if exchange.method == "DELETE":
                await self._blobs.cancel(upload)
                await exchange.answer(204, {})
                return
            self._check_range(exchange, upload)
            try:
                await self._receive(exchange, upload)
            except Disconnected:
                await self._blobs.retain(upload)  # it may go on from here, and takes no memory until it does
                raise
            if exchange.method == "PATCH":
                await self._blobs.retain(upload)
                await self._state(exchange, upload, 202)
            else:
                await self._complete(exchange, upload, digest)

    async def _tell(self, exchange: Exchange, id: str) -> None:
        upload = self._blobs.find(exchange.place, id)
        if not upload.lock.locked():
            async with self._blobs.claim(exchange.place, id) as upload:
                await self._blobs.retain(upload)
        await self._state(exchange, upload, 204)

    async def _receive(self, exchange: Exchange, upload: Upload) -> None:
        """Append the request's body: while one piece is hashed and written by a worker, the next one is received. What has
        come is kept when the client goes away, so that it can resume."""
        waiting: list[bytes] = []
        size, total, job = 0, 0, None
        start = upload.offset
        try:
            async for body, more in exchange.chunks():
                total += len(body)
                if start + total > SIZE_LIMIT:
                    raise OciError(413, "SIZE_INVALID", f"A layer has at most {SIZE_LIMIT} bytes")
                if body:
                    waiting.append(body)
                    size += len(body)
                if total <= INLINE:
                    if waiting and (size >= GATHER or not more):
                        keep_what_is_freed()
                        self._blobs.absorb(upload, waiting)
                        waiting, size = [], 0
                elif size >= PIECE and more:
                    if job is not None:
                        await job
                    job = self._absorb(upload, waiting)
                    waiting, size = [], 0
        finally:
            if job is not None:
                await job
            if waiting:
                await self._absorb(upload, waiting)

    def _absorb(self, upload: Upload, pieces: list[bytes]) -> asyncio.Future[None]:
        return self._blobs.submit(self._blobs.absorb, upload, pieces)

    def _check_range(self, exchange: Exchange, upload: Upload) -> None:
        """Raises OciError 416 when the chunk does not begin where the last one ended."""
        text = exchange.header(b"content-range")
        if not text:
            return
        found = _RANGE.fullmatch(text)
        if found is None:
            raise OciError(400, "BLOB_UPLOAD_INVALID", f"Content-Range {text[:100]!r} is not <start>-<end>")
        start, end = int(found[1]), int(found[2])
        length = exchange.header(b"content-length")
        if end < start or (length and int(length) != end - start + 1):
            raise OciError(400, "SIZE_INVALID", "Content-Range and Content-Length do not agree")
        if start != upload.offset:
            headers = {k.encode(): v.encode() for k, v in _whereabouts(exchange.place, upload).items()}
            message = f"The chunk begins at {start}, not at {upload.offset}"
            raise OciError(416, "BLOB_UPLOAD_INVALID", message, None, headers)

    async def _complete(self, exchange: Exchange, upload: Upload, digest: str) -> None:
        place = exchange.place

        async def record(size: int) -> None:
            if layer(self._store, place, digest) is None:
                await self._store.transact(lambda change: link(change, place, digest, size))
            else:
                await self._store.settled()

        await self._blobs.commit(upload, digest, record)
        await self._created(exchange, digest)

    async def _mounted(self, exchange: Exchange, digest: str) -> bool:
        """Whether the repository has the blob now, from another one that the caller may pull from."""
        place = exchange.place
        if layer(self._store, place, digest) is not None:
            await self._store.settled()
            return True
        named = exchange.parameter("from")
        if named:
            sources = [place._replace(repository=named)] if is_repository(named) else []
        else:
            found = self._store.find(LAYER, "digest", digest)
            sources = [p for p in map(place_of, found) if p[:2] == place[:2]][:_MOUNT_TRIES]
        for source in sources:
            refused = await self._gate.refusal(exchange, "ecr:GetDownloadUrlForLayer", source)
            if not refused and await self._store.transact(partial(_mount, source, place, digest)):
                return True
        return False

    async def _created(self, exchange: Exchange, digest: str) -> None:
        location = f"/v2/{exchange.place.repository}/blobs/{digest}"
        await exchange.answer(201, {"location": location, "docker-content-digest": digest})

    async def _state(self, exchange: Exchange, upload: Upload, status: int) -> None:
        await exchange.answer(status, _whereabouts(exchange.place, upload))


def _whereabouts(place: Place, upload: Upload) -> dict[str, str]:
    """Where to go on, and with which byte: ``range`` names the last one received."""
    return {
        "location": f"/v2/{place.repository}/blobs/uploads/{upload.id}",
        "range": f"0-{max(upload.offset - 1, 0)}",
        "docker-upload-uuid": upload.id,
    }


def _mount(source: Place, place: Place, digest: str, change: Transaction) -> bool:
    """Inside the transaction, so that the blob cannot be swept between looking and linking."""
    found = layer(change, source, digest)
    if found is None:
        return False
    link(change, place, digest, found.spec.size)
    return True
