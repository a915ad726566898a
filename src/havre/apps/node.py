"""The node process: containers, networks, load balancers, the metadata endpoint; told what to run by the server.

Signals are the supervisor's (cli/up.py): SIGTERM ends this process and leaves what runs alone, SIGUSR1 removes
everything first.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import signal
import sys
from pathlib import Path

from msgspec.structs import replace

from havre.apps import engines
from havre.apps.config import FILES, PROXY, TARGETS, Config, keep_for_good, system_world
from havre.apps.host_doors import HostDoors, serve
from havre.apps.node_functions import NodeFunctions, sandboxes
from havre.control.nodelink.client import Link, LinkParts
from havre.control.nodelink.messages import NodeInfo
from havre.control.nodelink.spool import Spool
from havre.control.nodes import ec2_instance
from havre.control.supervisor import Loop, Supervisor
from havre.control.tasks import Tasks
from havre.control.terminals.messages import SOCKET as TERMINALS
from havre.control.terminals.node import Terminals
from havre.control.workloads.agent import NodeAgent, remove_all
from havre.control.workloads.lines import LineKeeper
from havre.control.workloads.parts import AgentParts
from havre.dataplanes.metadata.answers import Sources
from havre.dataplanes.metadata.credentials import CredentialCache
from havre.dataplanes.metadata.endpoint import MetadataEndpoint
from havre.dataplanes.metadata.ids import Ids
from havre.dataplanes.metadata.stats import Sampler
from havre.engines.haproxy import HaproxyEngine
from havre.engines.host_network import HostNetwork
from havre.engines.host_network.listening import tcp_ports, udp_ports
from havre.engines.ports import Capacity
from havre.engines.shares import Shares
from havre.kernel.errors import Gone, Permanent, Temporary

log = logging.getLogger("havre.node")

NAME = "local"
_MET = "engine.met"
"""There since the engine has answered for the first time."""
SETTLED = 1.0
"""Seconds after the start in which the node has loaded what it needs in any case."""
_LOOK = 5.0
"""Seconds between looks at whether the engine answers."""
_ENGINE_PATIENCE = 20.0


class Node:
    def __init__(self, config: Config) -> None:
        self.config = config
        state, site = config.state, config.site
        self.world = system_world()
        self.spool = Spool(state / "lines")
        self.network = HostNetwork(site.instance, site.host, site.port)
        self.containers = engines.containers(config, self.world, self.network.resolver_for("")[0])
        self.balancer = HaproxyEngine(state / PROXY, functions=state / TARGETS)
        self.shares = Shares(state / FILES, state / "mounts")
        self.doors = HostDoors(self.network, site)
        self.link = Link(self._link_parts())
        self.terminals = Terminals(self.containers, config.state / TERMINALS, self._token)
        self.agent = NodeAgent(self._agent_parts())
        self.lines = LineKeeper(self.agent, self.spool, state / "lines.streams")
        engine = sandboxes(config, self.link, self.network)
        self.functions = NodeFunctions(config, engine, self.link, self.agent.networks, self.spool)
        self.supervisor = Supervisor(self._loops(), self.world)
        self.tasks = Tasks()
        self.known = NodeInfo()
        self.remove_everything = False
        self._ending = False
        self.incomplete = False

    def _link_parts(self) -> LinkParts:
        state = self.config.state
        secret = (state / "instance-secret").read_bytes()
        return LinkParts(
            path=state / "node.sock",
            node=NAME,
            identity=hmac.digest(secret, b"store-identity", "sha256").hex()[:32],
            token=self._token,
            info=self._info,
            spool=self.spool,
        )

    @property
    def _met(self) -> Path:
        return self.config.state / _MET

    def _token(self) -> str:
        """What nodes know."""
        return (self.config.state / "node.token").read_text()

    def _metadata(self) -> MetadataEndpoint:
        site = self.config.site
        sources = Sources(
            views=lambda: self.agent.views(),
            ids=Ids((self.config.state / "instance-secret").read_bytes()),
            credentials=CredentialCache(lambda workload: self.link.ask("credentials", workload), self.world.now),
            stats=Sampler(self.containers),
            tags=lambda workload: self.link.ask("tags", workload),
            resolvers=self.network.resolver_for,
        )
        return MetadataEndpoint(sources, (self.containers, self.network), serve, self.doors, site.endpoint)

    def _agent_parts(self) -> AgentParts:
        return AgentParts(
            self.containers,
            self.network,
            self.balancer,
            self._metadata(),
            self.link,
            self.world,
            ec2_instance(NAME),
            lambda: self.functions.engine.enis(),
            self.terminals,
            self.shares,
            self._met.exists,
        )

    def _loops(self) -> list[Loop]:
        config = self.config
        return [
            Loop("log intake", lambda: engines.take_lines(config, self.containers, self.lines.take)),
            Loop("agent", self.agent.run),
            Loop("sandboxes", self.containers.keep_pool, essential=False),
            Loop("balancer", self.balancer.run),
            Loop("engine watch", self._watch_engine, essential=False),
            Loop("server link", lambda: self.link.run(self.agent)),
            Loop("sandboxes of functions", self.functions.engine.keep_pool, essential=False),
            Loop("functions' link", self.functions.run),
        ]

    async def _info(self) -> NodeInfo:
        """What this machine has, and what of it does not work, in words. Capacity stays what it was while the engine is
        away."""
        await self._ask_engine()
        ours = self.agent.ports()
        tcp, udp = tuple(sorted(tcp_ports() - ours)), tuple(sorted(udp_ports() - ours))
        return replace(self.known, used_host_ports=tcp, used_udp_ports=udp)

    async def _ask_engine(self) -> None:
        why = self.network.available()
        try:
            async with asyncio.timeout(_ENGINE_PATIENCE):
                await self.containers.ping()
                if not self.known.engine:
                    self._met.touch()
                if not self.known.cpu or self.known.engine_error:
                    self.known = _describe(await self.containers.capacity(), why)
        except TimeoutError:
            reason = f"the engine did not answer within {_ENGINE_PATIENCE:g} s"
            self.known = replace(self.known, engine_error=reason, network_error=why)
        except (Temporary, Permanent, Gone) as error:
            self.known = replace(self.known, engine_error=str(error), network_error=why)

    async def _watch_engine(self) -> None:
        """For ever: the server hears when the engine goes and when it is back. Every look is handed on, for the link may
        have told of a moment between two of them."""
        seen = await self._info()
        while True:
            await asyncio.sleep(_LOOK)
            info = await self._info()
            if info.engine_error != seen.engine_error:
                log.info("engine: %s", info.engine_error or "it answers")
            self.link.report_info(info)
            seen = info

    def _stop(self, remove_everything: bool) -> None:
        if self._ending:
            return
        self._ending, self.remove_everything = True, remove_everything
        self.tasks.spawn(self._end(), "stop")

    async def _end(self) -> None:
        """What the agent does needs the other loops; they end after it."""
        try:
            await self.agent.stop(self.remove_everything)
            if self.remove_everything:
                await self.doors.remove()
        except (Temporary, Permanent, Gone) as error:
            log.error("not everything could be removed: %s", error)
            self.incomplete = True
        finally:
            self.supervisor.stop()

    async def run(self) -> None:
        """Until a signal. Raises LoopFault when an essential loop has ended."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop, False)
        loop.add_signal_handler(signal.SIGINT, self._stop, False)
        loop.add_signal_handler(signal.SIGUSR1, self._stop, True)
        self.config.tell("ready")
        loop.call_later(SETTLED, keep_for_good)
        try:
            await self.supervisor.run()
            if self.remove_everything and not self.incomplete:
                await self.remove_pool()
        finally:
            await self.close()
        if self.incomplete or not self.remove_everything:
            sys.exit(1)

    async def remove_pool(self) -> None:
        """What is left of the engine's. One that never was there has nothing of ours, whatever it answers; otherwise raises
        Temporary, Permanent, Gone."""
        try:
            await self.containers.remove_pool()
        except (Temporary, Permanent, Gone):
            if self._met.exists():
                raise

    async def close(self) -> None:
        await self.terminals.close()
        self.doors.close()
        await self.functions.close()
        await self.lines.close()
        await self.containers.close()
        await self.network.close()
        self.spool.close()


def _describe(capacity: Capacity, why_no_networks: str) -> NodeInfo:
    return NodeInfo(
        cpu=capacity.cpu,
        memory=capacity.memory,
        architecture=capacity.architecture,
        engine=capacity.engine,
        engine_version=capacity.engine_version,
        kernel=capacity.kernel,
        network_error=why_no_networks,
    )


def _begin() -> Config:
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s node %(levelname)s %(name)s: %(message)s"
    )
    return Config.from_environment()


def main() -> None:
    config = _begin()
    import uvloop

    async def serve() -> None:
        while not (config.state / "instance-secret").exists():  # noqa: ASYNC110 (another process makes it)
            await asyncio.sleep(0.002)
        await Node(config).run()

    uvloop.run(serve())


def clean() -> None:
    """Remove everything that a node of this state directory has left: its processes were killed."""
    config = _begin()

    async def remove() -> None:
        node = Node(config)
        node.agent.told.set()  # nobody will tell it of anything: lines that belong to nothing are dropped
        taking = asyncio.ensure_future(_take_what_is_left(node))
        try:
            await remove_all(node.agent.parts)
            await node.doors.remove()
            await node.remove_pool()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await node.close()

    try:
        asyncio.run(remove())
    except (Temporary, Permanent, Gone) as error:
        log.error("not everything could be removed: %s", error)
        sys.exit(1)


async def _take_what_is_left(node: Node) -> None:
    """Docker lets go of no container before its last lines are taken. They wait on disk for the next start."""
    if node.config.engine != "oci":
        await engines.take_lines(node.config, node.containers, node.lines.take)
