"""Images: pulled as the ECS agent pulls by default, each layer unpacked once for all images that have it.

Every task asks what its tag means now; when the registry does not answer, or refuses, the image that is here is
used. A digest that the machine has cannot move, and is not asked for again.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.oci import layers, pulling
from havre.engines.oci.pulling import DIGEST, of_this_machine, short
from havre.engines.oci.registry import Puller, Reference
from havre.engines.ports import Image
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import Registry

_MOST_LAYERS = 127
_NAME = re.compile(r"[a-z0-9]+((\.|_{1,2}|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_UNREACHABLE_FOR = 30.0
"""Seconds for which a registry that did not answer is not asked again for images that are here."""
LEAST_AGE = 3600.0
"""Seconds since its last use after which an image may go (ECS_IMAGE_MINIMUM_CLEANUP_AGE)."""
_MOST_AT_ONCE = 5
"""Images that go in one look (ECS_NUM_IMAGES_DELETE_PER_CYCLE)."""


class Stored(msgspec.Struct, frozen=True):
    """An image that is here. ``layers``: names in the cache's directory, the top first."""

    id: str
    layers: tuple[str, ...]
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    directory: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}


class ImageCache:
    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self.directory = directory
        self._now = now
        self._unreachable: dict[str, float] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._pulling = 0
        self._sweeping = asyncio.Lock()

    def settle(self) -> None:
        """What a life that was killed left goes. Raises OSError."""
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        for left in (*self.directory.glob(".*"), *self.directory.glob("*.new")):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    # --- pulling

    async def pull(self, reference: str, registry: Registry | None, *, always: bool) -> Image:
        """Raises Permanent in the registry's words, Temporary when it does not answer."""
        cached = self.cached(reference)
        if cached is not None and ("@" in reference or not always):
            return cached
        place, now = parse(reference), asyncio.get_running_loop().time()
        if cached is not None and now < self._unreachable.get(place.host, 0.0):
            return cached
        try:
            async with self._sweeping:
                self._pulling += 1
            try:
                return await self._pull(reference, place, registry)
            finally:
                self._pulling -= 1
        except Temporary:
            if cached is None:
                raise
            self._unreachable[place.host] = now + _UNREACHABLE_FOR
            return cached
        except Permanent:
            if cached is None:
                raise
            return cached

    async def _pull(self, reference: str, place: Reference, registry: Registry | None) -> Image:
        """What is there already is not fetched again, and nothing is fetched twice at the same time."""
        puller = Puller(place, registry)
        try:
            digest, manifest = await asyncio.to_thread(puller.manifest, place.version)
            known = self._known(digest)
            if known is None:
                turn = self._turns.setdefault(digest, asyncio.Lock())
                try:
                    async with turn:
                        known = self._known(digest)
                        if known is None:
                            known = await asyncio.to_thread(self._fetch, puller, digest, manifest)
                finally:
                    if not turn.locked():
                        self._turns.pop(digest, None)
            self._write(_of(reference), known)
        except OSError as error:
            raise Temporary(f"{reference} cannot be kept: {error}") from error
        return known

    def cached(self, reference: str) -> Image | None:
        found = self._read(_of(reference), Image)
        if found is None and "@" in reference:
            found = self._known(reference.partition("@")[2])
        return found if found is not None and self.stored(found.id) is not None else None

    def _known(self, digest: str) -> Image | None:
        """By the digest of its manifest, or of an index that has it."""
        found = self._read(f"digest-{short(digest)}", Image)
        return found if found is not None and self.stored(found.id) is not None else None

    def stored(self, id: str) -> Stored | None:
        """By the digest of its configuration; None when not all of it is here."""
        found = self._read(f"image-{short(id)}", Stored)
        return found if found and all((self.directory / layer).is_dir() for layer in found.layers) else None

    def used(self, id: str) -> None:
        """It counts as used now."""
        with suppress(OSError):
            os.utime(self.directory / f"image-{short(id)}.json", (self._now(), self._now()))

    def _read(self, name: str, kind: Any) -> Any:
        try:
            return msgspec.json.decode((self.directory / f"{name}.json").read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, name: str, value: msgspec.Struct) -> None:
        """Raises OSError. Said already is said."""
        target, content = self.directory / f"{name}.json", msgspec.json.encode(value)
        with suppress(OSError):
            if target.read_bytes() == content:
                return
        handle, fresh = tempfile.mkstemp(dir=self.directory, suffix=".new")
        with open(handle, "wb") as file:
            file.write(content)
        Path(fresh).rename(target)

    # --- in a thread of its own

    def _fetch(self, puller: Puller, digest: str, manifest: Mapping[str, Any]) -> Image:
        own = digest
        if "manifests" in manifest:
            own, manifest = puller.manifest(of_this_machine(manifest["manifests"]))
        described = manifest.get("layers") or []
        if not 0 < len(described) <= _MOST_LAYERS or "config" not in manifest:
            raise Permanent("the manifest is none of an image that can run")
        id = str(manifest["config"]["digest"])
        short(id)
        said = pulling.configuration(puller, id, self.directory)
        left, names = layers.LARGEST, []
        for layer in described:
            target = self.directory / short(str(layer["digest"]))
            left -= pulling.layer(puller, str(layer["digest"]), target, left)
            names.append(target.name)
        self._write(f"image-{short(id)}", _stored(id, said, names[::-1]))
        found = Image(id, digest)
        for each in {digest, own}:
            self._write(f"digest-{short(each)}", found)
        return found

    # --- tidying up

    async def sweep(self, in_use: Collection[str], least_age: float = LEAST_AGE) -> int:
        """Images that no container has (``in_use``: ids) and that nobody used for so long; the number of those that went.
        Not while something is pulled."""
        async with self._sweeping:
            if self._pulling:
                return 0
            try:
                return await asyncio.to_thread(self._sweep, set(in_use), least_age)
            except OSError as error:
                raise Temporary(f"images cannot be tidied up: {error}") from error

    def _sweep(self, in_use: set[str], least_age: float) -> int:
        def age(path: Path) -> float:
            return self._now() - path.stat().st_mtime

        files = {path: self._read(path.stem, Stored) for path in self.directory.glob("image-*.json")}
        old = [p for p, image in files.items() if image is None or (image.id not in in_use and age(p) > least_age)]
        going = sorted(old, key=age, reverse=True)[:_MOST_AT_ONCE]
        for path in going:
            path.unlink(missing_ok=True)
            files.pop(path)
        for pattern in ("digest-*.json", "ref-*.json"):
            for path in self.directory.glob(pattern):
                found = self._read(path.stem, Image)
                if found is None or not (self.directory / f"image-{short(found.id)}.json").exists():
                    path.unlink(missing_ok=True)
        kept = {layer for image in files.values() if image is not None for layer in image.layers}
        for path in [p for p in self.directory.iterdir() if p.is_dir() and p.name not in kept]:
            gone = path if path.name.startswith(".") else path.rename(path.with_name(f".gone-{path.name}"))
            shutil.rmtree(gone, ignore_errors=True)
        return len(going)


def parse(reference: str) -> Reference:
    """(registry host, name, tag or digest) as Docker reads a reference. Raises Permanent for what is none."""
    rest, _, digest = reference.partition("@")
    head, _, tail = rest.rpartition("/")
    base, colon, tag = tail.partition(":")
    name = f"{head}/{base}" if head else base
    first, slash, after = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, name = first, after
    else:
        host = "docker.io"
    if host in ("docker.io", "index.docker.io"):
        host, name = "registry-1.docker.io", name if "/" in name else f"library/{name}"
    version = digest or (tag if colon else "latest")
    if not _NAME.fullmatch(name) or not (DIGEST if digest else _TAG).fullmatch(version):
        raise Permanent(f"invalid reference format: {reference}")
    return Reference(host, name, version)


def _of(reference: str) -> str:
    return f"ref-{sha256(reference.encode()).hexdigest()[:24]}"


def _stored(id: str, configuration: Mapping[str, Any], directories: Sequence[str]) -> Stored:
    said = configuration.get("config") or {}
    return Stored(
        id=id,
        layers=tuple(directories),
        entry_point=tuple(map(str, said.get("Entrypoint") or ())),
        command=tuple(map(str, said.get("Cmd") or ())),
        environment=tuple(str(pair) for pair in said.get("Env") or () if "=" in str(pair)),
        directory=str(said.get("WorkingDir") or ""),
        user=str(said.get("User") or ""),
        stop_signal=str(said.get("StopSignal") or ""),
        volumes=tuple(sorted(map(str, said.get("Volumes") or ()))),
        labels={str(k): str(v) for k, v in (said.get("Labels") or {}).items()},
    )
