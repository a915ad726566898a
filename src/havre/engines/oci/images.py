"""Images of functions: pulled, each layer unpacked once for all images that have it, remembered by their digest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.oci import layers, pulling
from havre.engines.oci.pulling import of_this_machine, short
from havre.engines.oci.registry import Puller, parse
from havre.engines.sandbox import Sources
from havre.kernel.errors import Permanent, Temporary

_MOST_LAYERS = 128


class Image(msgspec.Struct, frozen=True):
    """``layers``: names in the engine's directory of images, the top first. ``USER`` is left out: as in
    Lambda, functions run as who they run as."""

    layers: tuple[str, ...]
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    directory: str = ""
    digest: str = ""


class Images:
    """``directory`` has a directory for each layer, and a file for each image."""

    def __init__(self, directory: Path, sources: Sources) -> None:
        self.directory = directory
        self._sources = sources
        self._turns: dict[str, asyncio.Lock] = {}

    async def pull(self, image: str, digest: str) -> Image:
        """``digest`` is its manifest's, or an index's; "" for whatever the tag means now, or meant when its registry last
        answered. Raises Permanent, Temporary, OSError."""
        if digest and (known := self._remembered(digest)) is not None:
            return known
        name = digest or "sha256:" + sha256(image.encode()).hexdigest()
        async with self._turns.setdefault(name, asyncio.Lock()):
            known = self._remembered(name)
            if digest and known is not None:
                return known
            try:
                reachable, credentials = await self._sources.registry(image)
                reference = parse(reachable)
                version = digest or reference.version
                return await asyncio.to_thread(self._pulled, Puller(reference, credentials), version, name)
            except Temporary:
                if known is None:
                    raise
                return known

    def _remembered(self, digest: str) -> Image | None:
        try:
            found = msgspec.json.decode((self.directory / f"{short(digest)}.json").read_bytes(), type=Image)
        except (OSError, msgspec.DecodeError):
            return None
        return found if all((self.directory / layer).is_dir() for layer in found.layers) else None

    def _pulled(self, puller: Puller, version: str, asked: str) -> Image:
        """Remembered as ``asked`` too."""
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        digest, manifest = puller.manifest(version)
        if "manifests" in manifest:
            _, manifest = puller.manifest(of_this_machine(manifest["manifests"]))
        described = manifest.get("layers") or []
        if not 0 < len(described) <= _MOST_LAYERS or "config" not in manifest:
            raise Permanent("the manifest is none of an image that can run")
        configuration = pulling.configuration(puller, str(manifest["config"]["digest"]), self.directory)
        left = layers.LARGEST
        directories = []
        for layer in described:
            target = self.directory / short(str(layer["digest"]))
            left -= pulling.layer(puller, str(layer["digest"]), target, left)
            directories.append(target.name)
        image = _image(configuration, directories[::-1], digest)
        for name in {digest, asked}:
            target = self.directory / f"{short(name)}.json"
            fresh = target.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(image))
            fresh.rename(target)
        return image


def _image(configuration: Mapping[str, Any], directories: Sequence[str], digest: str) -> Image:
    said = configuration.get("config") or {}
    pairs = [str(pair).partition("=") for pair in said.get("Env") or ()]
    return Image(
        layers=tuple(directories),
        entry_point=tuple(map(str, said.get("Entrypoint") or ())),
        command=tuple(map(str, said.get("Cmd") or ())),
        environment={key: value for key, _, value in pairs},
        directory=str(said.get("WorkingDir") or ""),
        digest=digest,
    )
