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
from havre.dataplanes.registry.gate import Gate
from havre.dataplanes.registry.layers import DiskLayers
from havre.dataplanes.registry.ports import Authorize, Pack, Recorder
from havre.dataplanes.registry.sweep import Sweeper, Touched
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


@dataclass(frozen=True)
class Ground:
    """What the registry stands on. ``root`` is its own directory, made if need be."""

    root: Path
    store: Store
    pack: Pack
    world: World
    site: Site
    secret: bytes


def assemble(ground: Ground, authorize: Authorize | None, record: Recorder | None = None) -> Registry:
    """``authorize`` None lets everybody do everything."""
    store, world = ground.store, ground.world
    blobs = Blobs(ground.root, world, lambda digest: store.count(LAYER, "digest", digest) > 0, ground.pack)
    passwords, touched = Passwords(ground.secret), Touched(world, store)
    gate = Gate(world, passwords, authorize)
    app = RegistryApp(store, blobs, gate, touched, partial(lookup, store, ground.site), record)
    return Registry(app, DiskLayers(blobs, store), passwords, Sweeper(store, blobs, world, touched), blobs)
