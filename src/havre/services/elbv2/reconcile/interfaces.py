"""The network interfaces of load balancers, made and deleted through EC2's operations; noted in the status when done."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect
from havre.kernel.errors import ApiError
from havre.services.elbv2.network import PRINCIPAL
from havre.services.elbv2.resources import LOAD_BALANCER, Attached
from havre.store.ports import Transaction


class MakeInterface(Effect, frozen=True):
    account: str
    region: str
    balancer: str
    subnet: str
    description: str
    groups: tuple[str, ...]
    token: str


class DropInterface(Effect, frozen=True):
    account: str
    region: str
    balancer: str
    eni: str


class Regroup(Effect, frozen=True):
    account: str
    region: str
    balancer: str
    eni: str
    groups: tuple[str, ...]


Interfaces_ = tuple[Attached, ...]


class Interfaces:
    """Carries the effects out. EC2 knows an interface again by its client token, so making one twice makes one."""

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store, self._aws_for = deps.store, deps.aws_for

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {MakeInterface: self.make, DropInterface: self.drop, Regroup: self.regroup}

    def _ec2(self, effect: MakeInterface | DropInterface | Regroup) -> Aws:
        return self._aws_for(effect.account, effect.region, PRINCIPAL)

    async def make(self, effect: MakeInterface) -> None:
        request = {
            "SubnetId": effect.subnet,
            "Description": effect.description,
            "Groups": list(effect.groups),
            "ClientToken": effect.token,
        }
        made = (await self._ec2(effect)("ec2", "CreateNetworkInterface", request))["NetworkInterface"]
        new = Attached(effect.subnet, made["NetworkInterfaceId"], made["PrivateIpAddress"], effect.groups)
        await self._note(effect, lambda old: (*(i for i in old if i.subnet != new.subnet), new))

    async def drop(self, effect: DropInterface) -> None:
        try:
            await self._ec2(effect)("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": effect.eni})
        except ApiError as error:
            if error.code != "InvalidNetworkInterfaceID.NotFound":
                raise
        await self._note(effect, lambda old: tuple(i for i in old if i.eni != effect.eni))

    async def regroup(self, effect: Regroup) -> None:
        request = {"NetworkInterfaceId": effect.eni, "Groups": list(effect.groups)}
        await self._ec2(effect)("ec2", "ModifyNetworkInterfaceAttribute", request)
        await self._note(
            effect, lambda old: tuple(replace(i, groups=effect.groups) if i.eni == effect.eni else i for i in old)
        )

    async def _note(
        self, effect: MakeInterface | DropInterface | Regroup, how: Callable[[Interfaces_], Interfaces_]
    ) -> None:
        def change(tx: Transaction) -> None:
            lb = tx.get(LOAD_BALANCER, effect.account, effect.region, effect.balancer)
            if lb is not None:
                tx.update(lb, status=replace(lb.status, interfaces=how(lb.status.interfaces)))

        await self._store.transact(change)
