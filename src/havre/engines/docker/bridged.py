"""Places on Docker's bridge, made in advance: half of the time that a start takes goes into the network of the container.

A container on its own, with no port of the host's and no name of its own, joins one that is ready, if there is one; else
Docker makes the network as ever. What the container sees is the same: an address of the bridge that nobody else has, its
name and resolvers in /etc.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from havre.engines.docker import pause, spec
from havre.engines.docker.client import Refused
from havre.engines.docker.sandboxes import Sandboxes
from havre.engines.docker.states import ADDRESS, from_inspect
from havre.engines.ports import RunState
from havre.kernel.errors import Gone
from havre.kernel.workload import Container, Workload

_RESOLV = Path("/etc/resolv.conf")


def suits(workload: Workload, container: Container) -> bool:
    """Whether it may join: what it asks for must not be the network's own, and it must have resolvers to be told."""
    own = container.ports or container.links or container.hostname or not container.dns
    settings = any(name.startswith("net.") for name in container.sysctls)
    alone = len(workload.containers) == 1 and not workload.pid_mode and not workload.ipc_mode
    return workload.network == "bridge" and alone and not own and not settings


def joined(body: dict[str, object], place: RunState) -> None:
    """The body of a creation, changed: it joins this place."""
    config, labels = body["HostConfig"], body["Labels"]
    assert isinstance(config, dict)
    assert isinstance(labels, dict)
    for member in ("Dns", "DnsSearch", "ExtraHosts", "Links", "PortBindings"):
        config.pop(member, None)
    body.pop("ExposedPorts", None)
    config["NetworkMode"] = f"container:{place.id}"
    labels[ADDRESS] = place.address


class Bridged(Sandboxes):
    """``take`` of the other pool always gives one; here ``lend`` gives what is ready."""

    kind = "bridge"
    unhurried = 1.0

    async def lend(self, workload: Workload, container: Container) -> RunState | None:
        """A place for this container: the one that it has, or a ready one, or none."""
        self._taken.set()
        if not self._ready:
            return None
        name = spec.sandbox_name(self._here().instance, workload.id)
        place = self._ready.popleft()
        try:
            await self._docker.call("POST", f"/containers/{place.id}/rename", {"name": name})
        except Gone:
            return None
        except Refused as e:
            self._ready.append(place)
            if e.status != 409:
                raise
            place = from_inspect(answer := await self._docker.call("GET", f"/containers/{name}/json"))
            self._remember(answer)
        if place.state != "running" or not self._dressed(place, container):
            return None
        return msgspec.structs.replace(place, name=name)

    def _dressed(self, place: RunState, container: Container) -> bool:
        files = self._files.pop(place.id)
        names = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
        for extra in container.extra_hosts:
            name, _, address = extra.partition(":")
            names.append(f"{address}\t{name}")
        search = container.dns_search or _search()
        resolvers = [f"search {' '.join(search)}"] if search else []
        resolvers += [f"nameserver {address}" for address in container.dns]
        try:
            names.append(f"{place.address}\t{Path(files.hostname).read_text().strip()}")
            Path(files.hosts).write_text("\n".join(names) + "\n")
            Path(files.resolv).write_text("\n".join(resolvers) + "\n")
        except OSError:
            return False
        return True

    async def _make(self) -> RunState:
        image = await self._image()
        hostname = os.urandom(6).hex()
        body = spec.place_body(self._here(), image, hostname, pause.PAUSE)
        return await self._begun(body)

    async def _settled(self, id: str) -> RunState:
        answer = await self._docker.call("GET", f"/containers/{id}/json")
        self._remember(answer)
        return from_inspect(answer)


def _search() -> tuple[str, ...]:
    """Of this machine: what Docker, too, gives to containers that ask for nothing else."""
    try:
        lines = [line.split() for line in _RESOLV.read_text(errors="replace").splitlines()]
    except OSError:
        return ()
    return next((tuple(words[1:]) for words in reversed(lines) if words and words[0] == "search"), ())
