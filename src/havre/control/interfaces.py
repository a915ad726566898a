"""The network interfaces of what stands in a VPC (load balancers, VPC links), made and deleted through EC2's operations and
noted in their owner's status when done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect
from havre.kernel.errors import ApiError
from havre.kernel.resource import Key, Kind
from havre.store.ports import Transaction


class Attached(msgspec.Struct, frozen=True):
    """One, with the groups that it has."""

    subnet: str
    eni: str
    address: str
    groups: tuple[str, ...]


class MakeInterface(Effect, frozen=True):
    """Without ``groups`` it gets the VPC's default one."""

    owner: Key
    subnet: str
    description: str
    groups: tuple[str, ...]
    token: str


class DropInterface(Effect, frozen=True):
    owner: Key
    eni: str


class Regroup(Effect, frozen=True):
    owner: Key
    eni: str
    groups: tuple[str, ...]


Some = tuple[Attached, ...]
About = MakeInterface | DropInterface | Regroup


class Interfaces:
    """Carries the effects out, as ``principal``. EC2 knows an interface again by its client token, so making one twice makes
    one. ``status``: an owner's, of the interfaces that it has now."""

    def __init__(
        self, deps: ReconcilerDeps, principal: str, kind: Kind[Any, Any], status: Callable[[Some], Any]
    ) -> None:
        self._deps = deps
        self._principal, self._kind, self._status = principal, kind, status

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return {MakeInterface: self.make, DropInterface: self.drop, Regroup: self.regroup}

    def _ec2(self, effect: About) -> Aws:
        return self._deps.aws_for(effect.owner.account, effect.owner.region, self._principal)

    async def make(self, effect: MakeInterface) -> None:
        request: dict[str, Any] = {
            "SubnetId": effect.subnet,
            "Description": effect.description,
            "ClientToken": effect.token,
        }
        if effect.groups:
            request["Groups"] = list(effect.groups)
        made = (await self._ec2(effect)("ec2", "CreateNetworkInterface", request))["NetworkInterface"]
        groups = effect.groups or tuple(group["GroupId"] for group in made["Groups"])
        new = Attached(effect.subnet, made["NetworkInterfaceId"], made["PrivateIpAddress"], groups)
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

    async def _note(self, effect: About, how: Callable[[Some], Some]) -> None:
        def change(tx: Transaction) -> None:
            owner = tx.get(self._kind, effect.owner.account, effect.owner.region, effect.owner.name)
            if owner is not None:
                tx.update(owner, status=self._status(how(owner.status.interfaces)))

        await self._deps.store.transact(change)
