"""Blobs on a disk that refuses, and their sweeping: what was acknowledged stays, what was not is never seen."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from havre.control.images import KINDS, LAYER, REPOSITORY, Place, Refusal, RepositorySpec, RepositoryStatus, Why
from havre.control.images.changes import link, put_image, remove_image, remove_repository
from havre.control.images.kinds import place_of
from havre.core.images.manifest import OCI_IMAGE, parse
from havre.core.images.names import digest_of
from havre.dataplanes.registry import syncer
from havre.dataplanes.registry import upload as uploading
from havre.dataplanes.registry.blobs import SMALL, Blobs
from havre.dataplanes.registry.sweep import GRACE, UPLOAD_LIFE, Sweeper, Touched
from havre.dataplanes.registry.upload import HELD
from havre.kernel.errors import Temporary
from havre.kernel.world import World
from havre.store.sqlite import SqliteStore
from havre.store.sqlite.committer import Committer

PLACE = Place("111122223333", "eu-west-1", "team/web")
OTHER = PLACE._replace(repository="team/other")
SIZES = [0, 5, SMALL + 1, HELD, HELD + 1]
"""In the pack; in memory until it is written whole; on disk while it comes."""


class Rig:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.late = 0.0
        self.world = World(lambda: 1.8e9 + self.late, Random(1))
        root.mkdir()
        self.store = SqliteStore.open(root.with_suffix(".db"), KINDS, self.world)
        self.blobs = self.open()
        self.touched = Touched(self.world, self.store)
        self.sweeper = Sweeper(self.store, self.blobs, self.world, self.touched)

    def open(self) -> Blobs:
        known: Callable[[str], bool] = lambda digest: self.store.count(LAYER, "digest", digest) > 0  # noqa: E731
        return Blobs(self.root, self.world, known, self.store.pack)

    async def repository(self, place: Place) -> None:
        await self.store.transact(
            lambda change: change.create(
                REPOSITORY,
                account=place.account,
                region=place.region,
                name=place.repository,
                arn=place.arn,
                spec=RepositorySpec(),
                status=RepositoryStatus(),
            )
        )

    async def push(self, content: bytes, place: Place = PLACE, digest: str = "") -> str:
        upload = self.blobs.begin(place)
        digest = digest or digest_of(content)
        async with self.blobs.claim(place, upload.id):
            self.blobs.absorb(upload, [content[:7], content[7:]])
            await self.blobs.commit(upload, digest, self.linker(place, digest))
        return digest

    def linker(self, place: Place, digest: str) -> Callable[[int], Any]:
        async def record(size: int) -> None:
            await self.store.transact(lambda change: link(change, place, digest, size))

        return record

    async def kept(self) -> list[str]:
        """Digests of the blobs that take room, in files or in the pack."""
        return sorted(digest for digest, _, _ in await self.blobs.stored())

    def pending(self) -> list[str]:
        return [path.name for path in (self.root / "uploads").glob("*/*")]

    def age(self, seconds: float) -> None:
        """Time passes, for the clock and for the files."""
        self.late += seconds
        for path in self.root.rglob("*"):
            os.utime(path, (self.world.now() - seconds, self.world.now() - seconds))

    def fail(self, step: str, times: int = 1) -> None:
        left = [times]

        def fault(now: str) -> None:
            if now == step and left[0]:
                left[0] -= 1
                raise OSError(errno.ENOSPC, "No space left on device")

        self.blobs.fault = fault


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / "registry")
    await made.repository(PLACE)
    await made.repository(OTHER)
    yield made
    await made.blobs.close()
    await made.store.close()


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_pushed_is_there(rig: Rig, size: int) -> None:
    content = os.urandom(size)
    digest = await rig.push(content)
    assert await rig.blobs.read(digest) == content
    assert await rig.kept() == [digest]
    assert rig.pending() == []


@pytest.mark.parametrize("size", SIZES)
async def test_a_wrong_digest_leaves_nothing(rig: Rig, size: int) -> None:
    with pytest.raises(Refusal) as refused:
        await rig.push(os.urandom(size), digest="sha256:" + "0" * 64)
    assert refused.value.why is Why.WRONG_DIGEST
    assert await rig.kept() == rig.pending() == []
    assert rig.store.list(LAYER) == []


@pytest.mark.parametrize("size", SIZES)
async def test_the_digest_of_a_known_blob_is_no_way_to_it(rig: Rig, size: int) -> None:
    content = os.urandom(size)
    digest = await rig.push(content)
    with pytest.raises(Refusal) as refused:
        await rig.push(content + b"x", OTHER, digest)
    assert refused.value.why is Why.WRONG_DIGEST
    assert [place_of(record) for record in rig.store.list(LAYER)] == [PLACE]
    assert rig.pending() == list(rig.blobs.pending()) == []
    assert await rig.push(content, OTHER) == digest
    assert await rig.kept() == [digest]


@pytest.mark.parametrize("parts", [[5], [SMALL + 1], [HELD], [HELD, 3], [7, HELD + 1, 9], [HELD + 1]])
async def test_a_digest_by_another_algorithm_than_was_expected(rig: Rig, parts: list[int]) -> None:
    pieces = [os.urandom(size) for size in parts]
    content = b"".join(pieces)
    digest = digest_of(content, "sha512")
    upload = rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, upload.id):
        for piece in pieces:
            rig.blobs.absorb(upload, [piece])
        await rig.blobs.commit(upload, digest, rig.linker(PLACE, digest))
    assert await rig.blobs.read(digest) == content


@pytest.mark.parametrize("step", ["create", "write", "publish"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_full_disk_is_temporary_and_the_upload_goes_on(rig: Rig, size: int, step: str) -> None:
    content = os.urandom(size)
    digest = digest_of(content)
    upload = rig.blobs.begin(PLACE)
    rig.fail(step)
    failures = 0
    async with rig.blobs.claim(PLACE, upload.id):
        for _ in range(3):
            try:
                if upload.offset < size:
                    rig.blobs.absorb(upload, [content[upload.offset :]])
                await rig.blobs.commit(upload, digest, rig.linker(PLACE, digest))
                break
            except Temporary as refusal:
                failures += 1
                assert "No space left" in refusal.reason
                assert rig.store.list(LAYER) == []
    assert await rig.blobs.read(digest) == content
    assert failures == 1
    assert rig.pending() == []


def _refuse(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("size", SIZES)
async def test_a_name_that_was_not_synced_is_told_and_can_be_tried_again(
    rig: Rig, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(size)
    digest = digest_of(content)
    upload = rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, upload.id):
        rig.blobs.absorb(upload, [content])
        where, name = (Committer, "_statements") if size <= SMALL else (syncer.os, "fsync")
        with monkeypatch.context() as patch:
            patch.setattr(where, name, _refuse)
            with pytest.raises(Temporary):
                await rig.blobs.commit(upload, digest, rig.linker(PLACE, digest))
        assert await rig.kept() == []
        await rig.blobs.commit(upload, digest, rig.linker(PLACE, digest))
    assert await rig.blobs.read(digest) == content


@pytest.mark.parametrize(
    ("when", "size"), [("on the way", HELD + 200_000), ("at the end", HELD + 200_000), ("at the end", HELD)]
)
async def test_content_that_the_disk_lost_has_to_be_sent_again(
    rig: Rig, when: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second sync would succeed although the pages never reached the disk."""
    monkeypatch.setattr(uploading, "FLUSH", 100_000)
    content = os.urandom(size)
    digest = digest_of(content)
    begun = rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, begun.id):
        with monkeypatch.context() as patch:
            if when == "on the way":
                patch.setattr(uploading.os, "fdatasync", _refuse)
            rig.blobs.absorb(begun, [content])
            if begun.flushing is not None:
                await asyncio.to_thread(begun.flushing.exception)
        with monkeypatch.context() as patch:
            if when == "at the end":
                patch.setattr(uploading.os, "fdatasync", _refuse)
            with pytest.raises(Temporary):
                await rig.blobs.commit(begun, digest, rig.linker(PLACE, digest))
    assert await rig.kept() == rig.pending() == []
    with pytest.raises(Refusal):
        rig.blobs.find(PLACE, begun.id)
    assert await rig.push(content) == digest
    assert await rig.blobs.read(digest) == content


@pytest.mark.parametrize("size", SIZES)
async def test_a_refused_record_gives_the_upload_back(rig: Rig, size: int) -> None:
    content = os.urandom(size)
    digest = digest_of(content)
    upload = rig.blobs.begin(PLACE)

    async def refuse(size: int) -> None:
        raise Temporary("the store is away")

    async with rig.blobs.claim(PLACE, upload.id):
        rig.blobs.absorb(upload, [content])
        with pytest.raises(Temporary):
            await rig.blobs.commit(upload, digest, refuse)
        rig.age(GRACE + 1)
        await rig.sweeper.sweep()
        assert await rig.kept() == []
        await rig.blobs.commit(upload, digest, rig.linker(PLACE, digest))
    assert await rig.blobs.read(digest) == content


@pytest.mark.parametrize("size", [5, HELD + 1])
async def test_retained_uploads_outlive_the_process(rig: Rig, size: int) -> None:
    content = os.urandom(size)
    upload = rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, upload.id):
        rig.blobs.absorb(upload, [content])
        await rig.blobs.retain(upload)
    await rig.blobs.close()
    rig.blobs = rig.open()
    with pytest.raises(Refusal):
        rig.blobs.find(OTHER, upload.id)
    more = os.urandom(10)
    digest = digest_of(content + more)
    async with rig.blobs.claim(PLACE, upload.id) as again:
        assert again.offset == size
        rig.blobs.absorb(again, [more])
        await rig.blobs.commit(again, digest, rig.linker(PLACE, digest))
    assert await rig.blobs.read(digest) == content + more


async def test_many_uploads_do_not_use_up_descriptors(rig: Rig) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(600):
        upload = rig.blobs.begin(PLACE)
        async with rig.blobs.claim(PLACE, upload.id):
            rig.blobs.absorb(upload, [b"x"])
            await rig.blobs.retain(upload)
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 300
    async with rig.blobs.claim(PLACE, upload.id) as last:
        rig.blobs.absorb(last, [b"y"])
        await rig.blobs.commit(last, digest_of(b"xy"), rig.linker(PLACE, digest_of(b"xy")))
    assert await rig.blobs.read(digest_of(b"xy")) == b"xy"


@pytest.mark.parametrize("id", ["../../etc/passwd", "x", "0" * 36 + "/..", "", "-" * 36, "0" * 36])
async def test_ids_do_not_lead_out(rig: Rig, id: str) -> None:
    with pytest.raises(Refusal) as refused:
        rig.blobs.find(PLACE, id)
    assert refused.value.why is Why.NO_UPLOAD


async def _image(rig: Rig, place: Place, layers: list[str]) -> str:
    config = await rig.push(b"{}", place)
    described = [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": d, "size": len(await rig.blobs.read(d))}
        for d in layers
    ]
    import msgspec

    content = msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": described,
        }
    )
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    await rig.store.transact(lambda change: put_image(change, place, ["1"], digest, content, parse(content)))
    return digest


async def test_the_sweep_frees_what_no_image_needs(rig: Rig) -> None:
    needed, orphan = await rig.push(b"needed"), await rig.push(b"orphan")
    image = await _image(rig, PLACE, [needed])
    rig.age(GRACE + 1)
    await rig.sweeper.sweep()
    assert orphan not in await rig.kept()
    assert await rig.blobs.read(needed) == b"needed"
    await rig.store.transact(lambda change: remove_image(change, PLACE, image))
    await rig.sweeper.sweep()
    assert await rig.kept() == []
    assert rig.store.list(LAYER) == []


async def test_the_sweep_spares_what_another_repository_needs(rig: Rig) -> None:
    shared = await rig.push(b"shared")
    await rig.push(b"shared", OTHER)
    await _image(rig, PLACE, [shared])
    await _image(rig, OTHER, [shared])
    await rig.store.transact(lambda change: remove_repository(change, PLACE, force=True))
    rig.age(GRACE + 1)
    await rig.sweeper.sweep()
    assert await rig.blobs.read(shared) == b"shared"
    await rig.store.transact(lambda change: remove_repository(change, OTHER, force=True))
    await rig.sweeper.sweep()
    assert await rig.kept() == []


async def test_the_sweep_spares_what_is_new_looked_at_or_being_pushed(rig: Rig) -> None:
    digest = await rig.push(b"young")
    await rig.sweeper.sweep()
    assert await rig.kept() == [digest]
    rig.age(GRACE + 1)
    rig.touched.note(PLACE, digest)
    await rig.sweeper.sweep()
    assert await rig.kept() == [digest]
    rig.age(GRACE + 1)
    rig.blobs.begin(PLACE)
    await rig.sweeper.sweep()
    assert await rig.kept() == [digest]
    rig.age(UPLOAD_LIFE + 1)
    await rig.sweeper.sweep()
    await rig.sweeper.sweep()
    assert await rig.kept() == []


async def test_the_sweep_drops_stale_uploads_and_what_a_crash_left(rig: Rig) -> None:
    held, kept = rig.blobs.begin(PLACE), rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, kept.id):
        rig.blobs.absorb(kept, [b"abc"])
        await rig.blobs.retain(kept)
    (rig.root / "blobs/sha256" / ("a" * 64)).write_bytes(b"published, never recorded")
    rig.age(UPLOAD_LIFE + 1)
    assert await rig.sweeper.sweep() == (0, 1, 2)
    assert await rig.kept() == rig.pending() == []
    for upload in (held, kept):
        with pytest.raises(Refusal):
            rig.blobs.find(PLACE, upload.id)


async def test_clear_forgets_everything(rig: Rig) -> None:
    await rig.push(b"blob")
    upload = rig.blobs.begin(PLACE)
    async with rig.blobs.claim(PLACE, upload.id):
        rig.blobs.absorb(upload, [b"abc"])
        await rig.blobs.retain(upload)
    rig.blobs.begin(PLACE)
    await rig.store.reset()
    await rig.blobs.clear()
    assert await rig.kept() == rig.pending() == []
    assert list(rig.blobs.pending()) == []
