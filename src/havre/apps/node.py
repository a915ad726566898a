"""The node process: containers, networks, load balancers, the metadata endpoint; told what to run by the server."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from havre.apps.config import Config, system_world
from havre.control.nodelink.client import Link, LinkParts
from havre.control.nodelink.messages import LogBatch, LogStream, NodeInfo
from havre.control.nodelink.spool import Spool
from havre.control.supervisor import Loop, Supervisor
from havre.control.workloads.agent import NodeAgent
from havre.control.workloads.parts import AgentParts
from havre.engines.docker.engine import DockerEngine
from havre.engines.docker.intake import Intake
from havre.engines.haproxy import HaproxyEngine
from havre.engines.host_network import HostNetwork
from havre.kernel.errors import Temporary

log = logging.getLogger("havre.node")


class _NoMetadata:
    def environment(self, workload: Any, container: Any) -> dict[str, str]:
        return {}

    async def open(self, workload: Any, pid: int) -> None:
        return

    def close(self, workload: str) -> None:
        return


class Node:
    def __init__(self, config: Config) -> None:
        self.config = config
        state, site = config.state, config.site
        self.world = system_world()
        self.spool = Spool(state / "lines")
        self.network = HostNetwork(site.instance, site.host, site.port)
        self.containers = DockerEngine(site.instance, log_socket=str(state / "lines.sock"))
        self.balancer = HaproxyEngine(state / "haproxy")
        self.link = Link(
            LinkParts(
                path=state / "node.sock",
                node="local",
                identity=hmac.digest((state / "instance-secret").read_bytes(), b"store-identity", "sha256").hex()[:32],
                token=lambda: (state / "node.token").read_text(),
                info=self._info,
                spool=self.spool,
            )
        )
        self.agent = NodeAgent(
            AgentParts(
                self.containers,
                self.network,
                self.balancer,
                _NoMetadata(),
                self.link,
                self.world,
                self.network.namespace_of,
            )
        )
        self.intake = Intake(state / "lines.sock", self._keep)
        self.supervisor = Supervisor(self._loops(), self.world)
        self.remove_everything = False

    async def _info(self) -> NodeInfo:
        try:
            capacity = await self.containers.capacity()
        except Temporary as error:
            return NodeInfo(engine_error=error.reason, network_error=self.network.available())
        return NodeInfo(
            cpu=capacity.cpu,
            memory=capacity.memory,
            architecture=capacity.architecture,
            engine=capacity.engine,
            engine_version=capacity.engine_version,
            kernel=capacity.kernel,
            network_error=self.network.available(),
        )

    def _keep(self, workload: str, container: str, lines: Sequence[tuple[int, bytes]]) -> Any:
        view = self.agent.view(workload)
        assert view is not None
        work = view.workload
        target = next(c.log for c in work.containers if c.name == container)
        stream = LogStream(
            workload, container, work.account, target.region or work.region, target.group, target.stream, target.options
        )
        return self.spool.append([LogBatch(stream, tuple(lines))])

    def _loops(self) -> list[Loop]:
        return [
            Loop("log intake", self.intake.run),
            Loop("agent", self.agent.run),
            Loop("balancer", self.balancer.run),
            Loop("server link", lambda: self.link.run(self.agent)),
        ]

    def _stop(self, remove_everything: bool) -> None:
        self.remove_everything = remove_everything
        self.supervisor.stop()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, False)
        loop.add_signal_handler(signal.SIGUSR1, self._stop, True)
        self.config.tell("ready")
        await self.supervisor.run()


def main() -> None:
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s node %(levelname)s %(name)s: %(message)s"
    )
    config = Config.from_environment()
    import uvloop

    async def serve() -> None:
        while not (config.state / "node.token").exists():
            await asyncio.sleep(0.01)
        await Node(config).run()

    uvloop.run(serve())
