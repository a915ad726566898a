"""What tests of services share: a cluster, a service, what is said of it."""

from __future__ import annotations

from tests.simulation.harness import DEFINITION, Harness

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/instance/1"
BALANCED = {
    "loadBalancers": [{"targetGroupArn": GROUP, "containerName": "app", "containerPort": 80}],
}
BREAKER = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}}


async def ready(**more):
    h = Harness()
    await h.ready(DEFINITION, DEFINITION, **more)
    return h


async def create(h, **members):
    request = {"serviceName": "web", "taskDefinition": "web:1", "desiredCount": 3, **members}
    return (await h.call("CreateService", request))["service"]


async def described(h):
    return (await h.call("DescribeServices", services=["web"]))["services"][0]


def told(service):
    return [e["message"] for e in reversed(service["events"])]
