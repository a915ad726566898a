"""Shares of file systems as containers get them: each container by who it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from havre.kernel.workload import Container, Mount, Share, Volume, Workload

User = tuple[int, int] | None


class Shares(Protocol):
    """What mounts them (engines/shares.py)."""

    def at(self, share: Share, user: User) -> Path: ...

    async def ensure(self, share: Share, user: User) -> None:
        """Raises Permanent, Temporary."""
        ...

    def release(self) -> None: ...


def user_of(container: Container) -> User:
    """Whom the task definition has it run as: (uid, gid), None where it says no number."""
    uid, _, gid = container.user.partition(":")
    if not uid.isdecimal() or (gid and not gid.isdecimal()):
        return None
    return int(uid), int(gid) if gid else 0


def wanted(workload: Workload) -> list[tuple[Share, User]]:
    """What has to be mounted before its containers are made."""
    shares = {v.name: v.share for v in workload.volumes if v.share is not None}
    found: dict[tuple[Share, User], None] = {}
    for container in workload.containers:
        for mount in container.mounts:
            share = shares.get(mount.volume)
            if share is not None:
                found[share, user_of(container)] = None
    return list(found)


def placed(workload: Workload, shares: Shares | None) -> Workload:
    """With directories of this machine in the place of shares."""
    if shares is None or all(v.share is None for v in workload.volumes):
        return workload
    volumes = {v.name: v for v in workload.volumes if v.share is None}
    containers = tuple(_placed(c, workload, shares, volumes) for c in workload.containers)
    return replace(workload, containers=containers, volumes=tuple(volumes.values()))


def _placed(container: Container, workload: Workload, shares: Shares, volumes: dict[str, Volume]) -> Container:
    of = {v.name: v.share for v in workload.volumes if v.share is not None}
    mounts: list[Mount] = []
    for mount in container.mounts:
        share = of.get(mount.volume)
        if share is not None:
            path = shares.at(share, user_of(container))
            volumes[path.name] = Volume(path.name, "host", str(path))
            mount = replace(mount, volume=path.name, read_only=mount.read_only or share.read_only)
        mounts.append(mount)
    return replace(container, mounts=tuple(mounts))
