"""What of an image comes from a registry: its configuration, and its layers unpacked. Blocks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.oci import layers
from havre.engines.oci.registry import Puller
from havre.kernel.errors import Permanent

LARGEST_CONFIG = 4 << 20
"""Bytes."""


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
