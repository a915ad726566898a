"""Housekeeping: what no image needs any more goes; pulls are remembered.

Safe against pushes: a layer record goes in the transaction that sees that no image names it; a file goes under the lock
that publishing holds, and only while no record names it. What was pushed, mounted or looked at lately stays, and so does
everything in a repository that is being pushed to, because a client that was told that a layer is there counts on it.
"""

from __future__ import annotations

import asyncio
from functools import partial

from havre.control.images import IMAGE, LAYER, Layer, Place
from havre.control.images.changes import layer as layer_of
from havre.control.images.changes import note_pulls, remove_layer
from havre.control.images.kinds import place_of
from havre.control.images.ports import Refusal
from havre.dataplanes.registry.blobs import Blobs, scope_of
from havre.kernel.world import World
from havre.store.ports import Store, Transaction

GRACE = 3600.0
"""Seconds that a layer which no image names is kept after it was pushed or looked at."""
UPLOAD_LIFE = 24 * 3600.0
"""Seconds after which an upload that nobody went on with is dropped, as in ECR."""
PULL_STEP = 60.0
"""Seconds by which the recorded pull of an image may lag."""
_BATCH = 200


class Touched:
    """What clients have lately been told of: in memory only, since a restart breaks their connections too."""

    def __init__(self, world: World, store: Store) -> None:
        self._world = world
        self._store = store
        self._layers: dict[tuple[Place, str], float] = {}
        self._pulls: dict[tuple[Place, str], float] = {}

    def note(self, place: Place, digest: str) -> None:
        self._layers[place, digest] = self._world.now()

    def pulled(self, place: Place, digest: str) -> None:
        self._pulls[place, digest] = self._world.now()

    def lately(self, place: Place, digest: str) -> bool:
        return self._world.now() - self._layers.get((place, digest), 0.0) < GRACE

    def forget(self) -> None:
        """What was touched longer than the grace ago."""
        since = self._world.now() - GRACE
        self._layers = {k: at for k, at in self._layers.items() if at > since}

    async def flush(self) -> None:
        """Write down the pulls. Raises Temporary, and keeps them then."""
        pulls, self._pulls = self._pulls, {}
        due = {k: at for k, at in pulls.items() if self._is_news(k, at)}
        if not due:
            return
        try:
            await self._store.transact(lambda change: note_pulls(change, due))
        except Exception:
            self._pulls = due | self._pulls
            raise

    def _is_news(self, key: tuple[Place, str], at: float) -> bool:
        place, digest = key
        image = self._store.get(IMAGE, place.account, place.region, place.at(digest))
        return image is not None and at - (image.status.pulled or 0.0) > PULL_STEP


class Sweeper:
    """``run`` is a loop for apps to declare."""

    def __init__(self, store: Store, blobs: Blobs, world: World, touched: Touched) -> None:
        self._store = store
        self._blobs = blobs
        self._world = world
        self._touched = touched
        self.progress: float | None = None
        """When the loop last finished a turn."""

    async def run(self, flush_every: float = 5.0, sweep_every: float = 600.0) -> None:
        """Until it is cancelled."""
        waited = 0.0
        try:
            while True:
                await asyncio.sleep(flush_every)
                waited += flush_every
                await self._touched.flush()
                if waited >= sweep_every:
                    waited = 0.0
                    await self.sweep()
                self.progress = self._world.now()
        finally:
            await self._touched.flush()

    async def sweep(self) -> tuple[int, int, int]:
        """One round. Gives how many layer records, blob files and uploads went."""
        self._touched.forget()
        uploads = await self._sweep_uploads()
        layers = await self._sweep_layers()
        return layers, await self._sweep_files(), uploads

    async def _sweep_uploads(self) -> int:
        since = self._world.now() - UPLOAD_LIFE
        stale = [name for name, at in await self._blobs.work(lambda: list(self._blobs.pending())) if at < since]
        for name in stale:
            self._blobs.drop(name)
        return len(stale)

    async def _sweep_layers(self) -> int:
        """Records of layers that no image of their repository names."""
        since = self._world.now() - GRACE
        busy = {
            name.partition(".")[2]
            for name, at in await self._blobs.work(lambda: list(self._blobs.pending()))
            if at > self._world.now() - UPLOAD_LIFE
        }
        due = [r for r in self._store.list(LAYER) if r.meta.created < since and self._is_unused(r)]
        due = [r for r in due if scope_of(place_of(r)) not in busy]
        gone = 0
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            gone += await self._store.transact(partial(self._remove, batch))
        return gone

    def _is_unused(self, found: Layer) -> bool:
        place = place_of(found)
        return not self._store.count(IMAGE, "blob", place.key(found.spec.digest)) and not self._touched.lately(
            place, found.spec.digest
        )

    def _remove(self, batch: list[Layer], change: Transaction) -> int:
        gone = 0
        for found in batch:
            place = place_of(found)
            now = layer_of(change, place, found.spec.digest)
            if now is None or now.meta.version != found.meta.version or self._touched.lately(place, found.spec.digest):
                continue
            try:
                gone += remove_layer(change, place, found.spec.digest)
            except Refusal:
                continue  # an image names it since
        return gone

    async def _sweep_files(self) -> int:
        """Blobs that no record names: layers that went, and what a crash left between publishing and recording."""
        since = self._world.now() - GRACE
        gone = 0
        for digest, at, _ in await self._blobs.stored():
            if at < since and not self._store.count(LAYER, "digest", digest):
                gone += await self._blobs.remove(digest)
        return gone
