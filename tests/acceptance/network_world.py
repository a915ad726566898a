"""What tests of networks share: an instance with a cluster, its security groups, and tasks that are asked from inside."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any

from tests.images import own

from .conftest import Instance, eventually

IMAGE = own("localhost/havre-test-networks")
SERVE = "mkdir -p /w; echo $NAME > /w/index.html; httpd -p 80 -h /w; while :; do sleep 1 & wait $!; done"


@dataclass
class Task:
    """A running awsvpc task. Things are tried in its container ``main``; ``side`` is the other one."""

    arn: str
    address: str
    subnet: str
    eni: str
    containers: dict[str, str] = field(default_factory=dict)

    def run(self, command: str, container: str = "main") -> tuple[int, str]:
        done = subprocess.run(
            ["docker", "exec", self.containers[container], "sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def get(
        self,
        address: str,
        port: int = 80,
        path: str = "/",
        container: str = "main",
        host: str = "",
        within: int = 15,
    ) -> str:
        """The last line of the answer; "" when there is none within so many seconds."""
        request = f"GET {path} HTTP/1.0\\r\\nHost: {host or address}\\r\\n\\r\\n"
        command = f"printf '{request}' | nc -w {within} {address} {port}"
        lines = self.run(command, container)[1].splitlines()
        return lines[-1] if lines and lines[0].startswith("HTTP/") else ""

    def silent(self, address: str, port: int = 80, path: str = "/", host: str = "") -> bool:
        """Nobody answers, as when packets are dropped."""
        return self.get(address, port, path, host=host, within=1) == ""

    def names(self, name: str) -> set[str]:
        """The addresses that a name has for this task."""
        lines = self.run(f"nslookup {name}")[1].splitlines()
        return {line.split()[-1] for line in lines[2:] if line.startswith("Address")}


class Cloud:
    """An instance of Havre with a cluster, seen through boto3."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.ecs, self.ec2 = instance.client("ecs"), instance.client("ec2")
        self.ecs.create_cluster(clusterName="c")
        self.vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        here = [{"Name": "vpc-id", "Values": [self.vpc]}]
        self.subnets = [s["SubnetId"] for s in self.ec2.describe_subnets(Filters=here)["Subnets"]]
        self.define("serve", SERVE)
        self.define("idle", "while :; do sleep 1 & wait $!; done")

    def define(self, family: str, command: str) -> None:
        main = {"name": "main", "image": IMAGE, "memory": 32, "cpu": 16, "essential": True}
        main["command"] = ["sh", "-c", f"trap 'exit 0' TERM; {command}"]
        side = {"name": "side", "image": IMAGE, "memory": 32, "cpu": 16, "essential": False}
        containers = [main, side] if family == "serve" else [main]
        self.ecs.register_task_definition(family=family, networkMode="awsvpc", containerDefinitions=containers)

    def group(self, name: str, vpc: str = "", **rule: Any) -> str:
        """A security group, with one rule that lets in; egress is open, as AWS has it."""
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc or self.vpc)
        if rule:
            self.allow(made["GroupId"], **rule)
        return str(made["GroupId"])

    def allow(self, group: str, port: int, cidr: str = "", of: str = "") -> None:
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission(port, cidr, of)])

    def revoke(self, group: str, port: int, cidr: str = "", of: str = "") -> None:
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission(port, cidr, of)])

    def start(self, family: str, *groups: str, subnet: str = "", name: str = "") -> str:
        """A task's ARN; it has to be waited for."""
        where: dict[str, Any] = {"subnets": [subnet or self.subnets[0]]}
        if groups:
            where["securityGroups"] = list(groups)
        environment = [{"name": "NAME", "value": name or family}]
        answer = self.ecs.run_task(
            cluster="c",
            taskDefinition=family,
            networkConfiguration={"awsvpcConfiguration": where},
            overrides={"containerOverrides": [{"name": "main", "environment": environment}]},
        )
        assert not answer["failures"], answer["failures"]
        return str(answer["tasks"][0]["taskArn"])

    def running(self, arn: str) -> Task:
        def look() -> Any:
            task = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
            assert task["lastStatus"] not in ("STOPPING", "STOPPED"), task
            return task if task["lastStatus"] == "RUNNING" else None

        task = eventually(look)
        details = {d["name"]: d["value"] for d in task["attachments"][0]["details"]}
        containers = {c["name"]: c["runtimeId"] for c in task["containers"]}
        return Task(arn, details["privateIPv4Address"], details["subnetId"], details["networkInterfaceId"], containers)

    def run(self, family: str, *groups: str, **more: str) -> Task:
        return self.running(self.start(family, *groups, **more))

    def without_vpc(self, mode: str) -> Task:
        """A running task in bridge or host mode."""
        main = {"name": "main", "image": IMAGE, "memory": 32}
        family = f"idle-{mode}"
        self.ecs.register_task_definition(family=family, networkMode=mode, containerDefinitions=[main])
        arn = self.ecs.run_task(cluster="c", taskDefinition=family)["tasks"][0]["taskArn"]

        def look() -> Any:
            task = self.ecs.describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
            assert task["lastStatus"] not in ("STOPPING", "STOPPED"), task
            return task if task["lastStatus"] == "RUNNING" else None

        return Task(arn, "", "", "", {"main": eventually(look)["containers"][0]["runtimeId"]})

    def stop(self, *tasks: Task) -> None:
        for task in tasks:
            self.ecs.stop_task(cluster="c", task=task.arn)


def permission(port: int, cidr: str, of: str) -> dict[str, Any]:
    found: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    return found | ({"UserIdGroupPairs": [{"GroupId": of}]} if of else {"IpRanges": [{"CidrIp": cidr}]})
