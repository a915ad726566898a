"""Blobs as ECR's API needs them: the port ``control.images.Layers``."""

from __future__ import annotations

from havre.control.images import Place, Refusal, Why
from havre.control.images.changes import link, repository
from havre.dataplanes.registry.blobs import Blobs
from havre.store.ports import Store


class DiskLayers:
    def __init__(self, blobs: Blobs, store: Store) -> None:
        self._blobs = blobs
        self._store = store

    async def begin(self, place: Place) -> str:
        return self._blobs.begin(place).id

    async def append(self, place: Place, upload: str, first: int, content: bytes) -> int:
        async with self._blobs.claim(place, upload) as found:
            if first != found.offset:
                raise Refusal(Why.NOT_NEXT, f"The part starts at {first}, not at {found.offset}", [], found.offset)
            await self._blobs.work(self._blobs.absorb, found, (content,))
            await self._blobs.retain(found)
            return found.offset

    async def received(self, place: Place, upload: str) -> int:
        return self._blobs.find(place, upload).offset

    async def complete(self, place: Place, upload: str, digest: str) -> int:
        async with self._blobs.claim(place, upload) as found:
            return await self._blobs.commit(found, digest, lambda size: self._link(place, digest, size))

    async def keep(self, content: bytes, digest: str) -> None:
        await self._blobs.keep(content, digest)

    async def read(self, digest: str) -> bytes:
        return await self._blobs.read(digest)

    async def _link(self, place: Place, digest: str, size: int) -> int:
        repository(self._store, place)
        await self._store.transact(lambda change: link(change, place, digest, size))
        return size
