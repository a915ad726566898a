"""What runtimes are made of, and what is refused while they are made."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from havre.cli.runtimes import build, fetching, from_image
from havre.cli.runtimes.doing import BuildError, run
from havre.cli.runtimes.recipes import RECIPES, Package
from havre.kernel import runtimes


def test_every_runtime_that_is_said_to_be_made_has_a_recipe() -> None:
    assert set(RECIPES) == set(runtimes.BUILT)
    for name, recipe in RECIPES.items():
        assert recipe.name == name and runtimes.base_image(name)
        texts = [recipe.script(script) for script in {*recipe.scripts.values(), recipe.finish} - {""}]
        assert not any("@VERSION@" in text or "@CLASSES@" in text or "@EXPERIMENTS@" in text for text in texts)
        assert runtimes.is_provided(name) or "/var/runtime/bootstrap" in recipe.scripts


def test_a_recipe_has_another_version_when_anything_in_it_changes() -> None:
    recipe = RECIPES["java21"]
    others = {replace(recipe, packages=(*recipe.packages, "more")).version, replace(recipe, suite="sid").version}
    others.add(replace(recipe, words={**recipe.words, "NAME": "java22"}).version)
    assert len({recipe.version, *others}) == 4 and RECIPES["java21"].version == recipe.version


REQUIRE, DETECT = "--no-experimental-require-module", "--no-experimental-detect-module"


@pytest.mark.parametrize(
    "runtime, options, off",
    [
        ("nodejs22.x", "", [REQUIRE, DETECT]),
        ("nodejs22.x", "--experimental-detect-module", [REQUIRE]),
        ("nodejs20.x", "--a --experimental-detect-module --experimental-require-module", []),
        ("nodejs22.x", "--experimental-require-modules", [REQUIRE, DETECT]),
        ("nodejs24.x", "", []),
    ],
)
def test_node_options_bring_back_what_lambda_turns_off(
    tmp_path: Path, runtime: str, options: str, off: list[str]
) -> None:
    recipe = RECIPES[runtime]
    script = tmp_path / "bootstrap"
    script.write_bytes(recipe.script(recipe.scripts["/var/runtime/bootstrap"]).encode())
    around = {"PATH": "/usr/bin:/bin", "NODE_OPTIONS": options, "AWS_LAMBDA_EXEC_WRAPPER": "/bin/echo"}
    started = subprocess.run(["/bin/sh", script], env=around, capture_output=True, text=True, check=True).stdout.split()
    assert [word for word in started if word.startswith("--no-")] == off and started[-1] == "/var/runtime/index.mjs"


def test_what_there_is_no_recipe_for_says_where_it_can_come_from(tmp_path: Path) -> None:
    environment = {runtimes.PLACE: str(tmp_path)}
    with pytest.raises(BuildError, match=r"build-runtime dotnet8 --from-image public.ecr.aws/lambda/dotnet:8$"):
        build.build("dotnet8", environment, print)
    with pytest.raises(
        BuildError, match=r"there is no runtime 'fortran'; there are recipes for: java17, java17\.al2023"
    ):
        build.build("fortran", environment, print)
    assert runtimes.how_to_make("python3.13") == "havre lambda build-runtime python3.13"
    assert runtimes.how_to_make("dotnet8") == "havre lambda build-runtime dotnet8 --from-image IMAGE"
    assert list(tmp_path.iterdir()) == []


def test_runtimes_that_are_there(tmp_path: Path) -> None:
    assert runtimes.there(tmp_path / "nowhere") == []
    for name in ("python3.13", ".python3.13-1a2b", "ruby3.3", "half"):
        (tmp_path / name / ("root" if name != "half" else "other")).mkdir(parents=True)
    assert runtimes.there(tmp_path) == ["python3.13", "ruby3.3"]
    assert runtimes.made_from(tmp_path, "ruby3.3") is None
    made = runtimes.FromImage("a:1", "sha256:0", ("/x",), {"A": "b"})
    runtimes.describe(tmp_path / "ruby3.3", made)
    assert runtimes.made_from(tmp_path, "ruby3.3") == made


def packed(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o755 if name.endswith("node") else 0o640
            archive.addfile(info, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("package/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


def npm(monkeypatch: pytest.MonkeyPatch, work: Path, content: bytes) -> fetching.Fetching:
    """One whose npm gives this, whatever it is asked for."""
    made = fetching.Fetching(work)
    made.__dict__["_npm"] = ["npm"]

    def pack(command: list[str], name: str, environment: Mapping[str, str] | None = None) -> bytes:
        (work / "some-package-1.0.0.tgz").write_bytes(content)
        return json.dumps([{"filename": "@some/package-1.0.0.tgz"}]).encode()

    monkeypatch.setattr(fetching, "run", pack)
    return made


def package(content: bytes) -> Package:
    return Package("@some/package", "1.0.0", "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode())


def test_packages_are_what_their_digest_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = packed(
        {"package/bin/node": "x", "package/deps/big": "y", "package/../../out": "z", "package/index.mjs": "i"}
    )
    npm(monkeypatch, tmp_path, content).modules(tmp_path / "root", [package(content)])
    there = tmp_path / "root/var/runtime/node_modules/@some/package"
    found = {str(p.relative_to(there)): oct(p.stat().st_mode & 0o777) for p in there.rglob("*") if not p.is_dir()}
    assert found == {"bin/node": "0o755", "index.mjs": "0o644"}
    assert not (tmp_path / "root/var/runtime/node_modules/out").exists()
    with pytest.raises(BuildError, match=r"@some/package@1.0.0 is not what it was when its digest was written down"):
        npm(monkeypatch, tmp_path, content).node(tmp_path / "other", package(b"else"))
    assert not (tmp_path / "other").exists()


def test_npm_that_gives_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = npm(monkeypatch, tmp_path, b"")
    monkeypatch.setattr(fetching, "run", lambda *_: b"nothing")
    with pytest.raises(BuildError, match=r"npm gave nothing for @some/package@1.0.0"):
        made.node(tmp_path, package(b""))


def test_programs_that_fail_say_how() -> None:
    assert run(["/bin/sh", "-c", "echo said"], "it") == b"said\n"
    with pytest.raises(BuildError, match=r"it failed with 3:\nwhy"):
        run(["/bin/sh", "-c", "echo why >&2; exit 3"], "it")
    with pytest.raises(BuildError, match="it does not start"):
        run(["/nowhere/at/all"], "it")


@pytest.mark.parametrize(
    ("links", "name", "where"),
    [
        ({}, "/bin/sh", "bin/sh"),
        ({"bin": "usr/bin"}, "/bin/sh", "usr/bin/sh"),
        ({"bin": "/usr/bin"}, "/bin/sh", "usr/bin/sh"),
        ({"a": "../../../../usr/bin"}, "/a/sh", "usr/bin/sh"),
        ({"usr/bin/sh": "dash", "bin": "usr/bin"}, "/bin/sh", "usr/bin/dash"),
        ({"a": "b", "b": "a"}, "/a/sh", "nowhere"),
        ({}, "/../../etc/passwd", "etc/passwd"),
    ],
)
def test_links_lead_nowhere_outside_of_a_root(tmp_path: Path, links: Mapping[str, str], name: str, where: str) -> None:
    for link, target in links.items():
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(target)
    found: Any = from_image._inside(tmp_path, name)
    assert found == tmp_path / where
