"""An endpoint over fakes, and workloads that ask it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from havre.control.workloads.parts import View
from havre.dataplanes.metadata.answers import Answers, Sources
from havre.dataplanes.metadata.credentials import CredentialCache
from havre.dataplanes.metadata.endpoint import MetadataEndpoint
from havre.dataplanes.metadata.ids import Ids
from havre.dataplanes.metadata.stats import Sampler
from havre.engines.fake import FakeContainers
from havre.engines.fake_network import FakeNetwork
from havre.engines.ports import RunState
from havre.kernel.vpc import Vpc
from havre.kernel.workload import (
    BoundPort,
    Container,
    ContainerStatus,
    HealthCheck,
    Interface,
    LogTarget,
    Workload,
    WorkloadStatus,
)
from havre.kernel.world import World

NOW = 1_800_000_000.0
SECRET = b"s" * 32
ROLE = "arn:aws:iam::000000000000:role/task"
Json = dict[str, Any]


def awsvpc(id: str = "a" * 32, role: str = ROLE) -> Workload:
    options = {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"}
    container = Container(
        name="web",
        image="000000000000.dkr.ecr/web:1",
        cpu=10,
        memory=128,
        log=LogTarget("awslogs", "/ecs/web", f"ecs/web/{id}", "us-east-1", options),
        arn=f"arn:aws:ecs:us-east-1:000000000000:container/c/{id}/1",
        health_check=HealthCheck(("CMD", "true")),
    )
    return Workload(
        id=id,
        arn=f"arn:aws:ecs:us-east-1:000000000000:task/c/{id}",
        account="000000000000",
        region="us-east-1",
        containers=(container,),
        network="awsvpc",
        interface=Interface(
            "eni-1", "vpc-1", "subnet-1", "10.0.2.100", "0e:9e:32:c7:48:85", hostname="ip-10-0-2-100.ec2.internal"
        ),
        cpu=256,
        memory=512,
        role=role,
        metadata={
            "Cluster": "arn:cluster",
            "Family": "web",
            "Revision": "24",
            "LaunchType": "EC2",
            "VPCID": "vpc-1",
            "ServiceName": "s",
        },
    )


def bridge(id: str, role: str = ROLE, network: str = "bridge") -> Workload:
    return msgspec.structs.replace(awsvpc(id, role), network=network, interface=None)


def view(workload: Workload, address: str = "") -> View:
    status = ContainerStatus(
        "web",
        "RUNNING",
        runtime_id="f" * 64,
        image_digest="sha256:1",
        health="HEALTHY",
        ports=(BoundPort(80, 32768),),
        started=NOW,
    )
    report = WorkloadStatus(workload.id, "RUNNING", (status,), pull_started=NOW - 2, pull_stopped=NOW - 1)
    labels = {"havre.instance": "h", "com.amazonaws.ecs.task-arn": workload.arn}
    state = RunState(
        "f" * 64, "havre-h-web", workload.id, "web", "running", address=address, labels=labels, created=NOW - 0.5
    )
    return View(workload, report, {"web": state}, "10.0.2.0/24" if workload.interface else "")


class Setting:
    """An endpoint over fakes. ``apps`` maps descriptor → application; ``granted`` is what the server answers."""

    def __init__(self, *views: View) -> None:
        self.now = NOW
        self.views: list[View] = list(views)
        self.ids = Ids(SECRET)
        self.asked: list[str] = []
        self.trouble: Exception | None = None
        self.network = FakeNetwork()
        self.engine = FakeContainers(World(lambda: self.now, Random(1)))
        self.apps: list[Any] = []
        self.closed = 0
        self.host_app: Any = None
        sources = Sources(
            lambda: self.views,
            self.ids,
            CredentialCache(self.grant, lambda: self.now),
            Sampler(self.engine),
            self.tags,
            self.network.resolver_for,
        )
        self.answers = Answers(sources)
        engines = (self.engine, self.network)
        self.endpoint = MetadataEndpoint(sources, engines, self.serve, self, "http://127.0.0.1:4566")

    async def grant(self, workload: str) -> Mapping[str, str]:
        self.asked.append(workload)
        if self.trouble:
            raise self.trouble
        expires = f"2027-01-{15 + len(self.asked):02d}T09:00:00Z" if len(self.asked) > 1 else "2027-01-15T09:00:00Z"
        return {"RoleArn": ROLE, "AccessKeyId": f"ASIA{len(self.asked)}", "Expiration": expires}

    async def tags(self, workload: str) -> Mapping[str, Any]:
        if self.trouble:
            raise self.trouble
        return {"TaskTags": {"team": "a"}}

    async def serve(self, app: Any, descriptor: int) -> Any:
        os.close(descriptor)
        self.apps.append(app)
        return self

    def close(self) -> None:
        self.closed += 1

    async def open(self, app: Any, admits: Any) -> tuple[str, str, str]:
        self.host_app = app
        return "http://169.254.170.2", "http://169.254.169.1:4566", "169.254.130.7"


async def ask(app: Any, path: str, peer: str = "10.0.2.100", method: str = "GET") -> tuple[int, Any]:
    sent: list[Json] = []

    async def send(message: Json) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "client": (peer, 40000)}
    await app(scope, None, send)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


async def inside(setting: Setting, workload: Workload) -> Any:
    """The application that answers in the workload's VPC."""
    assert workload.interface is not None
    await setting.network.ensure_vpc(Vpc(workload.interface.vpc, ("10.0.0.0/16",)))
    await setting.endpoint.open(workload, 77)
    return setting.apps[-1]


def path_of(setting: Setting, workload: Workload, what: str = "", version: str = "v4") -> str:
    return f"/{version}/{setting.ids.container(workload.id, 'web')}{what}"


def credentials_path(setting: Setting, workload: Workload) -> str:
    return f"/v2/credentials/{setting.ids.credentials(workload.id)}"
