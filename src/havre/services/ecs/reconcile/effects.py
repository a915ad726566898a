"""Executors: what the decisions want done outside ECS, through AWS operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.control.nodes import WORKLOAD
from havre.control.reconciler import Executor
from havre.core.lifecycle import ending
from havre.kernel.effects import Effect
from havre.kernel.errors import ApiError, Conflict
from havre.kernel.workload import Interface
from havre.services.ecs.events import tell
from havre.services.ecs.life import CreateInterface, DeleteInterface, Deregister, Register
from havre.services.ecs.log_streams import OpenLogStreams, make
from havre.services.ecs.registries import Registries
from havre.services.ecs.resources import TASK
from havre.store.ports import Transaction

PRINCIPAL = "ecs.amazonaws.com"
_GONE = {"InvalidNetworkInterfaceID.NotFound", "TargetGroupNotFound", "TargetGroupNotFoundException"}


class TaskEffects:
    def __init__(self, deps: ReconcilerDeps, registries: Registries) -> None:
        self._deps = deps
        self._registries = registries

    def all(self) -> Mapping[type[Effect], Executor]:
        return {
            CreateInterface: self.create_interface,
            OpenLogStreams: self.open_log_streams,
            DeleteInterface: self.delete_interface,
            Register: self.register,
            Deregister: self.deregister,
        }

    async def create_interface(self, effect: CreateInterface) -> None:
        account, region, name = effect.task
        request: dict[str, Any] = {
            "SubnetId": effect.subnet,
            "Description": effect.description,
            "ClientToken": effect.key,
        }
        if effect.groups:
            request["Groups"] = list(effect.groups)
        answer = await self._deps.aws_for(account, region, PRINCIPAL)("ec2", "CreateNetworkInterface", request)
        made = answer["NetworkInterface"]
        interface = Interface(
            eni=made["NetworkInterfaceId"],
            vpc=made["VpcId"],
            subnet=made["SubnetId"],
            address=made["PrivateIpAddress"],
            mac=made.get("MacAddress") or "",
            security_groups=tuple(g["GroupId"] for g in made.get("Groups") or ()),
            public_address=(made.get("Association") or {}).get("PublicIp") or "",
            hostname=made.get("PrivateDnsName") or "",
        )

        def attach(tx: Transaction) -> None:
            task = tx.get(TASK, account, region, name)
            if task is None:
                raise Conflict("the task is gone")
            zone = made.get("AvailabilityZone") or ""
            tx.update(task, status=msgspec.structs.replace(task.status, interface=interface, zone=zone))

        await self._deps.store.transact(attach)

    async def open_log_streams(self, effect: OpenLogStreams) -> None:
        for target in effect.targets:
            aws = await self._registries.caller(effect.account, target.region, effect.role, effect.task)
            await make(aws, target)

    async def delete_interface(self, effect: DeleteInterface) -> None:
        aws = self._deps.aws_for(effect.account, effect.region, PRINCIPAL)
        found = [effect.eni]
        if not effect.eni:
            filters = [{"Name": "description", "Values": [effect.description]}]
            answer = await aws("ec2", "DescribeNetworkInterfaces", {"Filters": filters})
            found = [i["NetworkInterfaceId"] for i in answer.get("NetworkInterfaces") or ()]
        for eni in found:
            try:
                await aws("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": eni})
            except ApiError as error:
                if error.code not in _GONE:
                    raise

    async def register(self, effect: Register) -> None:
        await self._targets(effect, "RegisterTargets")
        await self._tell(effect, f"registered 1 targets in (target-group {effect.group})")

    async def deregister(self, effect: Deregister) -> None:
        """Not if another task serves there: a container that has ended gives its host port back, and the next one may
        have registered it since."""
        if not self._passed_on(effect):
            await self._leave(effect)
        if self._passed_on(effect):
            await self._targets(effect, "RegisterTargets")

    def _passed_on(self, effect: Deregister) -> bool:
        """Whether it is the target of another task by now, one that runs."""
        target, store = (effect.group, effect.target, effect.port), self._deps.store
        for task in store.find(TASK, "node", effect.node) if effect.target.startswith("i-") else ():
            status = task.status
            if task.meta.name == effect.task or target not in status.registered or status.deregistered_at is not None:
                continue
            told = store.get(WORKLOAD, *task.key[1:])
            report = told.status.report if told is not None else None
            if task.spec.desired == "RUNNING" and report is not None and not ending(report.phase):
                return True
        return False

    async def _leave(self, effect: Deregister) -> None:
        try:
            await self._targets(effect, "DeregisterTargets")
        except ApiError as error:
            if error.code not in _GONE:
                raise
            return
        await self._tell(effect, f"deregistered 1 targets in (target-group {effect.group})")

    async def _targets(self, effect: Register, operation: str) -> None:
        aws = self._deps.aws_for(effect.account, effect.region, PRINCIPAL)
        target = {"Id": effect.target, "Port": effect.port}
        await aws("elbv2", operation, {"TargetGroupArn": effect.group, "Targets": [target]})

    async def _tell(self, effect: Register, message: str) -> None:
        if effect.service:
            service = (effect.account, effect.region, effect.service)
            await tell(self._deps.store, self._deps.world, service, message)
