"""Build a runtime and put it where engines look for it, and into the local Docker Engine, to begin Dockerfiles from."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from havre.cli.runtimes.doing import BuildError, Say, run, run_inside
from havre.cli.runtimes.fetching import Fetching
from havre.cli.runtimes.loading import load
from havre.cli.runtimes.recipes import RECIPES, Recipe
from havre.kernel import runtimes

USER, UID, GID = "sbx_user1051", 993, 990
"""Whom functions run as in AWS."""
MIRROR = "HAVRE_DEBIAN_MIRROR"
_DIRECTORIES = ("/var/task", "/var/runtime", "/var/lang/bin", "/var/rapid", "/opt", "/etc")
_FINISH = "tmp/finish.sh"


def build(name: str, environment: Mapping[str, str], say: Say, *, again: bool = False) -> Path:
    """Its root file system, made if it is not there. Raises BuildError."""
    recipe = RECIPES.get(name)
    if recipe is None:
        raise BuildError(_no_recipe(name))
    directory = runtimes.place(environment)
    whole = directory / f".{name}-{recipe.version}"
    if again or not whole.exists():
        check()
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        _make(recipe, whole, environment, say)
    switch(directory / name, whole)
    load(recipe, whole / "root", say)
    return runtimes.root_of(directory, name)


def _no_recipe(name: str) -> str:
    image = runtimes.base_image(name)
    if not image:
        return f"there is no runtime {name!r}; there are recipes for: {', '.join(sorted(RECIPES))}"
    return (
        f"nothing that Debian, PyPI or npm has makes {name}; AWS's image does, where it can be pulled: "
        f"havre lambda build-runtime {name} --from-image {image}"
    )


def check() -> None:
    """Raises BuildError where no runtime can be built."""
    if os.geteuid() != 0:
        raise BuildError(
            "building a runtime needs root: it makes a root file system (sudo havre lambda build-runtime …)"
        )
    if platform.machine() not in ("x86_64", "aarch64"):
        raise BuildError(f"runtimes are built for x86_64 and aarch64; this machine is {platform.machine()}")


def _make(recipe: Recipe, whole: Path, environment: Mapping[str, str], say: Say) -> None:
    """Beside its place, then by one rename into it."""
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is not installed: apt-get install mmdebstrap (or havre doctor --fix)")
    with tempfile.TemporaryDirectory(dir=whole.parent, prefix=f".{recipe.name}-building-") as work:
        root = Path(work, "whole", "root")
        root.parent.mkdir(mode=0o755)
        say(f"{recipe.name}: Debian {recipe.suite} with {', '.join(recipe.packages)}")
        _bootstrap(root, recipe, environment)
        for directory in _DIRECTORIES:
            (root / directory.lstrip("/")).mkdir(mode=0o755, parents=True, exist_ok=True)
        _fetch(root, recipe, Path(work), say)
        _furnish(root, recipe)
        _finish(root, recipe)
        root.chmod(0o755)
        put(root.parent, whole, Path(work))


def put(made: Path, whole: Path, work: Path) -> None:
    """In the place of what is there."""
    if whole.exists():
        whole.rename(work / "former")
    made.rename(whole)


def _bootstrap(root: Path, recipe: Recipe, environment: Mapping[str, str]) -> None:
    mirror = environment.get(MIRROR, "")
    options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(recipe.packages)}"]
    run(["mmdebstrap", *options, recipe.suite, str(root), *([mirror] if mirror else [])], "mmdebstrap")


def _fetch(root: Path, recipe: Recipe, work: Path, say: Say) -> None:
    fetching = Fetching(work)
    if recipe.requirements:
        say(f"{recipe.name}: AWS's interface client and SDK, from PyPI")
        fetching.wheels(root, recipe)
    if recipe.node:
        node = recipe.node[platform.machine()]
        say(f"{recipe.name}: {node.name} {node.version}, AWS's interface client and SDK, from npm")
        fetching.node(root, node)
        fetching.locked(root, recipe)
        fetching.modules(root, recipe.modules)


def _furnish(root: Path, recipe: Recipe) -> None:
    for target, name in recipe.scripts.items():
        path = root / target.lstrip("/")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(recipe.script(name))
        path.chmod(0o755)
    for link, target in recipe.links.items():
        (root / link.lstrip("/")).symlink_to(target)
    with (root / "etc/passwd").open("a") as passwd:
        passwd.write(f"{USER}:x:{UID}:{GID}::/home/{USER}:/sbin/nologin\n")
    with (root / "etc/group").open("a") as group:
        group.write(f"{USER}:x:{GID}:\n")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()  # Dockerfiles that begin from this image install packages by pip


def _finish(root: Path, recipe: Recipe) -> None:
    if not recipe.finish:
        return
    script = root / _FINISH
    script.write_text(recipe.script(recipe.finish))
    run_inside(root, ["/bin/sh", f"/{_FINISH}"], recipe.finish)
    script.unlink()


def switch(name: Path, whole: Path) -> None:
    """Whoever looks finds the former one or this one. Roots that are in use go on: only names change."""
    if name.is_symlink() and name.readlink() == Path(whole.name):
        return
    fresh = name.with_name(f".{name.name}-link-{os.getpid()}")
    fresh.symlink_to(whole.name)
    fresh.rename(name)
