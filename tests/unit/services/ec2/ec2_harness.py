"""EC2 on a store in memory. What goes in and what comes out is held against botocore's model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from havre.control import nodes
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Call, Principal, Site
from havre.control.runner import Runner
from havre.kernel.errors import ApiError
from havre.kernel.vpc import Vpc
from havre.kernel.world import World
from havre.services import ec2
from havre.store.memory import MemoryJournal, MemoryStore

ACCOUNT, REGION = "000000000000", "us-east-1"
ECS, ELB = "ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com"


@lru_cache(maxsize=1)
def model() -> ServiceModel:
    session = botocore.session.get_session()
    return session.get_service_model("ec2")


class Ec2:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.world = World(lambda: self.time, Random(7))
        self.service = ec2.service()
        self.store = MemoryStore((*self.service.kinds, *nodes.KINDS), self.world)
        self.authorized: list[str] = []
        self.denied: set[str] = set()
        deps = ReconcilerDeps(self.store, MemoryJournal(), self.world, Site(), lambda a, r, p: self)  # type: ignore[arg-type]
        (self.reconciler,) = ec2.reconcilers(deps)
        self.runner = Runner([self.reconciler], self.store, self.world)

    async def __call__(
        self, name: str, *, service: str = "", region: str = REGION, account: str = ACCOUNT, **request: Any
    ) -> dict[str, Any]:
        """The operation, as a user or as an AWS service."""
        operation = self.service.operations[name]
        shapes = model().operation_model(name)
        report = ParamValidator().validate(request, shapes.input_shape)
        assert not report.has_errors(), report.generate_report()
        principal = Principal("Root", account, f"arn:aws:iam::{account}:root", account)
        if service:
            principal = Principal("AssumedRole", account, "arn:aws:sts:::role", "AROA:session", service=service)
        call = Call(
            service="ec2",
            operation=name,
            account=account,
            region=region,
            principal=principal,
            request_id="r",
            site=Site(),
            world=self.world,
            store=self.store,
            journal=MemoryJournal(),
            aws=self,  # type: ignore[arg-type]
            authorize=self._authorize,
        )
        if operation.resources is not None:
            assert all(isinstance(each, str) for each in operation.resources(call, request))
        answer = dict(await operation.handler(call, request) or {})
        if shapes.output_shape is not None:
            known(answer, shapes.output_shape, name)
        else:
            assert not answer
        return answer

    async def _authorize(self, action: str, resources: Any, context: Any) -> None:
        self.authorized.append(action)
        if action in self.denied:
            raise ApiError("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)

    async def refused(self, code: str, name: str, **request: Any) -> str:
        """The message of the error, which must have this code; nothing is changed by it. (The default VPC is there
        whatever an account first asks for, and is no doing of the request.)"""
        where = {key: request[key] for key in ("region", "account") if key in request}
        await self("DescribeVpcs", **where)
        before = self.store.revision
        with pytest.raises(ApiError) as caught:
            await self(name, **request)
        assert caught.value.code == code, caught.value
        assert self.store.revision == before
        return caught.value.message

    async def default(self) -> tuple[str, list[str], str]:
        """The default VPC, its subnets by zone, its default group."""
        subnets = sorted((await self("DescribeSubnets"))["Subnets"], key=lambda s: s["AvailabilityZone"])
        groups = (await self("DescribeSecurityGroups"))["SecurityGroups"]
        return subnets[0]["VpcId"], [s["SubnetId"] for s in subnets], groups[0]["GroupId"]

    def told(self, vpc: str) -> Vpc | None:
        """What the nodes are told of a VPC."""
        found = self.store.get(nodes.VPC, ACCOUNT, REGION, vpc)
        return found.spec.vpc if found else None


def known(value: Any, shape: Shape, where: str) -> None:
    """Every member of the answer is in the model, and of its type."""
    if value is None:
        return
    if shape.type_name == "structure":
        assert isinstance(value, Mapping), where
        for member, each in value.items():
            assert member in shape.members, f"{where}.{member} is not in the model"  # type: ignore[attr-defined]
            known(each, shape.members[member], f"{where}.{member}")  # type: ignore[attr-defined]
    elif shape.type_name == "list":
        for each in value:
            known(each, shape.member, where)  # type: ignore[attr-defined]
    else:
        types = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": float}
        assert isinstance(value, types[shape.type_name]), f"{where}: {value!r} is no {shape.type_name}"


def filters(**named: str | list[str]) -> list[dict[str, Any]]:
    """``vpc_id="vpc-1"`` as Filters."""
    return [
        {"Name": name.replace("_", "-"), "Values": [value] if isinstance(value, str) else value}
        for name, value in named.items()
    ]
