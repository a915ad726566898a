"""Capacity providers in the laboratory: every environment that is asked for is there at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.services.lambda_.lambda_harness import (
    FakeFunctions,
    Lambda,
    arn,
)

from havre.kernel.function import Function, Invocation, Outcome, Provisioned
from havre.store.memory import MemoryRecords

INVALID = "InvalidParameterValueException"
CONFLICT = "ResourceConflictException"
PUBLISHED = "$LATEST.PUBLISHED"


class Environments(FakeFunctions):
    """As many environments as are asked for are there at once, unless ``most`` of a function are. ``told`` overrides what is
    said of them."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: dict[str, int] = {}
        self.known: dict[str, Function] = {}
        self.most = 1000
        self.told: dict[str, Any] = {}
        self.invoked: list[Function] = []

    async def provision(self, function: Function, count: int) -> None:
        self.known[function.id] = function
        self.wanted[function.id] = count

    def provisioned(self) -> Mapping[str, Provisioned]:
        return {
            id: Provisioned(**{"wanted": count, "ready": min(count, self.most), **self.told})
            for id, count in self.wanted.items()
        }

    async def retire(self, id: str) -> None:
        await super().retire(id)
        self.wanted.pop(id, None)

    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        self.invoked.append(function)
        return Outcome(b'"done"')

    def counts(self) -> list[int]:
        return sorted(count for count in self.wanted.values() if count)


class Capacity(Lambda):
    def __init__(self) -> None:
        super().__init__()
        self.facilities.records = MemoryRecords()
        self.functions = Environments()
        self.facilities.functions = self.functions
        ec2 = self.running.client("ec2")
        subnets = ec2.describe_subnets()["Subnets"]
        self.vpc = subnets[0]["VpcId"]
        self.subnets = [s["SubnetId"] for s in subnets[:2]]
        self.group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        self.operator = self.make_role("operator")

    def given(self, name: str = "pool", **more: Any) -> dict[str, Any]:
        return {
            "CapacityProviderName": name,
            "VpcConfig": {"SubnetIds": self.subnets, "SecurityGroupIds": [self.group]},
            "PermissionsConfig": {"CapacityProviderOperatorRoleArn": self.operator},
            **more,
        }

    def provider(self, name: str = "pool", **more: Any) -> str:
        made = self.client.create_capacity_provider(**self.given(name, **more))["CapacityProvider"]
        self.reconcile()
        return str(made["CapacityProviderArn"])

    def on(self, provider: str = "pool", **more: Any) -> dict[str, Any]:
        used = {"CapacityProviderArn": arn(f"capacity-provider:{provider}"), **more}
        return {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": used}}

    def managed(self, name: str = "one", **more: Any) -> dict[str, Any]:
        return self.create(name, **{"Runtime": "python3.13", **self.on(), **more})

    def publish(self, name: str = "one", to: str = "LATEST_PUBLISHED") -> str:
        more = {"PublishTo": to} if to else {}
        version = str(self.client.publish_version(FunctionName=name, **more)["Version"])
        self.later()
        return version

    def later(self, seconds: float = 3.0, step: float = 0.2) -> None:
        """Timers go off."""
        for _ in range(int(seconds / step)):
            self.reconcile()
            self.running.offset += step
        self.reconcile()

    def state(self, qualifier: str = PUBLISHED, name: str = "one") -> str:
        return str(self.get(name, Qualifier=qualifier)["State"])
