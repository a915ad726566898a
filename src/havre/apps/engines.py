"""What a node runs containers with: a Docker Engine, or crun and conmon (``havre up --engine``). The other is not loaded."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Protocol

from havre.apps.config import Config
from havre.apps.shelf import SharedShelf
from havre.engines.ports import ContainerEngine, LogSink
from havre.kernel.world import World

log = logging.getLogger("havre.node")

DOCKER_SOCKET = "/var/run/docker.sock"
POOL = 3
"""Sandboxes that Docker keeps ready."""


class Containers(ContainerEngine, Protocol):
    """What a node needs besides the port."""

    async def ping(self) -> None:
        """Raises Temporary when the engine does not answer."""
        ...

    async def keep_pool(self) -> None:
        """For ever: whatever the engine does between tasks."""
        ...

    async def remove_pool(self) -> None:
        """The instance goes down, and nothing runs any more: what was kept for the next task goes as well."""
        ...


def containers(config: Config, world: World, resolver: str) -> Containers:
    """``resolver`` is the name server of VPCs."""
    instance, state = config.site.instance, config.state
    if config.engine == "oci":
        from havre.engines.oci.containers.engine import OciContainers

        return OciContainers(instance, state / "containers", world, resolver=resolver)
    from havre.engines.docker.engine import DockerEngine

    lines = str(state / "lines.sock")
    return DockerEngine(instance, engine_socket(os.environ), log_socket=lines, resolver=resolver, pool=POOL)


async def take_lines(config: Config, engine: Containers, sink: LogSink) -> None:
    """Containers' lines go to ``sink``. For ever."""
    if config.engine == "oci":
        from havre.engines.oci.containers.engine import OciContainers

        assert isinstance(engine, OciContainers), "it was made from the same configuration"
        await engine.take_lines(sink)
    else:
        from havre.engines.docker.intake import Intake

        await Intake(config.state / "lines.sock", sink, SharedShelf(os.environ)).run()


def engine_socket(environment: Mapping[str, str]) -> str:
    """``DOCKER_HOST`` as the docker program reads it; only an engine on this machine will do: its containers are put into
    networks that are made here."""
    chosen = environment.get("DOCKER_HOST", "")
    if chosen and not chosen.startswith("unix://"):
        log.warning("DOCKER_HOST is %s, which is not a Unix socket: %s is used", chosen, DOCKER_SOCKET)
        return DOCKER_SOCKET
    return chosen.removeprefix("unix://") or DOCKER_SOCKET
