"""Images without Docker: what is asked of a registry and what is not, what it says, what is kept and what goes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from havre.engines.oci.containers import image_cache
from havre.engines.oci.containers.engine import OciContainers
from havre.engines.oci.registry import Puller
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import Container, Registry
from tests.contracts.container_bench import SLEEP
from tests.contracts.oci_bench import NAME, OciSetting, push, shop
from tests.contracts.registry_server import Process
from tests.images import base, layer

pytestmark = pytest.mark.root


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    with shop(tmp_path / "shop") as process:
        yield process


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What registries were asked for."""
    found: list[str] = []
    manifest, blob = Puller.manifest, Puller.blob

    def counted_manifest(self: Puller, version: str) -> object:
        found.append(version)
        return manifest(self, version)

    def counted_blob(self: Puller, digest: str, *rest: object) -> None:
        found.append(digest)
        blob(self, digest, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Puller, "manifest", counted_manifest)
    monkeypatch.setattr(Puller, "blob", counted_blob)
    return found


async def test_a_tag_is_asked_for_and_what_is_here_is_not_fetched(setting: OciSetting, asked: list[str]) -> None:
    first = await setting.engine.pull(setting.reference, setting.keys)
    assert len(asked) == 3, "the manifest, the configuration, a layer"
    asked.clear()
    assert await setting.engine.pull(setting.reference, setting.keys) == first
    assert asked == ["1"]
    asked.clear()
    assert await setting.engine.pull(setting.reference, setting.keys, always=False) == first
    by_digest = setting.reference.removesuffix(":1") + f"@{first.digest}"
    assert await setting.engine.pull(by_digest, None) == first
    assert asked == []
    push(setting.server, "1", [base(), layer({"new": "x"})])
    second = await setting.engine.pull(setting.reference, setting.keys)
    assert second.id != first.id
    assert second.digest != first.digest
    assert len(asked) == 3, "the layer that both have is here"


async def test_many_at_once_fetch_once(setting: OciSetting, asked: list[str]) -> None:
    found = await asyncio.gather(*(setting.engine.pull(setting.reference, setting.keys) for _ in range(8)))
    assert len({image.id for image in found}) == 1
    assert sorted(asked)[:8] == ["1"] * 8
    assert len(asked) == 10


async def test_words_of_a_registry(setting: OciSetting) -> None:
    nothing = setting.reference.removesuffix("1") + "nope"
    with pytest.raises(Permanent, match=r"(?i)not.?found|unknown"):
        await setting.engine.pull(nothing, setting.keys)
    with pytest.raises(Permanent, match=r"(?i)denied|unauthorized"):
        await setting.engine.pull(setting.reference, Registry(setting.server.address, "AWS", "wrong"))
    with pytest.raises(Temporary, match="does not answer"):
        await setting.engine.pull("127.0.0.1:1/sh:1", None)
    with pytest.raises(Permanent, match="invalid reference format"):
        await setting.engine.pull("UPPER case", None)


async def test_a_registry_that_is_away_does_not_hold_back_what_is_here(setting: OciSetting, asked: list[str]) -> None:
    image = await setting.engine.pull(setting.reference, setting.keys)
    setting.server.kill()
    asked.clear()
    assert await setting.engine.pull(setting.reference, setting.keys) == image
    assert await setting.engine.pull(setting.reference, setting.keys) == image
    assert asked == ["1"], "for a while it is not asked again"
    again = await setting.again()
    assert await again.pull(setting.reference, setting.keys) == image


async def test_images_that_nobody_uses_go(setting: OciSetting) -> None:
    used = await setting.engine.pull(setting.reference, setting.keys)
    container = Container("main", setting.reference, command=("sh", "-c", SLEEP))
    await setting.engine.create(setting.workload(container), container, used, None)
    other = await setting.engine.pull(push(setting.server, "2", [base(), layer({"other": "x"})]), setting.keys)
    in_use = {k.record.image for k in setting.oci.life.kept.values()}
    store = setting.oci.image_cache
    assert await store.sweep(in_use, 3600) == 0
    assert await store.sweep(in_use, -1) == 1
    assert store.stored(other.id) is None
    assert store.cached(setting.reference) == used
    assert len([p for p in store.directory.iterdir() if p.is_dir()]) == 1, "the layer that both had stays"
    await setting.engine.start(next(iter(setting.oci.life.kept)))


async def test_half_of_an_image_is_none(setting: OciSetting, asked: list[str]) -> None:
    """Somebody was killed while he unpacked, or has tidied up by hand."""
    image = await setting.engine.pull(setting.reference, setting.keys)
    store = setting.oci.image_cache
    (only,) = [p for p in store.directory.iterdir() if p.is_dir()]
    only.rename(only.with_name(".unpacking-x"))
    assert store.cached(setting.reference) is None
    again = await setting.again()
    asked.clear()
    assert await again.pull(setting.reference, setting.keys) == image
    assert len(asked) == 3
    assert not list(store.directory.glob(".*"))


async def test_capabilities_of_files_are_kept(setting: OciSetting) -> None:
    import io
    import tarfile

    value = bytes.fromhex("0100000200040000000000000000000000000000")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("bin/able")
        info.pax_headers = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
        info.mode = 0o755
        archive.addfile(info, io.BytesIO(b""))
    image = await setting.engine.pull(push(setting.server, "able", [base(), buffer.getvalue()]), setting.keys)
    stored = setting.oci.image_cache.stored(image.id)
    assert stored is not None
    assert (
        os.getxattr(setting.oci.image_cache.directory / stored.layers[0] / "bin" / "able", "security.capability")
        == value
    )


async def test_layers_in_zstandard(setting: OciSetting) -> None:
    reference = push(setting.server, "zstd", [base()], packing="zstd")
    image = await setting.engine.pull(reference, setting.keys)
    manifest = Puller(image_cache.parse(reference), setting.keys).manifest("zstd")[1]
    assert [each["mediaType"].rpartition("+")[2] for each in manifest["layers"]] == ["zstd"]
    container = Container("main", reference, command=("sh", "-c", SLEEP))
    made = await setting.engine.create(setting.workload(container), container, image, None)
    assert (await setting.engine.start(made.id)).state == "running"


def test_references_as_docker_reads_them() -> None:
    digest = "sha256:" + "a" * 64
    for reference, expected in (
        ("nginx", ("registry-1.docker.io", "library/nginx", "latest")),
        ("team/app:2", ("registry-1.docker.io", "team/app", "2")),
        ("docker.io/nginx:1", ("registry-1.docker.io", "library/nginx", "1")),
        ("localhost/app", ("localhost", "app", "latest")),
        ("127.0.0.1:5000/a/b:1", ("127.0.0.1:5000", "a/b", "1")),
        (f"quay.io/a/b:1@{digest}", ("quay.io", "a/b", digest)),
    ):
        assert tuple(image_cache.parse(reference)) == expected
    for wrong in ("", "a b", "Nginx", "nginx@sha256:1", "x/../y"):
        with pytest.raises(Permanent, match="invalid reference format"):
            image_cache.parse(wrong)


async def test_a_token_of_a_registry_that_hands_them_out(tmp_path: Path) -> None:
    """As Docker Hub does: a challenge, a token for it, the manifest with the token."""
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line = head.splitlines()[0]
        authorization = next(
            (h.partition(": ")[2] for h in head.splitlines() if h.lower().startswith("authorization")), ""
        )
        heard.append(f"{line.split()[1].partition('?')[0]} {authorization}")
        if "/token" in line:
            body, status, more = b'{"token": "secret"}', "200 OK", ""
        elif authorization == "Bearer secret":
            body, status, more = (
                b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not here"}]}',
                "404 Not Found",
                "",
            )
        else:
            challenge = f'Bearer realm="http://127.0.0.1:{port}/token",service="hub",scope="repository:{NAME}:pull"'
            body, status, more = b"", "401 Unauthorized", f"WWW-Authenticate: {challenge}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = image_cache.ImageCache(tmp_path, lambda: 0.0)
    store.settle()
    with pytest.raises(Permanent, match="MANIFEST_UNKNOWN: not here"):
        await store.pull(f"127.0.0.1:{port}/{NAME}:1", None, always=True)
    assert heard == [f"/v2/{NAME}/manifests/1 ", "/token ", f"/v2/{NAME}/manifests/1 Bearer secret"]
    server.close()


async def test_an_engine_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    from random import Random

    from havre.engines.oci.containers import programs
    from havre.kernel.world import World

    monkeypatch.setattr(programs, "monitor", lambda: "")
    engine = OciContainers("t000000", tmp_path / "state", World(time.time, Random(1)))
    for call in (engine.ping(), engine.capacity(), engine.containers(), engine.inspect("x"), engine.stop("x", 1)):
        with pytest.raises(Temporary, match="conmon is not installed"):
            await call
    events = engine.events()
    assert await anext(events) == ""
