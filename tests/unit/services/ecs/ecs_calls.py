"""Short ways to call ECS in tests of its operations: a service, the machine's instances, a refusal."""

from __future__ import annotations

import pytest

from havre.kernel.errors import ApiError


async def service(h, **members):
    request = {"serviceName": "web", "taskDefinition": "web:1", "desiredCount": 2, **members}
    made = (await h.call("CreateService", request))["service"]
    await h.pass_time(10)
    return made["serviceArn"]


async def instances(h):
    return (await h.call("ListContainerInstances"))["containerInstanceArns"]


async def refused(h, code, operation, **request):
    with pytest.raises(ApiError) as error:
        await h.call(operation, request)
    assert error.value.code == code
    return error.value.message
