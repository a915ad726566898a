"""What of an image comes from a registry: which of its manifests, its configuration, its layers unpacked. Blocks."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.oci import layers
from havre.engines.oci.registry import Puller
from havre.kernel.errors import Permanent

LARGEST_CONFIG = 4 << 20
"""Bytes."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def short(digest: str) -> str:
    """Names of many layers have to fit into the page that mount() takes. Raises Permanent."""
    if not DIGEST.fullmatch(digest):
        raise Permanent(f"not a digest: {digest[:80]!r}")
    return digest.removeprefix("sha256:")[:24]


def of_this_machine(manifests: Sequence[Mapping[str, Any]]) -> str:
    """The digest of the one for this machine, out of an index. Raises Permanent in Docker's words."""
    wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
    for each in manifests:
        on = each.get("platform") or {}
        if on.get("os") == "linux" and on.get("architecture") == wanted:
            return str(each["digest"])
    raise Permanent(f"no matching manifest for linux/{wanted} in the manifest list entries")


def configuration(puller: Puller, digest: str, directory: Path) -> Mapping[str, Any]:
    """``directory`` is for what is on its way. Raises Permanent, Temporary."""
    with tempfile.TemporaryFile(dir=directory) as file:
        puller.blob(digest, file, LARGEST_CONFIG)
        try:
            found = msgspec.json.decode(file.read())
        except msgspec.DecodeError as error:
            raise Permanent(f"the image's configuration cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Permanent("the image's configuration is none")
    return found


def layer(puller: Puller, digest: str, target: Path, left: int) -> int:
    """Unpacked in ``target``, of at most ``left`` bytes; how many it took, none when it was there. Raises Permanent,
    Temporary."""
    if target.is_dir():
        return 0
    with tempfile.TemporaryFile(dir=target.parent) as file:
        puller.blob(digest, file, left)
        return layers.unpack(file, target, left)
