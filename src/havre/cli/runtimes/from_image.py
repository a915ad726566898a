"""Runtimes made of an image: AWS's base image of one, or any that starts a runtime interface client as it does."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from havre.cli.doctor import engine_answers
from havre.cli.runtimes.build import check, put, switch
from havre.cli.runtimes.doing import BuildError, Say, run
from havre.kernel import runtimes
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code
from havre.kernel.workload import Registry

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_FLATTEN = 'mount -t overlay overlay -o "ro,lowerdir=$1" "$2" && cp -a "$2/." "$3"'
_NO_COMMAND = "none"
"""Containers are made of images, not run; those without a command want one all the same."""


class Found(NamedTuple):
    """``config`` as in OCI's image configuration: Entrypoint, Env."""

    digest: str
    architecture: str
    config: Mapping[str, Any]


def build_from(name: str, image: str, environment: Mapping[str, str], say: Say, *, again: bool = False) -> Path:
    """Its root file system, made if it is not there. Raises BuildError."""
    check()
    if not runtimes.base_image(name):
        raise BuildError(f"AWS has no runtime {name!r}: a function could not name it")
    directory = runtimes.place(environment)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = _in_docker(image)
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{name}-building-") as text:
            work = Path(text)
            if found is None:
                say(f"{name}: {image}, from its registry")
                found = _pulled(image, work, environment)
            else:
                say(f"{name}: {image}, from the Docker Engine")
                _exported(image, work)
            whole = directory / f".{name}-image-{found.digest.removeprefix('sha256:')[:12]}"
            _check(name, image, found, work / "whole/root")
            if again or not whole.exists():
                runtimes.describe(work / "whole", _described(name, image, found, work / "whole/root"))
                put(work / "whole", whole, work)
    except (Permanent, Temporary, OSError) as error:
        raise BuildError(f"{image}: {error}") from error
    switch(directory / name, whole)
    return runtimes.root_of(directory, name)


def _described(name: str, image: str, found: Found, root: Path) -> runtimes.FromImage:
    pairs = (str(pair).partition("=") for pair in found.config.get("Env") or ())
    own = tuple(map(str, found.config.get("Entrypoint") or ()))
    usual = runtimes.is_provided(name) or _is_program(root, runtimes.ENTRY)
    return runtimes.FromImage(image, found.digest, () if usual else own, {k: v for k, _, v in pairs})


# --- what a runtime needs


def _check(name: str, image: str, found: Found, root: Path) -> None:
    """Raises BuildError with all that is missing."""
    wanted = _MACHINES[platform.machine()]
    missing = []
    if found.architecture and found.architecture != wanted:
        missing.append(f"it is for {found.architecture}, and this machine is {wanted}")
    if not runtimes.is_provided(name):
        missing += _no_start(found, root)
    if missing:
        raise BuildError(f"{image} makes no runtime {name}: {'; '.join(missing)}")


def _no_start(found: Found, root: Path) -> list[str]:
    """Why nothing would take invocations."""
    entry = [str(word) for word in found.config.get("Entrypoint") or ()]
    program = runtimes.ENTRY
    if not _is_program(root, program):
        if not entry:
            return [f"it has no program {runtimes.ENTRY}, and no ENTRYPOINT in its place"]
        program = entry[0]
        if not _is_program(root, program):
            return [f"it has no program {runtimes.ENTRY}, and its ENTRYPOINT {program} is not in it"]
    path = _inside(root, program)
    with path.open("rb") as file:
        head = file.readline(256)
    interpreter = head[2:].split()[0].decode("utf-8", "replace") if head.startswith(b"#!") and head[2:].split() else ""
    if interpreter and not _is_program(root, interpreter):
        return [f"{program} is a script for {interpreter}, which is not in it"]
    return []


def _is_program(root: Path, name: str) -> bool:
    path = _inside(root, name)
    return path.is_file() and os.access(path, os.X_OK)


def _inside(root: Path, name: str) -> Path:
    """Where this path leads in that root, links followed as they are meant there; names alone are looked for in PATH."""
    if "/" not in name:
        places = (f"{place}/{name}" for place in ("/var/lang/bin", "/usr/local/bin", "/usr/bin", "/bin"))
        return next((path for path in (_inside(root, place) for place in places) if path.exists()), root / "nowhere")
    at = root
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for _ in range(256):
        if not parts:
            return at
        part = parts.pop(0)
        if part == "..":
            at = at.parent if at != root else root
            continue
        at = at / part
        if at.is_symlink():
            target = str(at.readlink())
            at = root if target.startswith("/") else at.parent
            parts = [p for p in target.split("/") if p not in ("", ".")] + parts
    return root / "nowhere"


# --- of the Docker Engine


def _in_docker(image: str) -> Found | None:
    if shutil.which("docker") is None or not engine_answers():
        return None
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    if done.returncode != 0:
        return None
    said = json.loads(done.stdout)[0]
    return Found(str(said["Id"]), str(said.get("Architecture") or ""), said.get("Config") or {})


def _exported(image: str, work: Path) -> None:
    from havre.engines.oci import layers

    (work / "whole").mkdir(mode=0o755)
    container = run(["docker", "create", image, _NO_COMMAND], "docker create").decode().strip()
    try:
        command = ["docker", "export", container]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as exporting:
            assert exporting.stdout is not None, "it is a pipe"
            layers.unpack(exporting.stdout, work / "whole/root")
        if exporting.returncode != 0:
            raise BuildError(f"docker export failed with {exporting.returncode}")
    finally:
        run(["docker", "rm", container], "docker rm")


# --- of a registry


class _Registries:
    """Sources (engines/sandbox.py) of images alone, with what ``docker login`` has left."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        home = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or "/root", ".docker"))
        try:
            said = json.loads((home / "config.json").read_bytes())
            self._known: Mapping[str, Any] = said.get("auths") or {}
        except (OSError, ValueError, AttributeError):
            self._known = {}

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        host = image.partition("/")[0]
        known = self._known.get(host) or {}
        try:
            username, colon, password = base64.b64decode(str(known.get("auth") or "")).decode().partition(":")
        except ValueError:
            return image, None
        return image, Registry(host, username, password) if colon else None

    async def archive(self, code: Code) -> Path:
        raise Permanent("there are no archives here")


def _pulled(image: str, work: Path, environment: Mapping[str, str]) -> Found:
    from havre.engines.oci.images import Images

    images = Images(work / "images", _Registries(environment))
    pulled = asyncio.run(images.pull(image, ""))
    root, stage, empty = work / "whole/root", work / "stage", images.directory / "empty"
    for directory in (root.parent, root, stage, empty):
        directory.mkdir(mode=0o755)
    lower = ":".join((*pulled.layers, empty.name))
    own = ["unshare", "--mount", "--propagation=slave", f"--wd={images.directory}", "/bin/sh", "-c", _FLATTEN]
    run([*own, "sh", lower, str(stage), str(root)], "overlay")
    config = {"Entrypoint": pulled.entry_point, "Env": [f"{k}={v}" for k, v in pulled.environment.items()]}
    return Found(pulled.digest, "", config)
