"""Reconcilers wait for what passes; a refusal is a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from havre.control.patient import patient
from havre.gateway.faults import as_api_error
from havre.kernel.errors import ApiError, Conflict, Temporary


async def _ask(error: Exception) -> Mapping[str, Any]:
    async def aws(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        raise error

    return await patient(aws)("ec2", "CreateNetworkInterface", {})


@pytest.mark.parametrize("protocol", ["json", "query", "ec2", "rest-json", "rest-xml"])
@pytest.mark.parametrize("fault", [Temporary("the disk is full"), Conflict("moved on")])
async def test_what_the_gateway_makes_of_a_passing_fault_is_temporary(fault: Exception, protocol: str) -> None:
    with pytest.raises(Temporary, match="ec2 CreateNetworkInterface: "):
        await _ask(as_api_error(fault, protocol, "ec2", "r"))


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "ThrottlingException", "Throttling"])
async def test_throttling_is_temporary(code: str) -> None:
    with pytest.raises(Temporary):
        await _ask(ApiError(code, "Rate exceeded", 400))


@pytest.mark.parametrize("status", [None, 400, 403, 404, 500, 501])
async def test_a_refusal_stays_one(status: int | None) -> None:
    with pytest.raises(ApiError, match="InvalidSubnetID"):
        await _ask(ApiError("InvalidSubnetID.NotFound", "no such subnet", status))


async def test_an_answer_passes() -> None:
    async def aws(service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"of": [service, operation, request]}

    assert await patient(aws)("ecs", "ListTasks", {"cluster": "c"}) == {"of": ["ecs", "ListTasks", {"cluster": "c"}]}
