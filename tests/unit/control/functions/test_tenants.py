"""Functions whose environments serve one tenant each."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.control.functions.harness import ground

from havre.core.environments import Rules
from havre.kernel.function import Code, FunctionLogs

WHO = """
    import os
    seen = []
    def handler(event, context):
        seen.append(context.tenant_id)
        return seen
"""


@pytest.mark.parametrize("kind", ["zip", "directory"])
async def test_no_environment_serves_two_tenants(tmp_path: Path, kind: str) -> None:
    async with ground(tmp_path) as g:
        function = g.function(WHO)
        if kind == "directory":
            function = replace(function, code=Code("directory", path=function.code.path))
        for tenant, rounds in (("blue", 1), ("green", 1), ("blue@eu", 1), ("blue", 2), ("green", 2)):
            found = json.loads((await g.invoke(function, tenant=tenant)).payload)
            assert found == [tenant] * rounds
        assert g.engine.calls["obtain"] == 3
        await g.hub.retire(function.id)
        while g.engine.boxes or not g.engine.calls["forget"]:
            await asyncio.sleep(0.01)
        assert not g.plane._functions and not g.plane._fleet.within(function.id)


async def test_one_of_another_tenant_makes_room(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=256)) as g:
        function = g.function(WHO, memory=200)
        for tenant in ("blue", "green"):
            assert json.loads((await g.invoke(function, tenant=tenant)).payload) == [tenant]
        while len(g.engine.boxes) > 1:
            await asyncio.sleep(0.01)


async def test_events_tell_the_tenant(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(WHO, logs=FunctionLogs("/aws/lambda/f", format="JSON", system_level="DEBUG"))
        await g.invoke(function, tenant="blue")
        lines = await g.lines("platform.report")
        told = {each["type"]: each["record"] for each in map(json.loads, lines) if "record" in each}
        for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
            assert told[kind]["tenantId"] == "blue"
