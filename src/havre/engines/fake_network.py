"""A NetworkEngine in memory, which can be told to fail or to be slow."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

from havre.engines.ports import Answerer, Door
from havre.kernel.balancer import Balancer
from havre.kernel.errors import Temporary
from havre.kernel.vpc import Vpc
from havre.kernel.workload import Interface


class FakeNetwork:
    """``fail`` maps a method's name to what its next call raises (once); ``delay`` is in seconds of the loop's time.
    ``attached`` maps ENI → (interface, pid); ``listening`` the sockets given out; ``doors`` (VPC, address, port) → what
    answers there."""

    def __init__(self, why_not: str = "", port: int = 4566) -> None:
        self.why_not = why_not
        self.port = port
        self.fail: dict[str, Exception] = {}
        self.delay: dict[str, float] = {}
        self.vpcs: dict[str, Vpc] = {}
        self.attached: dict[str, tuple[Interface, int]] = {}
        self.balancers: dict[str, Balancer] = {}
        self.listening: list[tuple[int, str, int]] = []
        self.doors: dict[tuple[str, str, int], Door] = {}
        self._answerers: dict[tuple[str, int], Answerer] = {}
        self._over = False

    async def _turn(self, method: str) -> None:
        if method in self.delay:
            await asyncio.sleep(self.delay[method])
        if method in self.fail:
            raise self.fail.pop(method)

    def available(self) -> str:
        return self.why_not

    async def ensure_vpc(self, vpc: Vpc) -> None:
        await self._turn("ensure_vpc")
        if self._over:
            raise Temporary("the networks are removed")
        for (address, port), answerer in self._answerers.items():
            if (vpc.id, address, port) not in self.doors:
                self.doors[vpc.id, address, port] = await answerer(vpc.id, _listener())
        self.vpcs[vpc.id] = vpc

    async def remove_vpc(self, id: str) -> None:
        await self._turn("remove_vpc")
        self.vpcs.pop(id, None)
        self._close(id)
        self.attached = {eni: pair for eni, pair in self.attached.items() if pair[0].vpc != id}
        self.balancers = {key: b for key, b in self.balancers.items() if b.vpc != id}

    async def attach(self, interface: Interface, pid: int) -> None:
        await self._turn("attach")
        self._built(interface.vpc)
        if interface.subnet not in {s.id for s in self.vpcs[interface.vpc].subnets}:
            raise Temporary(f"the subnet {interface.subnet} is not known here yet")
        self.attached[interface.eni] = (interface, pid)

    async def detach(self, eni: str) -> None:
        await self._turn("detach")
        self.attached.pop(eni, None)

    async def add_balancer(self, balancer: Balancer) -> None:
        await self._turn("add_balancer")
        self._built(balancer.vpc)
        self.balancers[balancer.id] = balancer

    async def remove_balancer(self, id: str) -> None:
        await self._turn("remove_balancer")
        self.balancers.pop(id, None)

    def _close(self, vpc: str = "") -> None:
        for key in [k for k in self.doors if vpc in ("", k[0])]:
            self.doors.pop(key).close()

    def answer(self, address: str, port: int, answerer: Answerer) -> None:
        """On a free port of the loopback interface of this process."""
        self._answerers[address, port] = answerer

    def _built(self, vpc: str) -> None:
        if vpc not in self.vpcs:
            raise Temporary(f"the VPC {vpc} is not built here yet")

    async def listen(self, pid: int, address: str, port: int) -> int:
        """On a free port of the loopback interface of this process."""
        await self._turn("listen")
        self.listening.append((pid, address, port))
        return _listener()

    def namespaces(self) -> Mapping[str, str]:
        return {id: f"havre-fake-{id.removeprefix('vpc-')}" for id in self.vpcs}

    def endpoint_for(self, vpc: str) -> str:
        return f"http://169.254.169.1:{self.port}"

    def resolver_for(self, vpc: str) -> Sequence[str]:
        return ("169.254.169.253",)

    async def interfaces(self) -> Sequence[str]:
        await self._turn("interfaces")
        return sorted(self.attached)

    async def remove_all(self) -> None:
        await self._turn("remove_all")
        self._over = True
        self._close()
        self.vpcs, self.attached, self.balancers = {}, {}, {}

    async def close(self) -> None:
        self._close()


def _listener() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        return server.detach()
