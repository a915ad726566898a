"""Reading requests, writing answers and loading models, against the client's half of the same work in botocore.

A request: botocore validates and serializes what Havre routes, parses and validates. An answer: botocore parses what
Havre renders. A model: botocore loads the JSON that Havre loads from its cache.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import botocore.loaders
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from benchmarks._harness import Promise, finish, rounds
from havre.wire import codec
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource
from havre.wire.routing import Router

_ARN = "arn:aws:ecs:us-east-1:000000000000"
_CONTAINER = {
    "name": "web",
    "image": "127.0.0.1:4566/hello:v1",
    "cpu": 256,
    "memory": 512,
    "essential": True,
    "portMappings": [{"containerPort": 8080, "hostPort": 0, "protocol": "tcp"}],
    "environment": [{"name": f"NAME_{n}", "value": f"value {n}"} for n in range(20)],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/ecs/web", "awslogs-region": "us-east-1"},
    },
    "healthCheck": {"command": ["CMD-SHELL", "curl -f localhost"], "interval": 30, "timeout": 5, "retries": 3},
}
_CALLS: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    # service, signing name, operation, request, answer
    (
        "ecs",
        "ecs",
        "DescribeClusters",
        {"clusters": ["default"], "include": ["TAGS"]},
        {
            "clusters": [
                {
                    "clusterArn": f"{_ARN}:cluster/default",
                    "clusterName": "default",
                    "status": "ACTIVE",
                    "registeredContainerInstancesCount": 1,
                    "runningTasksCount": 3,
                    "pendingTasksCount": 0,
                    "activeServicesCount": 1,
                    "statistics": [],
                    "tags": [],
                    "settings": [{"name": "containerInsights", "value": "disabled"}],
                    "capacityProviders": [],
                    "defaultCapacityProviderStrategy": [],
                }
            ],
            "failures": [],
        },
    ),
    (
        "ecs",
        "ecs",
        "RegisterTaskDefinition",
        {
            "family": "web",
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [_CONTAINER] * 3,
        },
        {
            "taskDefinition": {
                "taskDefinitionArn": f"{_ARN}:task-definition/web:1",
                "containerDefinitions": [_CONTAINER] * 3,
            }
        },
    ),
    (
        "ec2",
        "ec2",
        "DescribeSubnets",
        {"Filters": [{"Name": "vpc-id", "Values": ["vpc-0123456789abcdef0"]}], "MaxResults": 50},
        {
            "Subnets": [
                {
                    "SubnetId": f"subnet-{n:017x}",
                    "VpcId": "vpc-0123456789abcdef0",
                    "CidrBlock": f"10.0.{n}.0/24",
                    "AvailableIpAddressCount": 251,
                    "State": "available",
                    "MapPublicIpOnLaunch": False,
                    "Tags": [{"Key": "Name", "Value": f"subnet {n}"}],
                }
                for n in range(6)
            ]
        },
    ),
]


def _each(work: Callable[[], Any], seconds: float = 0.15) -> float:
    """Microseconds a call."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        for _ in range(50):
            work()
        done += 50
    return spent / done * 1e6


class _Call:
    """One operation, on both sides."""

    def __init__(
        self, models: ModelSource, router: Router, call: tuple[str, str, str, dict[str, Any], dict[str, Any]]
    ) -> None:
        name, self.scope, self.operation, self.params, self.answer = call
        theirs = ServiceModel(botocore.loaders.Loader().load_service_model(name, "service-2"), name)
        protocol = theirs.metadata["protocol"]
        self.models, self.router = models, router
        self.model = theirs.operation_model(self.operation)
        self.serializer, self.parser = create_serializer(protocol), create_parser(protocol)
        self.request = _as_sent(self.serializer.serialize_to_request(self.params, self.model))
        self.route = router.route(self.request, self.scope)
        response = self.render()
        self.received = {"headers": HeadersDict(response.headers), "status_code": 200, "body": response.body}

    def parse(self) -> Any:
        route = self.router.route(self.request, self.scope)
        return codec.parse(self.models.service(route.service), route, self.request)

    def render(self) -> Any:
        return codec.render(self.models.service(self.route.service), self.route, self.answer, "a-request-id")

    def their_request(self) -> Any:
        return self.serializer.serialize_to_request(self.params, self.model)

    def their_reading(self) -> Any:
        return self.parser.parse(self.received, self.model.output_shape)


def _requests_and_answers(promises: list[Promise], times: int) -> None:
    models = ModelSource(None)
    router = Router(models, ["ecs", "ec2", "iam", "elbv2", "ecr", "logs", "sts", "cloudtrail"])
    for each in _CALLS:
        call = _Call(models, router, each)
        name, target = call.operation, "<= 1" if call.route.protocol == "ec2" else "<= 0.5"
        # botocore leaves the form's encoding to its HTTP client: that half is missing from its side of ec2
        reading = Promise(f"{name}: route, parse, validate", "µs", target, "botocore's validator and serializer")
        promises.append(reading.run(partial(_each, call.parse), partial(_each, call.their_request), times))
        writing = Promise(f"{name}: render", "µs", "<= 0.5", "botocore's parser")
        promises.append(writing.run(partial(_each, call.render), partial(_each, call.their_reading), times))


def _as_sent(request: Any) -> HttpRequest:
    prepare_request_dict(request, endpoint_url="http://127.0.0.1", context={})
    sent = create_request_object(request).prepare()
    headers = {k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in sent.headers.items()}
    body = sent.body or b""
    return HttpRequest(sent.method, "/", "", headers, body.encode() if isinstance(body, str) else body)


def _milliseconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def _models(promises: list[Promise], times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ecs", "ec2"):
            ours = partial(_milliseconds, partial(_load, Path(folder), name))
            theirs = partial(_milliseconds, partial(_load_theirs, name))
            promise = Promise(f"load the model of {name}", "ms", "<= 0.1", "botocore's loader")
            promises.append(promise.run(ours, theirs, times))


def _load(folder: Path, name: str) -> None:
    ModelSource(folder).service(name)


def _load_theirs(name: str) -> None:
    botocore.loaders.Loader().load_service_model(name, "service-2")


def main() -> None:
    promises: list[Promise] = []
    _requests_and_answers(promises, rounds(5))
    _models(promises, rounds(5))
    finish(*promises)


if __name__ == "__main__":
    main()
