"""Code: archives that are none, or are traps; from S3, from the registry; kept, downloaded, forgotten."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import struct
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.lambda_.lambda_harness import Lambda, archive, arn, digest, refusal

from havre.apps.code_downloads import Downloads
from havre.apps.code_store import YOUNG, DiskCodeStore
from havre.control.operation import Operations, Service
from havre.kernel.errors import ApiError, Gone
from havre.services.lambda_ import downloads
from havre.services.lambda_.rules import archives

INVALID = "InvalidParameterValueException"


def made(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for entry, data in entries:
            zipped.writestr(entry, data)
    return file.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def claims(size: int) -> bytes:
    """An archive whose directory says that its one file has ``size`` bytes."""
    data = bytearray(made(("a", b"x" * 100)))
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, size)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06",
        made(),
        made(("../out", b"x")),
        made(("a/../../out", b"x")),
        made(("/etc/passwd", b"x")),
        made(("a\\..\\b", b"x")),
        made(link("a", "/etc"), ("a/passwd", b"x")),
        made(link("a", "/etc"), ("a/b/passwd", b"x")),
        made(link("./a", "/etc"), ("a/passwd", b"x")),
        made(link("a", "/etc"), link("./a//b", "passwd")),
        made(link("b/./a", "/etc"), ("b/a/", b"")),
        made(("a", b"x"), ("a/b", b"x")),
        made(("a/b/c", b"x"), ("a/b", b"x")),
        made(("n" * 256, b"x")),
        made(("a", b"x")).replace(b"a", b"\0"),
        made(("\N{SNOWMAN}" * 86, b"x")),
        claims(200_000_000),
    ],
)
def test_traps_are_refused(data: bytes) -> None:
    with pytest.raises(ApiError, match="Could not unzip uploaded file"):
        archives.unzipped_size(data)


def test_what_would_be_too_large_unpacked_is_not_unpacked_to_find_out() -> None:
    bomb = made(("zeros", bytes(archives.UNZIPPED)))
    assert len(bomb) < 1_000_000
    with pytest.raises(ApiError, match=f"Unzipped size must be smaller than {archives.UNZIPPED} bytes"):
        archives.unzipped_size(bomb)


def test_links_and_directories_are_no_traps_by_themselves() -> None:
    assert archives.unzipped_size(made(("a/", b""), link("a/b", "c"), ("a/c", b"1234"))) == 5


@given(st.lists(st.sampled_from(["..", ".", "a", "b", ""]), min_size=1, max_size=6))
def test_no_path_that_is_let_in_leads_out(parts: list[str]) -> None:
    name = "/".join(parts)
    base = "/var/task"
    if archives.inside(name):
        assert os.path.normpath(f"{base}/{name}").startswith(base)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=200), min_size=1, max_size=5))
def test_the_size_is_that_of_the_files(files: dict[str, bytes]) -> None:
    assert archives.unzipped_size(made(*files.items())) == sum(map(len, files.values()))


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_broken_archives_are_refused_or_read_and_never_more(data: bytes, at: int, value: int) -> None:
    whole = bytearray(made(("a", data), ("b", data)))
    whole[at % len(whole)] = value
    try:
        archives.unzipped_size(bytes(whole))
    except ApiError:
        pass


# S3


def bucket() -> Service:
    ops = Operations()

    @ops("GetObject", resources=lambda c, r: (f"arn:aws:s3:::{r['Bucket']}/{r['Key']}",))
    async def get_object(call: Any, request: Any) -> Any:
        if request["Key"] == "forbidden":
            raise ApiError("AccessDenied", "Access Denied", 403)
        if request["Key"] != "code.zip":
            raise ApiError("NoSuchKey", "The specified key does not exist.", 404)
        data = archive({"app.py": request.get("VersionId", "latest")})

        async def body() -> Any:
            yield data[:10]
            yield data[10:]

        return {"Body": body(), "ContentLength": len(data)}

    return Service("s3", ops.all)


@pytest.fixture
def with_bucket() -> Iterator[Lambda]:
    found = Lambda(besides=(bucket(),))
    yield found
    found.close()


def test_code_comes_from_a_bucket(with_bucket: Lambda) -> None:
    code = {"S3Bucket": "code", "S3Key": "code.zip"}
    with_bucket.create(Code={**code, "S3ObjectVersion": "v7"})
    assert with_bucket.functions.prepared[-1].code.digest == digest(archive({"app.py": "v7"}))
    code_, message = refusal(with_bucket.create, name="two", Code={**code, "S3Key": "none"})
    assert (code_, message) == (
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    )
    assert refusal(with_bucket.create, name="two", Code={**code, "S3Key": "forbidden"})[0] == "AccessDeniedException"
    assert refusal(with_bucket.create, name="two", Code={**code, "ZipFile": archive()})[0] == INVALID


def test_an_archive_of_more_than_50_mb_comes_by_s3(lambdas: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ZIPPED", 10)
    code, message = refusal(lambdas.create)
    assert code == "RequestEntityTooLargeException" and message == "Zipped size must be smaller than 10 bytes"


# The registry


def registry() -> Service:
    ops = Operations()

    @ops("DescribeImages", resources=lambda c, r: (f"arn:aws:ecr:{c.region}:{c.account}:repository/x",))
    async def describe(call: Any, request: Any) -> Any:
        wanted = request["imageIds"][0].get("imageTag")
        if request["repositoryName"] != "team/app" or wanted == "none":
            raise ApiError("ImageNotFoundException", "not there", 400)
        kind = "list.v2" if wanted == "many" else "v2"
        media = f"application/vnd.docker.distribution.manifest.{kind}+json"
        return {"imageDetails": [{"imageDigest": "sha256:" + "a" * 64, "imageManifestMediaType": media}]}

    return Service("ecr", ops.all)


@pytest.fixture
def with_registry() -> Iterator[Lambda]:
    found = Lambda(besides=(registry(),))
    yield found
    found.close()


def test_images_come_from_the_registry(with_registry: Lambda) -> None:
    port = with_registry.running.gateway.parts.site.port
    uri = f"127.0.0.1:{port}/team/app:v1"
    image: dict[str, Any] = {"PackageType": "Image", "Runtime": None, "Handler": None}
    config = {"Command": ["app.handler"], "EntryPoint": ["/run"], "WorkingDirectory": "/work"}
    shown = with_registry.create(Code={"ImageUri": uri}, ImageConfig=config, **image)
    assert shown["CodeSha256"] == "a" * 64 and "Runtime" not in shown and shown["CodeSize"] == 0
    assert shown["ImageConfigResponse"]["ImageConfig"] == config
    function = with_registry.functions.prepared[-1]
    assert function.code.image == f"127.0.0.1:{port}/team/app@sha256:{'a' * 64}"
    assert (function.entry_point, function.command) == (("/run",), ("app.handler",))
    code = with_registry.client.get_function(FunctionName="one")["Code"]
    assert code == {
        "RepositoryType": "ECR",
        "ImageUri": uri,
        "ResolvedImageUri": f"127.0.0.1:{port}/team/app@sha256:{'a' * 64}",
    }
    amazon = "111122223333.dkr.ecr.us-east-1.amazonaws.com/team/app"
    with_registry.create("two", Code={"ImageUri": amazon}, **image)
    assert with_registry.functions.prepared[-1].code.image.startswith(f"127.0.0.1:{port}/team/app@")
    snap = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
    assert (
        "SnapStart is not supported"
        in refusal(with_registry.create, name="three", Code={"ImageUri": uri}, **image, **snap)[1]
    )
    wrong = [
        (f"127.0.0.1:{port}/team/app:none", INVALID, "does not exist. Provide a valid source image."),
        (f"127.0.0.1:{port}/team/app:many", INVALID, "media type for the source image"),
        ("docker.io/library/python", INVALID, "is not valid. Provide a valid source image."),
        (amazon.replace("us-east-1", "eu-west-1"), INVALID, "is not valid"),
        (amazon.replace("1111", "4444"), "AccessDeniedException", "does not have permission to access the ECR image"),
    ]
    for each, code_, words in wrong:
        found, message = refusal(with_registry.create, name="three", Code={"ImageUri": each}, **image)
        assert found == code_ and words in message
    update = with_registry.client.update_function_code
    assert "Please provide ImageUri when updating" in refusal(update, FunctionName="one", ZipFile=archive())[1]


# Kept, downloaded, forgotten


def test_an_archive_is_kept_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    store = DiskCodeStore(tmp_path / "functions", lambda: 0.0)
    found = asyncio.run(store.put(b"code"))
    assert found == digest(b"code") and asyncio.run(store.put(b"code")) == found
    assert store.path(found).read_bytes() == b"code"
    assert stat.S_IMODE(store.path(found).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "functions").stat().st_mode) == 0o700
    assert len(list((tmp_path / "functions").iterdir())) == 1
    for wrong in ("", "..", "a" * 64, "../" + "a" * 61):
        with pytest.raises(Gone):
            store.path(wrong)


def test_the_sweep_leaves_what_is_used_and_what_is_young(tmp_path: Path) -> None:
    now = [0.0]
    store = DiskCodeStore(tmp_path, lambda: now[0])
    used, old, young = (asyncio.run(store.put(data)) for data in (b"used", b"old", b"young"))
    for name, at in ((used, 0.0), (old, 0.0), (young, 100.0)):
        os.utime(store.path(name), (at, at))
    now[0] = YOUNG + 50
    asyncio.run(store.sweep({used}))
    assert {p.name for p in tmp_path.iterdir()} == {used, young}


def test_what_no_record_names_is_swept(lambdas: Lambda) -> None:
    from havre.services.lambda_.reconcile.code import used_digests

    first, second, third = (archive({"app.py": text}) for text in ("1", "2", "3"))
    lambdas.create(Code={"ZipFile": first}, Publish=True)
    lambdas.client.publish_layer_version(LayerName="lib", Content={"ZipFile": third})
    lambdas.client.update_function_code(FunctionName="one", ZipFile=second)
    lambdas.client.delete_function(FunctionName="one", Qualifier="1")
    store = lambdas.running.store
    assert used_digests(store) == {digest(first), digest(second), digest(third)}  # the first still serves
    lambdas.reconcile()
    assert used_digests(store) == {digest(second), digest(third)}


def test_code_is_downloaded_by_the_link_that_the_api_gives() -> None:
    holder: list[Downloads] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await holder[0](scope, receive, send)

    lambdas = Lambda(internal={"/_havre/functions": page})
    try:
        holder.append(Downloads(lambdas.facilities, lambdas.running.world.now))
        lambdas.create()
        location = lambdas.client.get_function(FunctionName="one")["Code"]["Location"]
        own = location.replace(f":{lambdas.running.gateway.parts.site.port}/", f":{lambdas.running.port}/")
        assert urllib.request.urlopen(own).read() == archive()
        lambdas.client.publish_layer_version(LayerName="lib", Content={"ZipFile": archive({"x": "y"})})
        content = lambdas.client.get_layer_version_by_arn(Arn=arn("layer:lib:1"))["Content"]["Location"]
        for wrong in (
            own[:-1] + ("0" if own[-1] != "0" else "1"),
            own.partition("?")[0],
            own.replace("Expires=1", "Expires=2"),
            own[:-1] + "%C3%A9",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(wrong)
            assert refused.value.code == 403
        assert digest(archive({"x": "y"})) in content
        lambdas.running.offset = downloads.LIFE + 1
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(own)
    finally:
        lambdas.close()
