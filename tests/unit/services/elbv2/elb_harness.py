"""ELB and EC2 on a store in memory, without a gateway: operations by name, reconcilers by steps, time by hand."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from havre.control import nodes
from havre.control.certificates import records
from havre.control.deps import ReconcilerDeps
from havre.control.nodes import BALANCER, NODE, BalancerReport, NodeSpec, NodeStatus
from havre.control.operation import Call, Principal, Site
from havre.control.runner import Runner
from havre.kernel.balancer import Balancer, BalancerStatus, TargetHealth
from havre.kernel.errors import ApiError
from havre.kernel.world import World
from havre.services import ec2, elbv2
from havre.store.memory import MemoryJournal, MemoryStore

ACCOUNT, REGION = "000000000000", "us-east-1"
ELB = "elasticloadbalancing.amazonaws.com"


class Harness:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.world = World(lambda: self.now, Random(3))
        self.site = Site()
        self.services = {"ec2": ec2.service(), "elbv2": elbv2.service()}
        kinds = [k for s in self.services.values() for k in s.kinds]
        self.store = MemoryStore((*kinds, *nodes.KINDS, *records.KINDS), self.world)
        self.journal = MemoryJournal()
        deps = ReconcilerDeps(self.store, self.journal, self.world, self.site, lambda a, r, p, source="": self.aws(p))
        self.runner = Runner(elbv2.reconcilers(deps), self.store, self.world)
        self.denied: set[str] = set()
        self.function: Any = None
        """What plays Lambda's Invoke: request → answer."""
        self.deps = deps
        self.objects: dict[str, bytes] = {}
        """What lies in every bucket of S3, by key."""

    def aws(self, principal: str = "") -> Any:
        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self.operate(service, operation, request, principal)

        return call

    async def operate(self, service: str, name: str, request: Mapping[str, Any], principal: str = "") -> dict[str, Any]:
        async def authorize(action: str, resources: Any, context: Any) -> None:
            if action in self.denied:
                raise ApiError("AccessDenied", f"not authorized to perform: {action}")

        if service == "s3":
            if request["Key"] not in self.objects:
                raise ApiError("NoSuchKey", "The specified key does not exist.")
            return {"Body": self.objects[request["Key"]]}
        if service == "lambda":
            return dict(await self.function(request))
        root = Principal("Root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        linked = Principal("AWSService", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/elb", "AROA:elb", service=principal)
        call = Call(
            service=service,
            operation=name,
            account=ACCOUNT,
            region=REGION,
            principal=linked if principal else root,
            request_id="r",
            site=self.site,
            world=self.world,
            store=self.store,
            journal=self.journal,
            aws=self.aws(),
            authorize=authorize,
            as_service=lambda service, source="": self.aws(service),
        )
        operation = self.services[service].operations[name]
        if operation.resources is not None:
            assert operation.resources(call, request)
        return dict(await operation.handler(call, request) or {})

    async def elb(self, name: str, **request: Any) -> dict[str, Any]:
        return await self.operate("elbv2", name, request)

    async def ec2(self, name: str, **request: Any) -> dict[str, Any]:
        return await self.operate("ec2", name, request)

    async def network(self) -> tuple[str, list[str]]:
        """The default VPC and its subnets, by zone."""
        found = (await self.ec2("DescribeSubnets"))["Subnets"]
        found = sorted(found, key=lambda s: s["AvailabilityZone"])
        return found[0]["VpcId"], [s["SubnetId"] for s in found]

    async def node(self, name: str = "node-1", address: str = "127.0.0.1") -> None:
        status = NodeStatus(connected=True, address=address)
        await self.store.transact(
            lambda tx: tx.create(NODE, account="", region="", name=name, arn="", spec=NodeSpec(), status=status)
        )

    async def settle(self) -> None:
        for _ in range(1000):
            if not await self.runner.step():
                return
        raise RuntimeError("does not settle")

    def told(self) -> list[Balancer]:
        """What nodes are told to run."""
        return [r.spec.balancer for r in self.store.list(BALANCER)]

    async def report(self, *targets: TargetHealth, state: str = "active", reason: str = "") -> None:
        """What the node says of the only balancer."""
        (order,) = self.store.list(BALANCER)
        said = BalancerReport(BalancerStatus(order.meta.name, state, reason, targets))
        await self.store.transact(lambda tx: tx.update(order, status=said))

    async def balancer(self, name: str = "web", **more: Any) -> str:
        """Its ARN; made and settled on a node."""
        _, subnets = await self.network()
        made = await self.elb("CreateLoadBalancer", Name=name, Subnets=subnets[:2], **more)
        await self.settle()
        arn: str = made["LoadBalancers"][0]["LoadBalancerArn"]
        return arn

    async def group(self, name: str = "tg", **more: Any) -> str:
        vpc, _ = await self.network()
        wanted = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip", **more}
        arn: str = (await self.elb("CreateTargetGroup", **wanted))["TargetGroups"][0]["TargetGroupArn"]
        return arn

    async def listener(self, balancer: str, group: str, port: int = 80) -> str:
        made = await self.elb(
            "CreateListener",
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        await self.settle()
        arn: str = made["Listeners"][0]["ListenerArn"]
        return arn

    async def health(self, group: str, **more: Any) -> dict[str, Mapping[str, Any]]:
        """TargetHealth by target (``id:port``)."""
        found = (await self.elb("DescribeTargetHealth", TargetGroupArn=group, **more))["TargetHealthDescriptions"]
        return {f"{d['Target']['Id']}:{d['Target']['Port']}": d["TargetHealth"] for d in found}
