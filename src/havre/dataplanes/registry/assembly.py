"""All parts of the registry, put together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from havre.control.images import LAYER
from havre.control.images.addresses import lookup
from havre.control.operation import Site
from havre.core.images.passwords import Passwords
from havre.dataplanes.registry.app import RegistryApp
from havre.dataplanes.registry.blobs import Blobs
from havre.dataplanes.registry.layers import DiskLayers
from havre.dataplanes.registry.ports import Authorize, Pack, Recorder
from havre.dataplanes.registry.sweep import Sweeper
from havre.kernel.world import World
from havre.store.ports import Store


@dataclass(frozen=True)
class Registry:
    """``app`` serves /v2/; ``layers`` and ``passwords`` are for ECR's API; ``sweeper.run`` is a loop; ``blobs.clear`` is
    for a reset, ``blobs.close`` for the end."""

    app: RegistryApp
    layers: DiskLayers
    passwords: Passwords
    sweeper: Sweeper
    blobs: Blobs


def assemble(
    root: Path,
    store: Store,
    world: World,
    site: Site,
    secret: bytes,
    pack: Pack,
    authorize: Authorize | None,
    record: Recorder | None = None,
) -> Registry:
    """``root`` is the registry's own directory, made if need be. ``authorize`` None lets everybody do everything."""
    blobs = Blobs(root, world, lambda digest: store.count(LAYER, "digest", digest) > 0, pack)
    passwords = Passwords(secret)
    app = RegistryApp(store, blobs, world, passwords, partial(lookup, store, site), authorize, record)
    return Registry(app, DiskLayers(blobs, store), passwords, Sweeper(store, blobs, world, app.touched), blobs)
