"""What is scaled: how much of it there is, and how it is made to be more or less."""

from __future__ import annotations

import re

from havre.control.operation import Aws
from havre.kernel.errors import ApiError
from havre.services.applicationautoscaling.errors import absent, invalid
from havre.services.applicationautoscaling.resources import ECS, LAMBDA

PRINCIPALS = {
    LAMBDA: "lambda.application-autoscaling.amazonaws.com",
    ECS: "ecs.application-autoscaling.amazonaws.com",
}
ROLES = {LAMBDA: "LambdaConcurrency", ECS: "ECSService"}
_FUNCTION = re.compile(r"function:([a-zA-Z0-9-_]+):([a-zA-Z0-9-_]+)\Z")
_SERVICE = re.compile(r"service/([a-zA-Z0-9-_]+)/([a-zA-Z0-9-_]+)\Z")


def check(namespace: str, dimension: str, resource: str) -> None:
    """Raises ApiError for what cannot be scaled here, and for names that are none."""
    if dimension not in PRINCIPALS:
        raise absent(f"ScalableDimension {dimension}")
    if not dimension.startswith(f"{namespace}:"):
        raise invalid(f"Unsupported service namespace, resource type or scalable dimension: {namespace}, {dimension}")
    if (_FUNCTION if dimension == LAMBDA else _SERVICE).match(resource) is None:
        raise invalid(f"Invalid resource ID: {resource}")


def function(resource: str) -> tuple[str, str]:
    """Name and qualifier."""
    found = _FUNCTION.match(resource)
    assert found is not None
    return found[1], found[2]


def _service(resource: str) -> tuple[str, str]:
    found = _SERVICE.match(resource)
    assert found is not None
    return found[1], found[2]


async def capacity(aws: Aws, dimension: str, resource: str) -> int | None:
    """None when the resource is gone. Raises ApiError, Temporary."""
    if dimension == ECS:
        cluster, service = _service(resource)
        try:
            found = (await aws("ecs", "DescribeServices", {"cluster": cluster, "services": [service]}))["services"]
        except ApiError as error:
            if error.code == "ClusterNotFoundException":
                return None
            raise
        active = [each for each in found if each["status"] == "ACTIVE"]
        return int(active[0]["desiredCount"]) if active else None
    name, qualifier = function(resource)
    try:
        await aws("lambda", "GetFunctionConfiguration", {"FunctionName": name, "Qualifier": qualifier})
        answer = await aws("lambda", "GetProvisionedConcurrencyConfig", {"FunctionName": name, "Qualifier": qualifier})
    except ApiError as error:
        if error.code == "ProvisionedConcurrencyConfigNotFoundException":
            return 0
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return int(answer["RequestedProvisionedConcurrentExecutions"])


async def scale(aws: Aws, dimension: str, resource: str, wanted: int) -> None:
    """Raises ApiError, Temporary."""
    if dimension == ECS:
        cluster, service = _service(resource)
        await aws("ecs", "UpdateService", {"cluster": cluster, "service": service, "desiredCount": wanted})
        return
    name, qualifier = function(resource)
    where = {"FunctionName": name, "Qualifier": qualifier}
    if wanted == 0:
        await aws("lambda", "DeleteProvisionedConcurrencyConfig", where)
    else:
        await aws("lambda", "PutProvisionedConcurrencyConfig", {**where, "ProvisionedConcurrentExecutions": wanted})
