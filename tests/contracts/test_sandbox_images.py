"""Functions that are images: pulled from Havre's own registry, their layers laid over each other, run as they say."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from havre.cli.runtimes.doing import BuildError
from havre.cli.runtimes.from_image import build_from
from havre.engines.oci.engine import OciEngine
from havre.engines.sandbox import RUNTIME, Process, Sandbox
from havre.kernel import runtimes
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code
from havre.kernel.workload import Registry
from tests.contracts.oci_bench import packed
from tests.contracts.oci_client import Client
from tests.contracts.oci_data import CONFIG, IMAGE, INDEX, LAYER, Data, digest
from tests.contracts.registry_server import Process as Server
from tests.contracts.registry_server import running
from tests.contracts.sandbox_bench import Archives, Bench, function, real
from tests.ports import free_port

pytestmark = pytest.mark.root

NAME = "functions/app"
BUSYBOX = Path("/bin/busybox")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "registry", [NAME]) as process:
        yield process


@pytest.fixture
async def bench(tmp_path: Path, server: Server) -> AsyncIterator[Bench]:
    (tmp_path / "bench").mkdir()
    async with real(tmp_path / "bench", pool=0) as made:
        made.archives.registries[server.address] = Registry(server.address, "AWS", server.password)
        yield made


def file(name: str, content: bytes | str = b"", mode: int = 0o644, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    data = content.encode() if isinstance(content, str) else content
    info.size, info.mode = len(data), mode
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return file(name, type=kind, linkname=target)


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def base() -> bytes:
    links = [link(f"bin/{name}", "busybox") for name in ("sh", "cat", "ls", "stat", "id", "env")]
    return layer(
        file("bin/busybox", BUSYBOX.read_bytes(), 0o755), *links, file("data/kept", "1"), file("data/gone", "2")
    )


Push = Callable[..., Code]


@pytest.fixture
def push(server: Server) -> Push:
    """Layers, and what the configuration says → the function's code."""

    def push(*layers: bytes, packing: str = "gzip", index: bool = False, **config: Any) -> Code:
        data = Data()
        kind = f"{LAYER}+{packing}" if packing else LAYER
        described = [data.blob(packed(raw, packing), kind) for raw in layers]
        shape = {"os": "linux", "architecture": "amd64", "config": config}
        head = data.blob(json.dumps(shape).encode(), CONFIG)
        made = data.manifest(_image(head, described))
        if index:
            other = data.manifest(_image(data.blob(b'{"os": "linux"}', CONFIG), []))
            machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
            listed = [{**other, "platform": {"os": "linux", "architecture": "s390x"}}]
            listed.append({**made, "platform": {"os": "linux", "architecture": machine}})
            made = data.manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
        client = Client(server.address, server.password)
        for name, content in data.blobs.items():
            begun = client("POST", f"/v2/{NAME}/blobs/uploads/")
            assert client("PUT", begun.location, content, {"digest": name}).status == 201
        for name, content in data.manifests.items():
            kind = json.loads(content)["mediaType"]
            assert client("PUT", f"/v2/{NAME}/manifests/{name}", content, Content_Type=kind).status == 201
        client.close()
        return Code("image", made["digest"], image=f"{server.address}/{NAME}@{made['digest']}")

    return push


def _image(head: Mapping[str, Any], layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": IMAGE, "config": head, "layers": layers}


async def obtain(bench: Bench, code: Code, **fields: Any) -> Sandbox:
    return await bench.obtain(code=code, runtime="", handler="", **fields)


async def runtime(bench: Bench, sandbox: Sandbox, **environment: str) -> str:
    """What it writes that the image itself starts."""
    await bench.engine.run(sandbox.id, Process(RUNTIME, environment))
    await bench.until(lambda: (sandbox.id, RUNTIME) in bench.exits)
    return bench.written(sandbox.id, RUNTIME)


@pytest.mark.parametrize("packing", ["gzip", "zstd", ""])
async def test_runs_as_its_configuration_says(bench: Bench, push: Push, packing: str) -> None:
    script = file("app/say", '#!/bin/sh\necho "$@" $A $B; pwd; id -u; ls /\n', 0o755)
    code = push(
        base(),
        layer(script),
        packing=packing,
        Entrypoint=["/app/say", "one"],
        Cmd=["two"],
        Env=["A=of-image", "B=of-image", "PATH=/bin"],
        WorkingDir="/data",
        User="root",
    )
    said = await runtime(bench, await obtain(bench, code), B="given")
    root = sorted(["app", "bin", "data", "dev", "etc", "mnt", "opt", "proc", "sys", "tmp", "var"])
    assert said == "one two of-image given\n/data\n993\n" + "\n".join(root) + "\n"
    other = await obtain(bench, code, command=("three",), working_directory="/app")
    assert (await runtime(bench, other)).startswith("one three of-image of-image\n/app\n")
    entry = await obtain(bench, code, entry_point=("/bin/sh", "-c"), command=("echo only",))
    assert await runtime(bench, entry) == "only\n"


async def test_layers_hide_and_replace(bench: Bench, push: Push) -> None:
    over = layer(
        file("data/.wh.gone"),
        file("data/kept", "replaced"),
        file("new/.wh..wh..opq"),
        file("new/inside", "x"),
        link("hard", "data/kept", tarfile.LNKTYPE),
    )
    under = layer(file("new/hidden", "y"), file("deep/er/file", "z", 0o4755, uid=7, gid=8))
    code = push(
        base(),
        under,
        over,
        Cmd=["sh", "-c", "cd /; ls data new; cat data/kept hard; stat -c %a:%u:%g deep/er/file"],
        Env=["PATH=/bin"],
    )
    assert await runtime(bench, await obtain(bench, code)) == "data:\nkept\n\nnew:\ninside\nreplacedreplaced4755:7:8\n"


async def test_an_index_has_one_for_this_machine(bench: Bench, push: Push) -> None:
    code = push(base(), index=True, Cmd=["/bin/sh", "-c", "echo right"])
    assert await runtime(bench, await obtain(bench, code)) == "right\n"


async def test_is_pulled_once(bench: Bench, push: Push, server: Server) -> None:
    code = push(base(), Cmd=["/bin/sh", "-c", "echo again"])
    await obtain(bench, code)
    server.kill()
    assert await runtime(bench, await obtain(bench, code)) == "again\n"


@pytest.mark.parametrize(
    "entries",
    [
        [file("../outside", "x")],
        [file("a/../../outside", "x")],
        [link("way", "/tmp"), file("way/outside", "x")],
        [link("way", "../../../../../.."), file("way/outside", "x")],
        [link("way", "/etc/passwd", tarfile.LNKTYPE)],
        [link("soft", "/etc/passwd"), link("hard", "soft", tarfile.LNKTYPE)],
    ],
)
async def test_layers_stay_inside(bench: Bench, push: Push, tmp_path: Path, entries: list[Any]) -> None:
    code = push(layer(*entries), Cmd=["x"])
    with pytest.raises(Permanent, match="a layer has"):
        await obtain(bench, code)
    assert not [p for p in tmp_path.rglob("outside") if p.is_file()] and not Path("/tmp/outside").exists()


async def test_devices_of_layers_are_left_out(bench: Bench, push: Push) -> None:
    device = file("disk", type=tarfile.BLKTYPE, devmajor=254, devminor=0)
    code = push(base(), layer(device), Cmd=["/bin/sh", "-c", "ls /disk || echo none"])
    assert (await runtime(bench, await obtain(bench, code))).endswith("none\n")


async def test_what_is_not_there(bench: Bench, push: Push, server: Server) -> None:
    missing = "sha256:" + "0" * 64
    with pytest.raises(Permanent, match=r"MANIFEST_UNKNOWN|NAME_UNKNOWN"):
        await obtain(bench, Code("image", missing, image=f"{server.address}/{NAME}@{missing}"))
    code = push(base())
    with pytest.raises(Permanent, match="neither ENTRYPOINT nor CMD"):
        await obtain(bench, code)
    broken = push(b"this is no archive at all" * 100, Cmd=["x"])
    with pytest.raises(Permanent, match="a layer cannot be read"):
        await obtain(bench, broken)
    bench.archives.registries.clear()
    with pytest.raises(Permanent, match=r"UNAUTHORIZED|401"):
        await obtain(bench, push(base(), Cmd=["x"]))
    server.kill()
    with pytest.raises(Temporary, match="does not answer"):
        await obtain(bench, Code("image", digest(b"x"), image=f"{server.address}/{NAME}"))


async def test_content_that_is_not_what_its_digest_says(
    bench: Bench, push: Push, server: Server, tmp_path: Path
) -> None:
    raw = layer(file("marker-of-this-layer", b"0123456789" * 50_000))
    code = push(raw, packing="", Cmd=["x"])
    spoilt = 0
    for path in (tmp_path / "registry").rglob("*"):
        if path.is_file() and raw[:512] in path.read_bytes():
            content = path.read_bytes().replace(b"0123456789", b"0123456780")
            path.write_bytes(content)
            spoilt += 1
    assert spoilt
    with pytest.raises((Permanent, Temporary), match="digest"):
        await obtain(bench, code)
    assert not list((tmp_path / "bench").rglob("marker-of-this-layer"))


async def test_a_runtime_that_is_neither_built_nor_to_be_pulled(tmp_path: Path) -> None:
    class Nowhere(Archives):
        async def registry(self, image: str) -> tuple[str, Registry | None]:
            self.asked.append(image)
            return f"127.0.0.1:{free_port()}/none", None

    nowhere = Nowhere(tmp_path)
    engine = OciEngine(f"t{os.getpid()}none", tmp_path / "engine", nowhere, pool=0, built=tmp_path / "built")
    code = nowhere.keep({"app.py": ""})
    try:
        with pytest.raises(
            Permanent, match=r"the runtime python3.11 is not on this machine.*havre lambda build-runtime"
        ):
            await engine.prepare(function(code))
        with pytest.raises(Permanent, match=r"the runtime ruby3.4 is not on this machine") as raised:
            await engine.prepare(function(code, runtime="ruby3.4"))
        assert "this makes one: havre lambda build-runtime ruby3.4 --from-image" in raised.value.reason
        with pytest.raises(Permanent, match=r"there is no runtime 'cobol'"):
            await engine.prepare(function(code, runtime="cobol"))
        assert nowhere.asked == ["public.ecr.aws/lambda/python:3.11", "public.ecr.aws/lambda/ruby:3.4"]
    finally:
        await engine.close()


async def test_a_runtime_is_pulled_where_none_was_built(
    bench: Bench, push: Push, server: Server, tmp_path: Path
) -> None:
    """As AWS's base images are: an image with /var/runtime/bootstrap, and the function's archive over it."""
    bootstrap = file("var/runtime/bootstrap", "#!/bin/sh\ncat /var/task/own.txt\necho $FROM_IMAGE\n", 0o755)
    code = push(base(), layer(bootstrap), Env=["FROM_IMAGE=yes", "PATH=/bin"])

    class There(Archives):
        async def registry(self, image: str) -> tuple[str, Registry | None]:
            return code.image, Registry(server.address, "AWS", server.password)

    (tmp_path / "there").mkdir()
    there = There(tmp_path / "there")
    engine = OciEngine(f"t{os.getpid()}there", tmp_path / "engine", there, pool=0, built=tmp_path / "built")
    other = Bench(engine, there)
    try:
        sandbox = await other.obtain(code=there.keep({"own.txt": "the function's own\n"}), runtime="python3.13")
        assert await runtime(other, sandbox) == "the function's own\nyes\n"
        server.kill()
        assert await runtime(other, await other.obtain(runtime="python3.13")) != ""
    finally:
        await engine.close()


# --- runtimes that are made of images

START = file("var/runtime/bootstrap", '#!/bin/sh\necho "$0 $@ $_HANDLER $FROM $MINE"; ls /data\n', 0o755)


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Mapping[str, str]:
    """Where runtimes are kept, and what ``docker login`` has left, as the command finds them."""
    pair = base64.b64encode(f"AWS:{server.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.address: {"auth": pair}}}))
    return {runtimes.PLACE: str(tmp_path / "runtimes"), "DOCKER_CONFIG": str(tmp_path)}


async def made_of(name: str, image: str, place: Mapping[str, str]) -> Path:
    return await asyncio.to_thread(build_from, name, image, place, lambda text: None)


async def says(tmp_path: Path, place: Mapping[str, str], name: str) -> str:
    """What a function's runtime writes in it."""
    (tmp_path / "of").mkdir()
    async with real(tmp_path / "of", pool=0, built=Path(place[runtimes.PLACE])) as bench:
        code = bench.archives.keep({"mine": "1"})
        sandbox = await bench.obtain(code=code, runtime=name, handler="Mine::go")
        return await runtime(bench, sandbox, _HANDLER="Mine::go", MINE="function")


@pytest.mark.parametrize("name", ["dotnet8", "python3.12"])
async def test_a_runtime_of_an_image(tmp_path: Path, push: Push, place: Mapping[str, str], name: str) -> None:
    interpreter = file("var/lang/bin/python3", "#!/bin/sh\nexit 1\n", 0o755)
    layers = (base(), layer(START, interpreter), layer(file("data/.wh.gone")))
    code = push(*layers, Env=["FROM=image", "MINE=image", "PATH=/bin"], Entrypoint=["/bin/cat"])
    root = await made_of(name, code.image, place)
    assert root == Path(place[runtimes.PLACE], name, "root") and not (root / "data/gone").exists()
    again = await made_of(name, code.image, place)
    assert again == root and len(list(Path(place[runtimes.PLACE]).iterdir())) == 2, "a root and its name"
    assert await says(tmp_path, place, name) == "/var/runtime/bootstrap  Mine::go image function\nkept\n"


async def test_an_image_may_start_its_client_by_its_entry_point(
    tmp_path: Path, push: Push, place: Mapping[str, str]
) -> None:
    start = file("client", '#!/bin/sh\necho "$@"\n', 0o755)
    code = push(base(), layer(start), Entrypoint=["/client", "--run"], Env=["PATH=/bin"])
    await made_of("ruby3.4", code.image, place)
    assert await says(tmp_path, place, "ruby3.4") == "--run Mine::go\n"


@pytest.mark.parametrize(
    ("name", "files", "entry", "words"),
    [
        ("java25", [], [], "no program /var/runtime/bootstrap, and no ENTRYPOINT in its place"),
        ("java25", [], ["/nowhere"], "its ENTRYPOINT /nowhere is not in it"),
        ("java25", [file("var/runtime/bootstrap", "#!/bin/bash\n", 0o755)], [], "a script for /bin/bash, which is not"),
        ("java25", [file("var/runtime/bootstrap", "#!/bin/sh\n", 0o644)], [], "no program /var/runtime/bootstrap"),
        ("cobol85", [START], [], "AWS has no runtime 'cobol85'"),
    ],
)
async def test_an_image_that_makes_no_runtime(
    push: Push, place: Mapping[str, str], name: str, files: Any, entry: list[str], words: str
) -> None:
    code = push(base(), layer(*files), Entrypoint=entry)
    with pytest.raises(BuildError, match=words):
        await made_of(name, code.image, place)
    directory = Path(place[runtimes.PLACE])
    assert not directory.exists() or not list(directory.iterdir())


@pytest.mark.docker
async def test_a_runtime_of_an_image_that_docker_has(tmp_path: Path, place: Mapping[str, str]) -> None:
    image = f"havre-test-{os.urandom(6).hex()}:1"
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, "w") as opened:
        for part in (base(), layer(START)):
            with tarfile.open(fileobj=io.BytesIO(part)) as one:
                for member in one:
                    opened.addfile(member, one.extractfile(member) if member.isfile() else None)
    changes = ["--change", "ENV FROM=docker PATH=/bin"]
    subprocess.run(["docker", "import", *changes, str(archive), image], capture_output=True, check=True)
    try:
        await made_of("dotnet10", image, place)
    finally:
        subprocess.run(["docker", "rmi", image], capture_output=True, check=True)
    assert "Mine::go docker function\n" in await says(tmp_path, place, "dotnet10")
