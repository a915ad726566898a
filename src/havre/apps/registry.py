"""The registry as the server runs it: blobs on disk, IAM before it, CloudTrail behind it, an address per registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from havre.apps.http.listeners import Listeners
from havre.control.images import ADDRESS, REPOSITORY, Place
from havre.control.images.addresses import HOME, addresses
from havre.control.operation import Principal, Site
from havre.dataplanes import registry
from havre.dataplanes.registry import Access, Pack
from havre.gateway.app import Gateway
from havre.gateway.audit import Audit
from havre.kernel.errors import ApiError
from havre.kernel.world import World
from havre.services.cloudtrail.trail import Draft, Trail
from havre.services.ecr import Facilities
from havre.store.ports import Store

_WRITES = frozenset(("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "BatchDeleteImage"))
"""What CloudTrail does not count as reading."""


@dataclass(frozen=True)
class Ground:
    """What the registry stands on."""

    state: Path
    site: Site
    store: Store
    pack: Pack
    world: World
    secret: bytes
    trail: Trail


class Registry:
    """``facilities`` is for ECR's API, which is another view of the same resources."""

    def __init__(self, ground: Ground, gateway: Gateway) -> None:
        site, store, world = ground.site, ground.store, ground.world
        self._site, self._store, self._world, self._trail = site, store, world, ground.trail
        self._audit = Audit(ground.trail)
        self._gateway = gateway
        self.opened: float | None = None
        """When the addresses were last looked through."""
        own = registry.Ground(ground.state / "registry", store, ground.pack, world, site, ground.secret)
        self.parts = registry.assemble(own, self._authorize if site.auth == "strict" else None, self._record)
        self.app = self.parts.app
        self.facilities = Facilities(self.parts.layers, self.parts.passwords)

    async def _authorize(self, principal: Principal, action: str, place: Place, source_ip: str) -> str:
        def conditions() -> dict[str, str]:
            keys = {"aws:SourceIp": source_ip}
            found = self._store.get(REPOSITORY, *place) if place.repository else None
            for key, value in (found.spec.tags if found is not None else {}).items():
                keys[f"aws:ResourceTag/{key}"] = keys[f"ecr:ResourceTag/{key}"] = value
            return keys

        arn = place.arn if place.repository else "*"
        try:
            self._gateway.authorize(principal, place.region, action, [arn], conditions)
        except ApiError as refusal:
            return refusal.message
        return ""

    def _record(self, access: Access) -> None:
        place = access.place
        event = Draft(
            self._world.uuid(),
            self._world.now(),
            "ecr",
            access.action,
            place.account,
            place.region,
            self._audit.identity(access.principal, ""),
            access.action not in _WRITES,
            access.source_ip,
            access.user_agent,
            (place.arn,) if place.repository else (),
            access.error,
            access.message,
            access.parameters,
        )
        self._trail.record(event)

    async def listen(self, listeners: Listeners) -> None:
        """For ever: answer on the address of each account and region, as they are given out."""
        changes = self._store.subscribe([ADDRESS.name])
        try:
            await self._open(listeners)
            async for _ in changes:
                await self._open(listeners)
        finally:
            changes.close()

    async def _open(self, listeners: Listeners) -> None:
        if self._site.host in ("0.0.0.0", "::"):
            return  # every address is answered already
        for address in (HOME, *addresses(self._store)):
            await listeners.open(address, self._site.port)
        self.opened = self._world.now()
