"""A node and AWS's other services, as ECS sees them: with delays, failures and losses that a seed decides."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from havre.control.nodes import NODE, WORKLOAD, NodeSpec, NodeStatus, WorkloadReport
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.resource import Resource
from havre.kernel.workload import BoundPort, ContainerStatus, Workload, WorkloadStatus
from havre.kernel.world import World
from havre.store.ports import Store

replace = msgspec.structs.replace


async def add_node(store: Store, name: str = "node-1", **status: Any) -> None:
    made = NodeStatus(**{"connected": True, "cpu": 4096, "memory": 16384, **status})
    await store.transact(
        lambda tx: tx.create(NODE, account="", region="", name=name, arn="", spec=NodeSpec(), status=made)
    )


class FakeNodes:
    """Every node at once: takes workloads one phase further at each ``step``.

    ``behave(workload)`` says how it goes: ok, crash (a container exits 1 once RUNNING), fail (never starts), unhealthy.
    """

    def __init__(self, store: Store, world: World) -> None:
        self.store = store
        self.world = world
        self.behave: Any = lambda workload: "ok"
        self.ever: dict[str, int] = {}
        self.port = 32768

    def workloads(self) -> list[Resource[Any, WorkloadReport]]:
        return list(self.store.list(WORKLOAD))

    def next(self, record: Resource[Any, WorkloadReport]) -> WorkloadStatus | None:
        """The next thing that the node would report, None when nothing changes."""
        told: Workload = record.spec.workload
        report = record.status.report
        now = self.world.now()
        how = self.behave(told)
        if report is None:
            if told.desired == "STOPPED":
                return self._over(told, None, told.stop_code, told.stop_reason)
            self.ever[told.id] = self.ever.get(told.id, 0) + 1
            return WorkloadStatus(told.id, "PENDING", self._containers(told, "PULLING"), pull_started=now)
        if report.phase == "STOPPED":
            return None
        if told.desired == "STOPPED":
            return self._over(told, report, told.stop_code, told.stop_reason)
        if report.phase == "PENDING":
            if how == "fail":
                reason = "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found"
                return self._over(told, report, "TaskFailedToStart", reason)
            running = self._containers(told, "RUNNING", health="HEALTHY")
            return replace(report, phase="RUNNING", containers=running, started=now, health="HEALTHY")
        if report.phase == "RUNNING" and how == "crash":
            return self._over(told, report, "EssentialContainerExited", "Essential container in task exited")
        if report.phase == "RUNNING" and how == "unhealthy" and report.health != "UNHEALTHY":
            return replace(report, health="UNHEALTHY")
        return None

    def _containers(self, told: Workload, state: str, **more: Any) -> tuple[ContainerStatus, ...]:
        made = []
        for c in told.containers:
            ports = []
            if state == "RUNNING":
                for p in c.ports:
                    self.port += 1
                    ports.append(BoundPort(p.container_port, p.host_port or self.port, p.protocol))
            made.append(ContainerStatus(c.name, state, runtime_id=f"{told.id}-{c.name}", ports=tuple(ports), **more))
        return tuple(made)

    def _over(self, told: Workload, report: WorkloadStatus | None, code: str, reason: str) -> WorkloadStatus:
        containers = report.containers if report is not None else self._containers(told, "PENDING")
        exit_code = None if code == "TaskFailedToStart" else (0 if told.desired == "STOPPED" else 1)
        stopped = tuple(replace(c, state="STOPPED", exit_code=exit_code) for c in containers)
        now = self.world.now()
        base = report or WorkloadStatus(told.id, "STOPPED")
        return replace(
            base, phase="STOPPED", containers=stopped, stop_code=code, stop_reason=reason, stopping=now, stopped=now
        )

    async def report(self, record: Resource[Any, WorkloadReport], status: WorkloadStatus) -> None:
        def write(tx: Any) -> None:
            found = tx.get(WORKLOAD, record.meta.account, record.meta.region, record.meta.name)
            if found is not None:
                tx.update(found, status=WorkloadReport(status))

        await self.store.transact(write)

    async def step(self, chance: Random | None = None) -> bool:
        """One report of one node, a random one where chance is given."""
        ready = [(r, n) for r in self.workloads() if (n := self.next(r)) is not None]
        if not ready:
            return False
        record, status = chance.choice(ready) if chance is not None else ready[0]
        await self.report(record, status)
        return True

    async def kill(self, name: str, exit_code: int = 137) -> None:
        """docker kill of the task's containers."""
        record = next(r for r in self.workloads() if r.meta.name == name)
        report = record.status.report
        assert report is not None
        status = self._over(
            record.spec.workload, report, "EssentialContainerExited", "Essential container in task exited"
        )
        stopped = tuple(replace(c, exit_code=exit_code) for c in status.containers)
        await self.report(record, replace(status, containers=stopped))


def _vpc(id: str) -> str:
    return "vpc-2" if id.endswith("-of-vpc-2") else "vpc-1"


class FakeAws:
    """ec2, elbv2, ecr and sts, as little of each as ECS calls. ``fault``, when set, may raise before or after a call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.interfaces: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.groups: dict[str, dict[tuple[str, int], str]] = {}
        self.deadline: dict[tuple[str, str, int], float] = {}
        self.delay = 0.0
        self.health: Any = lambda id, port: "healthy"
        self.fault: Any = None
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []
        self.principals: list[str] = []
        self._n = 0

    def for_(self, account: str, region: str, principal: str) -> Any:
        async def call(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
            self.principals.append(principal)
            return await self(service, operation, request)

        return call

    async def __call__(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append((service, operation, request))
        if self.fault is not None and self.fault(operation) == "before":
            raise Temporary(f"{operation} did not answer")
        answer = getattr(self, operation)(request)
        if self.fault is not None and self.fault(operation) == "after":
            raise Temporary(f"the answer of {operation} was lost")
        return dict(answer)

    # ec2

    def CreateNetworkInterface(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["SubnetId"].startswith("subnet-bad"):
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{request['SubnetId']}' does not exist")
        token = request["ClientToken"]
        if token in self.tokens and self.tokens[token] in self.interfaces:
            return {"NetworkInterface": self.interfaces[self.tokens[token]]}
        self._n += 1
        eni = f"eni-{self._n:017x}"
        self.tokens[token] = eni
        self.interfaces[eni] = {
            "NetworkInterfaceId": eni,
            "VpcId": "vpc-1",
            "SubnetId": request["SubnetId"],
            "PrivateIpAddress": f"172.31.{self._n // 250}.{self._n % 250 + 4}",
            "MacAddress": "02:00:00:00:00:01",
            "Groups": [{"GroupId": g} for g in request.get("Groups", ["sg-default"])],
            "Description": request["Description"],
            "AvailabilityZone": f"us-east-1{request['SubnetId'][-1]}",
        }
        return {"NetworkInterface": self.interfaces[eni]}

    def DescribeSubnets(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        for subnet in request["SubnetIds"]:
            if subnet.startswith("subnet-none"):
                raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
        return {"Subnets": [{"SubnetId": s, "VpcId": _vpc(s)} for s in request["SubnetIds"]]}

    def DescribeSecurityGroups(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        for group in request["GroupIds"]:
            if group.startswith("sg-none"):
                raise ApiError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        return {"SecurityGroups": [{"GroupId": g, "VpcId": _vpc(g)} for g in request["GroupIds"]]}

    def DescribeNetworkInterfaces(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = request["Filters"][0]["Values"]
        return {"NetworkInterfaces": [i for i in self.interfaces.values() if i["Description"] in wanted]}

    def DeleteNetworkInterface(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.interfaces.pop(request["NetworkInterfaceId"], None) is None:
            raise ApiError("InvalidNetworkInterfaceID.NotFound", "gone")
        return {}

    # elbv2

    def _group(self, request: Mapping[str, Any]) -> dict[tuple[str, int], str]:
        return self.groups.setdefault(request["TargetGroupArn"], {})

    def RegisterTargets(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        for t in request["Targets"]:
            self._group(request)[t["Id"], t["Port"]] = "in"
        return {}

    def DeregisterTargets(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        for t in request["Targets"]:
            key = (t["Id"], t["Port"])
            if self._group(request).get(key) == "in":
                self._group(request)[key] = "draining"
                self.deadline[request["TargetGroupArn"], *key] = self.world.now() + self.delay
        return {}

    def DescribeTargetHealth(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        found = []
        group = self._group(request)
        for key, state in list(group.items()):
            if state == "draining" and self.world.now() >= self.deadline[request["TargetGroupArn"], *key]:
                del group[key]
                continue
            said = "draining" if state == "draining" else self.health(*key)
            found.append({"Target": {"Id": key[0], "Port": key[1]}, "TargetHealth": {"State": said}})
        wanted = {(t["Id"], t["Port"]) for t in request.get("Targets", ())}
        chosen = [f for f in found if not wanted or (f["Target"]["Id"], f["Target"]["Port"]) in wanted]
        return {"TargetHealthDescriptions": chosen}

    def DescribeTargetGroupAttributes(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": str(int(self.delay))}]}

    def DescribeTargetGroups(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        groups = []
        for arn in request["TargetGroupArns"]:
            if "missing" in arn:
                raise ApiError("TargetGroupNotFound", "One or more target groups not found")
            kind = "instance" if "instance" in arn else "ip"
            balancers = (
                [] if "lonely" in arn else ["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/a/1"]
            )
            groups.append(
                {"TargetGroupArn": arn, "TargetType": kind, "LoadBalancerArns": balancers, "Protocol": "HTTP"}
            )
        return {"TargetGroups": groups}

    # ecr, sts

    def GetAuthorizationToken(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        import base64

        token = base64.b64encode(b"AWS:secret").decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "http://127.0.0.1:4566"}]}

    def AssumeRole(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if "denied" in request["RoleArn"]:
            raise ApiError("AccessDenied", f"User is not authorized to perform: sts:AssumeRole on {request['RoleArn']}")
        return {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t"}}
