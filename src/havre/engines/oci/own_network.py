"""The network of functions that are in no VPC of a user's: a VPC of Havre's own, with a way out and no way in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection

from havre.engines.ports import NetworkEngine
from havre.engines.sandbox import OWN_VPC
from havre.kernel.addresses import address_of, parse_cidr
from havre.kernel.errors import Temporary
from havre.kernel.vpc import NetworkRule, SecurityGroup, Subnet, Vpc
from havre.kernel.workload import Interface

_CIDR = "198.18.0.0/16"
"""Set aside for benchmarks of networks: nothing on the internet has these addresses."""
_SUBNET, _GROUP = "subnet-functions", "sg-functions"
_ENI = "eni-function-"
_RESERVED = 4
_OUT = NetworkRule("-1", -1, -1, cidr="0.0.0.0/0")
_VPC = Vpc(
    OWN_VPC,
    (_CIDR,),
    subnets=(Subnet(_SUBNET, _CIDR, ""),),
    security_groups=(SecurityGroup(_GROUP, egress=(_OUT,)),),
)


class OwnNetwork:
    def __init__(self, network: NetworkEngine) -> None:
        self._network = network
        self._swept = False
        self._sweeping = asyncio.Lock()
        block = parse_cidr(_CIDR)
        self._fresh = iter(range(block.base + _RESERVED, block.last))
        self._used: deque[int] = deque()
        self._taken: dict[str, int] = {}

    async def ready(self) -> None:
        """Costs nothing when it is. Raises Permanent, Temporary."""
        if not self._swept:
            async with self._sweeping:
                if not self._swept:
                    await self._sweep()
                    self._swept = True
        await self._network.ensure_vpc(_VPC)

    async def _sweep(self) -> None:
        """What a former life of this instance left."""
        for eni in await self._network.interfaces():
            if eni.startswith(_ENI):
                await self._network.detach(eni)

    async def attach(self, sandbox: str, pid: int) -> Interface:
        """Raises Permanent, Temporary, Gone."""
        await self.ready()
        number = self._next()
        eni = _ENI + sandbox
        mac = f"02:fa:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        interface = Interface(eni, OWN_VPC, _SUBNET, address_of(number), mac, security_groups=(_GROUP,))
        self._taken[eni] = number
        try:
            await self._network.attach(interface, pid)
        except BaseException:
            self._give_back(eni)
            raise
        return interface

    def _next(self) -> int:
        """One that nobody had yet, while there is any; then the one that was given back first. Raises Temporary."""
        number = next(self._fresh, None)
        if number is None:
            if not self._used:
                raise Temporary("all addresses of functions are in use")
            number = self._used.popleft()
        return number

    @property
    def taken(self) -> Collection[str]:
        """Attached, or about to be."""
        return self._taken.keys()

    async def detach(self, eni: str) -> None:
        await self._network.detach(eni)
        self._give_back(eni)

    def _give_back(self, eni: str) -> None:
        """To the end of the line: what still goes to the former holder of an address finds nobody."""
        number = self._taken.pop(eni, None)
        if number is not None:
            self._used.append(number)
