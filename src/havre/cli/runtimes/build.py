"""Build a runtime and put it where engines look for it, and into the local Docker Engine, to begin Dockerfiles from."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from havre.cli.doctor import engine_answers
from havre.cli.runtimes.recipes import RECIPES, SUITE, Recipe
from havre.kernel import runtimes

USER, UID, GID = "sbx_user1051", 993, 990
"""Whom functions run as in AWS."""
_DIRECTORIES = ("/var/task", "/var/runtime", "/var/lang/bin", "/var/rapid", "/opt", "/etc")
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
MIRROR = "HAVRE_DEBIAN_MIRROR"

Say = Callable[[str], None]


class BuildError(Exception):
    """In words, for whoever typed the command."""


def build(name: str, environment: Mapping[str, str], say: Say, *, again: bool = False) -> Path:
    """Its root file system, made if it is not there. Raises BuildError."""
    recipe = RECIPES.get(name)
    if recipe is None:
        raise BuildError(f"no recipe for {name!r}; there are: {', '.join(sorted(RECIPES))}")
    directory = runtimes.place(environment)
    whole = directory / f".{name}-{recipe.version}"
    if again or not whole.exists():
        _check()
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        _make(recipe, whole, environment, say)
    _switch(directory / name, whole)
    _load(recipe, whole / "root", say)
    return runtimes.root_of(directory, name)


def _check() -> None:
    if os.geteuid() != 0:
        raise BuildError(
            "building a runtime needs root: it makes a root file system (sudo havre lambda build-runtime …)"
        )
    if platform.machine() not in ("x86_64", "aarch64"):
        raise BuildError(f"runtimes are built for x86_64 and aarch64; this machine is {platform.machine()}")
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is not installed: apt-get install mmdebstrap (or havre doctor --fix)")


def _make(recipe: Recipe, whole: Path, environment: Mapping[str, str], say: Say) -> None:
    """Beside its place, then by one rename into it."""
    with tempfile.TemporaryDirectory(dir=whole.parent, prefix=f".{recipe.name}-building-") as work:
        root = Path(work, "whole", "root")
        root.parent.mkdir(mode=0o755)
        say(f"{recipe.name}: Debian {SUITE} with {', '.join(recipe.packages)}")
        _bootstrap(root, recipe.packages, environment)
        _furnish(root, recipe)
        if recipe.wheels:
            say(f"{recipe.name}: {', '.join(recipe.wheels)}")
            _wheels(root, recipe)
        if recipe.modules:
            say(f"{recipe.name}: {', '.join(recipe.modules)}, which takes a compiler and some minutes")
            _modules(root, recipe, Path(work, "tools"), environment)
        root.chmod(0o755)
        if whole.exists():
            whole.rename(Path(work, "former"))
        root.parent.rename(whole)


def _bootstrap(root: Path, packages: Sequence[str], environment: Mapping[str, str]) -> None:
    mirror = environment.get(MIRROR, "")
    options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    _run(["mmdebstrap", *options, SUITE, str(root), *([mirror] if mirror else [])], "mmdebstrap")


def _furnish(root: Path, recipe: Recipe) -> None:
    for directory in _DIRECTORIES:
        (root / directory.lstrip("/")).mkdir(mode=0o755, parents=True, exist_ok=True)
    for target, name in recipe.scripts.items():
        path = root / target.lstrip("/")
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


def _wheels(root: Path, recipe: Recipe) -> None:
    version = recipe.name.removeprefix("python")
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        pip = ["python3", "-m", "pip"]
    machine = platform.machine()
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--only-binary=:all:", "--implementation=cp"]
    options += ["--root-user-action=ignore", f"--python-version={version}", f"--target={root / 'var/runtime'}"]
    options += [f"--platform=manylinux{tag}_{machine}" for tag in ("2014", "_2_28")]
    _run([*pip, "install", *options, *recipe.wheels], "pip")
    compiled = ["-q", "-j2", "--invalidation-mode=unchecked-hash", "/var/runtime", f"/usr/lib/python{version}"]
    _run(["chroot", str(root), f"/usr/bin/python{version}", "-m", "compileall", *compiled], "compileall")


def _modules(root: Path, recipe: Recipe, tools: Path, environment: Mapping[str, str]) -> None:
    """The client has a part in C++: it is compiled in a root of its own, with the same packages, which is thrown away."""
    _bootstrap(tools, (*recipe.packages, *recipe.tools), environment)
    for name in ("etc/resolv.conf", "etc/hosts", "root/.npmrc", CERTIFICATES):  # whatever a company adds to them
        if Path("/", name).exists():
            shutil.copyfile(Path("/", name), tools / name)
    (tools / "build").mkdir()
    kept = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy") or k.startswith("npm_config_")}
    options = ["--prefix", "/build", "--no-audit", "--no-fund", "--loglevel=error", "--nodedir=/usr"]
    inside = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        f"--root={tools}",
        "--mount-proc",
    ]  # npm ends midway without /proc
    _run(
        [*inside, "npm", "install", *options, *recipe.modules],
        "npm",
        {**kept, "HOME": "/root", "NODE_EXTRA_CA_CERTS": f"/{CERTIFICATES}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    for module in recipe.modules:
        name = module.partition("@")[0]
        source = tools / "build/node_modules" / name
        left_out = shutil.ignore_patterns("deps", "src", "scripts", "node-addon-api", "obj.target", "*.gyp")
        shutil.copytree(source, root / "var/runtime/node_modules" / name, symlinks=True, ignore=left_out)


def _run(command: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise BuildError(f"{name} failed with {done.returncode}:\n" + "\n".join(said[-15:]))


def _switch(name: Path, whole: Path) -> None:
    """Whoever looks finds the former one or this one. Roots that are in use go on: only names change."""
    if name.is_symlink() and name.readlink() == Path(whole.name):
        return
    fresh = name.with_name(f".{name.name}-link-{os.getpid()}")
    fresh.symlink_to(whole.name)
    fresh.rename(name)


def _load(recipe: Recipe, root: Path, say: Say) -> None:
    """Into the local Docker Engine, if there is one: an image to begin Dockerfiles from."""
    if shutil.which("docker") is None or not engine_answers():
        return
    label = f"havre.runtime={recipe.version}"
    there = subprocess.run(
        ["docker", "images", "-q", "--filter", f"label={label}", recipe.tag], capture_output=True, check=False
    )
    if there.returncode == 0 and there.stdout.strip():
        return
    say(f"{recipe.name}: into the Docker Engine as {recipe.tag}")
    changes = [f"ENV {key}={value}" for key, value in recipe.environment.items()]
    changes += ["WORKDIR /var/task", "ENTRYPOINT " + _json(recipe.entry_point), f"LABEL {label}"]
    archive = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", recipe.tag]
    done = subprocess.run(command, stdin=archive.stdout, capture_output=True, check=False)
    if archive.stdout is not None:
        archive.stdout.close()
    if archive.wait() != 0 or done.returncode != 0:
        raise BuildError(f"docker import failed: {done.stderr.decode('utf-8', 'replace').strip()}")


def _json(words: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"
