"""The NetworkEngine port on this machine's own network."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from havre.engines.host_network import dns, namespaces
from havre.engines.host_network.bridge import OUR_NAMES, BridgeNames
from havre.engines.host_network.forwarder import Forwarder
from havre.engines.host_network.host import Host
from havre.engines.host_network.names import Names
from havre.engines.host_network.netlink import Netlink
from havre.engines.host_network.relay import Relay
from havre.engines.host_network.rules import ENDPOINT, RESOLVER
from havre.engines.host_network.space import Space, addresses_by_name, bound
from havre.engines.host_network.trial import why_not
from havre.engines.ports import Answerer, Door
from havre.kernel.balancer import Balancer
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.vpc import Vpc
from havre.kernel.workload import Interface

log = logging.getLogger("havre.network")

R = TypeVar("R")
AGAIN = 30.0
"""Seconds after which it is looked again whether networks can be made."""


class HostNetwork:
    """``instance`` names everything that this makes; ``host`` and ``port`` are where Havre's AWS API listens.

    All that touches namespaces happens on one thread of its own, one thing after the other: a few milliseconds each.
    """

    def __init__(self, instance: str, host: str = "127.0.0.1", port: int = 4566) -> None:
        self._prefix = f"havre-{instance}-"
        self._target = (host, port)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._reaper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network-reaper")
        self._host = Host(instance)
        self._spaces: dict[str, Space] = {}
        self._ensured: dict[str, Vpc] = {}
        """VPCs that are as they were described last, wholly."""
        self._servers: dict[str, Servers] = {}
        self._balancers: dict[str, Balancer] = {}
        self._forwarder = Forwarder()
        self._names_abroad = BridgeNames(instance, self._balancers, self._forwarder)
        self._answerers: dict[tuple[str, int], Answerer] = {(ENDPOINT, port): self._relay}
        self._adopted = self._over = False
        self._turn = asyncio.Lock()
        self._why: str | None = None
        self._asked = 0.0

    # the port

    def available(self) -> str:
        """Looks again now and then while it does not work: what is missing may be installed."""
        now = time.monotonic()
        if self._why is None or (self._why and now > self._asked + AGAIN):
            self._why, self._asked = why_not(), now
        return self._why

    async def ensure_vpc(self, vpc: Vpc) -> None:
        async with self._turn:
            if self._over:
                raise Temporary("the networks of this machine are removed: Havre is stopping")
            if self._ensured.get(vpc.id) == vpc:
                return
            self._ensured.pop(vpc.id, None)
            await self._do(lambda: self._ensure(vpc))
            await self._serve(vpc)
            self._ensured[vpc.id] = vpc

    async def remove_vpc(self, id: str) -> None:
        async with self._turn:
            self._ensured.pop(id, None)
            self._hush(id)
            space = await self._do(lambda: self._taken(id))
            if space is not None:
                await self._reap(space.remove)
                await self._do(lambda: self._disconnect(id))

    async def attach(self, interface: Interface, pid: int) -> None:
        def work() -> None:
            self._space(interface.vpc).attach(interface, pid)
            if self._host.due:
                self._look_after_host()

        await self._do(work)

    async def detach(self, eni: str) -> None:
        def work() -> list[Space]:
            for space in self._spaces.values():
                space.forget(eni)
            return list(self._spaces.values())

        spaces = await self._do(work)

        def reap() -> None:
            for space in spaces:
                space.reap(eni)

        await self._reap(reap)

    async def add_balancer(self, balancer: Balancer) -> None:
        def work() -> None:
            self._space(balancer.vpc).place(balancer)
            self._apply_host()

        await self._do(work)
        self._balancers[balancer.id] = balancer

    async def remove_balancer(self, id: str) -> None:
        self._balancers.pop(id, None)

        def work() -> None:
            if any([space.displace(id) for space in self._spaces.values()]):  # noqa: C419 (each of them)
                self._apply_host()

        await self._do(work)

    def answer(self, address: str, port: int, answerer: Answerer) -> None:
        self._answerers[address, port] = answerer

    async def listen(self, pid: int, address: str, port: int) -> int:
        return await self._do(lambda: _listen(pid, address, port))

    async def tell_names(self) -> str:
        """Serve names to containers that are in no VPC. Gives the server's address, the same in every life of this
        instance. Raises Temporary."""
        async with self._turn:
            await self._names_abroad.open(self._lend)
            return self._names_abroad.address

    async def _lend(self, address: str, work: Callable[[], R]) -> R:
        def lend() -> R:
            self._host.resolver = address
            self._apply_host()
            return work()

        return await self._do(lend)

    def namespaces(self) -> Mapping[str, str]:
        if not self._adopted:
            return {self._id(name): name for name in self._found()}
        return {id: space.name for id, space in self._spaces.items()}

    def endpoint_for(self, vpc: str) -> str:
        return f"http://{ENDPOINT}:{self._target[1]}"

    def resolver_for(self, vpc: str) -> Sequence[str]:
        return (RESOLVER,)

    async def interfaces(self) -> Sequence[str]:
        return await self._do(lambda: sorted(eni for space in self._spaces.values() for eni in space.members))

    async def remove_all(self) -> None:
        async with self._turn:
            self._over = True
            self._ensured.clear()
            self._names_abroad.close()
            for id in list(self._servers):
                self._hush(id)
            self._balancers.clear()
            await self._reap(lambda: None)
            await self._do(self._remove_all)

    async def close(self) -> None:
        """Lets go of everything, and leaves it as it is."""
        async with self._turn:
            self._ensured.clear()
            self._names_abroad.close()
            for id in list(self._servers):
                self._hush(id)
            self._forwarder.close()
            await self._reap(lambda: None)
            await self._do(self._let_go)
        self._thread.shutdown(wait=True)
        self._reaper.shutdown(wait=True)

    # on the thread

    async def _do(self, work: Callable[[], R]) -> R:
        """Raises Temporary for what the kernel refuses now, beside what ``work`` raises."""

        def run() -> R:
            self._adopt()
            try:
                return work()
            except OSError as error:
                raise Temporary(f"the network: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def _reap(self, work: Callable[[], None]) -> None:
        """Deleting links takes the kernel 15 ms each: on a thread of its own, behind what is being deleted there."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._reaper, work)
        except OSError as error:
            raise Temporary(f"the network: {error}") from error

    def _adopt(self) -> None:
        """What an earlier process of this instance left, or this one before a restart."""
        if self._adopted:
            return
        for name in self._found():
            id = self._id(name)
            self._spaces[id] = Space(id, name)
        self._adopted = True

    def _found(self) -> list[str]:
        """The names of this instance's namespaces that there are."""
        return [n for n in namespaces.names(self._prefix) if namespaces.is_namespace(namespaces.RUN / n)]

    def _id(self, name: str) -> str:
        return "vpc-" + name.removeprefix(self._prefix)

    def _name(self, id: str) -> str:
        return self._prefix + id.removeprefix("vpc-")

    def _space(self, vpc: str) -> Space:
        if vpc not in self._spaces:
            raise Temporary(f"the VPC {vpc} is not built here yet", 0.1)
        return self._spaces[vpc]

    def _ensure(self, vpc: Vpc) -> None:
        space = self._spaces.get(vpc.id)
        if space is None:
            space = self._spaces[vpc.id] = Space(vpc.id, self._name(vpc.id))
        space.endpoints = tuple(self._answerers)
        space.describe(vpc)
        if vpc.internet:
            self._host.connect(vpc.id, space.fd, space.netlink)
        else:
            self._host.disconnect(vpc.id)
        self._apply_host()

    def _apply_host(self) -> None:
        self._host.apply([b for space in self._spaces.values() for b in space.host_balancers()])

    def _look_after_host(self) -> None:
        """No task fails for what cannot be put right on the host now."""
        try:
            self._apply_host()
        except (OSError, Permanent) as error:
            log.warning("the host's rules: %s", error)

    def _taken(self, id: str) -> Space | None:
        """A VPC that is to be removed, out of the list; also one of which a removal that failed has left something."""
        name = self._name(id)
        space = self._spaces.pop(id, None)
        if space is None and name in self._found():
            space = Space(id, name)
        return space

    def _disconnect(self, id: str) -> None:
        self._host.disconnect(id)
        self._apply_host()

    def _remove_all(self) -> None:
        """As much as can be; raises what was in the way of the rest."""
        spaces = list(self._spaces.values())
        self._spaces.clear()
        left = [n for n in namespaces.names(self._prefix) if n not in {space.name for space in spaces}]
        removals: list[Callable[[], None]] = [space.remove for space in spaces]
        removals += [partial(namespaces.delete, name) for name in left]
        trouble: list[OSError] = []
        for remove in (*removals, self._host.remove_all):
            try:
                remove()
            except OSError as error:
                trouble.append(error)
        if trouble:
            raise trouble[0]

    def _let_go(self) -> None:
        for space in self._spaces.values():
            space.close()
        self._spaces.clear()
        self._host.close()
        self._adopted = False

    # names, and the way to the API

    async def _serve(self, vpc: Vpc) -> None:
        """Raises Temporary; then nothing answers, and the next call begins anew."""
        space = self._spaces[vpc.id]
        wanted = tuple(space.served)
        running = self._servers.get(vpc.id)
        if running is not None and running.addresses == wanted:
            return
        self._hush(vpc.id)
        doorways = await self._do(space.doorways)
        servers = self._servers[vpc.id] = Servers(wanted)
        try:
            names = dns.Server(lambda: self._names(vpc.id), self._forwarder)
            servers.doors.append(names)
            await names.serve(doorways.take(socket.SOCK_DGRAM), doorways.take(socket.SOCK_STREAM))
            for at, answerer in self._answerers.items():
                servers.doors.append(await answerer(vpc.id, doorways.take(at)[0].detach()))
        except OSError as error:
            self._hush(vpc.id)
            raise Temporary(f"the servers of {vpc.id}: {error}") from error
        except BaseException:
            self._hush(vpc.id)
            raise
        finally:
            doorways.close()

    async def _relay(self, vpc: str, descriptor: int) -> Relay:
        relay = Relay(*self._target)
        await relay.serve(socket.socket(fileno=descriptor))
        return relay

    def _names(self, id: str) -> tuple[Names, bool]:
        space = self._spaces.get(id)
        if space is None or space.vpc is None:
            return Names({}), False
        vpc = space.vpc
        own = {key: b for key, b in self._balancers.items() if b.vpc == id}
        table = addresses_by_name(own) | {name.lower(): (address,) for name, address in vpc.names.items()}
        private = (*OUR_NAMES, vpc.domain) if vpc.domain else OUR_NAMES
        return Names(table, vpc.domain, private), vpc.internet

    def _hush(self, id: str) -> None:
        servers = self._servers.pop(id, None)
        if servers is not None:
            for door in servers.doors:
                door.close()


class Servers:
    """What answers in one VPC, at these addresses."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses
        self.doors: list[Door] = []


def _listen(pid: int, address: str, port: int) -> int:
    try:
        there = namespaces.of_process(pid)
    except OSError:
        raise Gone(f"process {pid} is gone") from None
    try:
        with namespaces.inside(there):
            inner = Netlink()
            try:
                if not address.startswith("127.") and address not in {a for _, a in inner.addresses()}:
                    inner.set_up(1)
                    inner.add_address(1, address)
            finally:
                inner.close()
            return bound(address, port, socket.SOCK_STREAM).detach()
    finally:
        os.close(there)
