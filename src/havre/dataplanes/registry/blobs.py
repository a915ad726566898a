"""Blobs and uploads on disk.

``blobs/<algorithm>/<hex>`` are whole and never change; small ones lie in the pack instead, beside the store's records. A
blob counts only while a layer record names it.
``uploads/<shard>/<id>.<scope>`` are what has arrived of uploads: an upload of which a client was told that bytes are kept
has its file, and survives a restart with nothing but it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from havre.control.images import Place, Refusal, Why
from havre.core.images.names import HASHES, algorithm, is_digest
from havre.dataplanes.registry.incoming import SHARDS, Incoming
from havre.dataplanes.registry.ports import Pack
from havre.dataplanes.registry.syncer import Syncer, Unnamed
from havre.dataplanes.registry.upload import Unsynced, Upload
from havre.kernel.errors import Gone, Temporary
from havre.kernel.world import World

R = TypeVar("R")
WORKERS = 8
OPEN_LIMIT = 256
"""Uploads whose files are kept open between requests."""
SMALL = 64 << 10
"""Bytes up to which a blob lies in the pack."""


class Blobs:
    """``fault``, when set, is called with the name of each step on disk (create, write, publish, read) before it; what it
    raises (OSError) is what a failing disk would do. ``known`` tells whether a layer record names the digest."""

    def __init__(self, root: Path, world: World, known: Callable[[str], bool], pack: Pack) -> None:
        self._world = world
        self._pack = pack
        self._known = known
        self._uploads: dict[str, Upload] = {}
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self._pool = ThreadPoolExecutor(WORKERS, "blobs")
        self._syncer = Syncer(WORKERS)
        self._incoming = Incoming(root / "uploads")
        self._directories = {kind: root / "blobs" / kind for kind in HASHES}
        for directory in self._directories.values():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (root, root / "blobs"):
            _sync_directory(directory)
        self._descriptors = {
            kind: os.open(path, os.O_RDONLY | os.O_DIRECTORY) for kind, path in self._directories.items()
        }
        self.fault: Callable[[str], None] | None = None

    # uploads

    def begin(self, place: Place, kind: str = "sha256") -> Upload:
        """A new upload; ``kind`` is the digest's algorithm if it is known already."""
        id = self._world.uuid()
        name = f"{id}.{scope_of(place)}"
        upload = Upload(id, (self._incoming.folder(name), name), self._world.now(), kind, held=[])
        self._uploads[name] = upload
        return upload

    def find(self, place: Place, id: str) -> Upload:
        """Raises Refusal (NO_UPLOAD)."""
        name = f"{id}.{scope_of(place)}"
        upload = self._uploads.get(name)
        if upload is None:
            folder = self._incoming.folder(name) if _is_uuid(id) else None
            if folder is None or not (folder / name).exists():
                raise Refusal(Why.NO_UPLOAD, f"The upload with id '{id}' does not exist", [id])
            seen = (folder / name).stat()
            upload = self._uploads[name] = Upload(id, (folder, name), seen.st_mtime, offset=seen.st_size)
        return upload

    @asynccontextmanager
    async def claim(self, place: Place, id: str) -> AsyncIterator[Upload]:
        """The upload, for this caller alone, ready to be appended to. Raises Refusal (NO_UPLOAD)."""
        upload = self.find(place, id)
        async with upload.lock:
            if self._uploads.get(upload.name) is not upload:  # whoever had it before has finished it
                raise Refusal(Why.NO_UPLOAD, f"The upload with id '{id}' does not exist", [id])
            if upload.hasher is None and upload.held is None:
                await self.work(upload.rehash, upload.algorithm)
            upload.at = self._world.now()
            yield upload

    def absorb(self, upload: Upload, pieces: Sequence[bytes]) -> None:
        """Append; runs on the loop for little, in a worker for much. Raises Temporary, and then nothing was appended."""
        with _Disk():
            upload.absorb(pieces, self._check)
            upload.flush(self._pool)

    async def retain(self, upload: Upload) -> None:
        """A client will be told what has arrived, and will count on it: it survives this process. Raises Temporary."""
        if upload.held:
            await self.work(upload.spill, self._check)
        if len(self._uploads) > OPEN_LIMIT:
            self._shut_idle()

    def _shut_idle(self) -> None:
        if sum(u.file >= 0 for u in self._uploads.values()) > OPEN_LIMIT:
            for upload in self._uploads.values():
                if not upload.lock.locked():
                    upload.shut()

    async def cancel(self, upload: Upload) -> None:
        self._uploads.pop(upload.name, None)
        upload.discard()

    async def commit(self, upload: Upload, digest: str, link: Callable[[int], Awaitable[R]]) -> R:
        """The upload becomes the blob ``digest``: durable first, then ``link(size)`` makes the layer record. Raises Refusal
        (WRONG_DIGEST), and then the upload is gone; Temporary, and then it can be tried again, with the upload if that is
        still there."""
        try:
            if upload.held is None:  # nobody else has to wait while it is read
                await self.work(_verify, upload, digest)
            async with self.holding(digest):
                result = await self._place(upload, digest, link)
        except Refusal as refusal:
            if refusal.why is Why.WRONG_DIGEST:
                await self.cancel(upload)
            raise
        self._uploads.pop(upload.name, None)
        upload.discard()
        return result

    async def _place(self, upload: Upload, digest: str, link: Callable[[int], Awaitable[R]]) -> R:
        if self._known(digest) and self._has(digest):
            await self.work(_verify, upload, digest)
            return await link(upload.offset)
        if upload.held is not None and upload.offset <= SMALL:
            _verify(upload, digest)
            packed = self._packed(upload, digest)
            try:
                return await link(upload.offset)  # one commit for both: the record is durable no sooner
            finally:
                await packed
        await self._publish(upload, digest)
        try:
            result = await link(upload.offset)
        except Exception:
            if upload.held is None:  # no record was made: whoever tries again finds the upload
                self.path(digest).rename(upload.path)
            raise
        upload.held = []  # the file is the blob's now: nothing of it is left to discard
        return result

    def _packed(self, upload: Upload, digest: str) -> Awaitable[None]:
        """A small blob, on its way into the pack. Raises Temporary."""
        with _Disk():
            for step in ("publish", "create", "write"):
                self._check(step)
        return self._pack.put(digest, b"".join(upload.held or ()), self._world.now())

    def _has(self, digest: str) -> bool:
        return self.path(digest).exists() or self._pack.has(digest)

    async def keep(self, content: bytes, digest: str) -> None:
        """Content that is in memory already and has this digest. A layer record must follow soon."""
        async with self.holding(digest):
            if not (self._known(digest) and self._has(digest)):
                name = f"{self._world.uuid()}.kept"
                kept = Upload("", (self._incoming.folder(name), name), 0.0, offset=len(content), held=[content])
                if len(content) <= SMALL:
                    await self._packed(kept, digest)
                else:
                    await self._publish(kept, digest)

    async def _publish(self, upload: Upload, digest: str) -> None:
        """Durable under its digest: content first, then the name. Raises Refusal (WRONG_DIGEST), and Temporary, and then the
        upload is as it was, or gone if the disk has lost some of it."""
        source, target = upload.path, self.path(digest)
        with _Disk():
            self._check("publish")
            try:
                move, directory = partial(source.rename, target), self._descriptors[algorithm(digest)]
                await self._syncer.publish(partial(self._whole_file, upload, digest), move, directory)
            except Unsynced:
                await self.cancel(upload)
                raise
            except Unnamed:
                target.rename(source)
                raise

    # blobs

    def path(self, digest: str) -> Path:
        """Where the blob lies; ``digest`` must be one (names.is_digest), so it cannot lead elsewhere."""
        kind, _, encoded = digest.partition(":")
        return self._directories[kind] / encoded

    def small(self, digest: str) -> bytes | None:
        """The content of a blob that lies in the pack."""
        return self._pack.get(digest)

    def open(self, digest: str) -> int:
        """A descriptor to read from; whoever asked closes it. Raises Gone."""
        try:
            return os.open(self.path(digest), os.O_RDONLY)
        except FileNotFoundError:
            raise Gone(digest) from None

    async def read(self, digest: str) -> bytes:
        """Raises Gone."""
        content = self.small(digest)
        if content is not None:
            return content
        try:
            return await self.work(self.path(digest).read_bytes)
        except FileNotFoundError:
            raise Gone(digest) from None

    @asynccontextmanager
    async def holding(self, digest: str) -> AsyncIterator[None]:
        """Nobody else publishes or removes this blob meanwhile."""
        lock, users = self._locks.get(digest) or (asyncio.Lock(), 0)
        self._locks[digest] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            users = self._locks[digest][1] - 1
            if users:
                self._locks[digest] = lock, users
            else:
                del self._locks[digest]

    def submit(self, function: Callable[..., R], *arguments: Any) -> asyncio.Future[R]:
        """In a worker thread, which raises what ``function`` raises."""
        return asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def work(self, function: Callable[..., R], *arguments: Any) -> R:
        """In a worker thread. Raises Temporary when the disk refuses."""
        with _Disk():
            return await self.submit(function, *arguments)

    # housekeeping

    async def stored(self) -> list[tuple[str, float, int]]:
        """(digest, time of its last change, size) of every blob."""
        return [*await self.work(self._files), *await self._pack.stored()]

    def _files(self) -> list[tuple[str, float, int]]:
        found = []
        for kind, directory in self._directories.items():
            with os.scandir(directory) as entries:
                for entry in entries:
                    if is_digest(f"{kind}:{entry.name}"):
                        seen = entry.stat()
                        found.append((f"{kind}:{entry.name}", seen.st_mtime, seen.st_size))
        return found

    def pending(self) -> Iterator[tuple[str, float]]:
        """(name, time of its last change) of every upload, in memory or on disk."""
        held = {name: upload.at for name, upload in list(self._uploads.items()) if upload.held is not None}
        yield from held.items()
        yield from self._incoming.files()

    async def remove(self, digest: str) -> bool:
        """The file goes unless a layer record names it. Whoever reads it now reads on."""
        async with self.holding(digest):
            if self._known(digest):
                return False
            if self._pack.has(digest):
                await self._pack.remove(digest)
            await self.work(self.path(digest).unlink, True)
            return True

    def drop(self, name: str) -> None:
        """An upload that nobody goes on with."""
        upload = self._uploads.get(name)
        if upload is None:
            (self._incoming.folder(name) / name).unlink(missing_ok=True)
        elif not upload.lock.locked():
            del self._uploads[name]
            upload.discard()

    async def clear(self) -> None:
        """Forget everything (``POST /_havre/reset``, after the store was wiped)."""
        for name, _ in list(self.pending()):
            self.drop(name)
        await self._pack.clear()
        for digest, _, _ in await self.work(self._files):
            await self.remove(digest)

    async def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._syncer.close()
        for upload in self._uploads.values():
            upload.shut()
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    # in workers

    def _check(self, step: str) -> None:
        if self.fault is not None:
            self.fault(step)

    def _whole_file(self, upload: Upload, digest: str) -> None:
        """All that has arrived has this digest and is in the file, durably; the file is closed."""
        _verify(upload, digest)
        upload.spill_all(self._check)
        upload.sync()


def _verify(upload: Upload, digest: str) -> None:
    """Raises Refusal (WRONG_DIGEST), and OSError when the file has to be read for it. Takes its time: a millisecond for two
    mebibytes."""
    found = upload.digest(algorithm(digest))
    if found != digest:
        raise Refusal(Why.WRONG_DIGEST, f"The content has the digest {found}, not {digest}", [digest])


@lru_cache(1024)
def scope_of(place: Place) -> str:
    """Ties an upload to its repository, in its file's name."""
    return hashlib.sha256(place.scope.encode()).hexdigest()[:16]


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text[0] in SHARDS and all(c == "-" or c in SHARDS for c in text)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _Disk:
    """A disk that refuses is a Temporary failure. A class, because it stands on the hot path."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise Temporary(f"the disk refuses: {error.strerror or error}") from error
