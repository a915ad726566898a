"""A node asks for the values of secrets when it makes the container that has them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.control.workloads.agent_bench import Node, work

pytestmark = pytest.mark.looptime


async def test_values_are_in_the_environment_of_the_container_and_nowhere_else() -> None:
    node, made = Node(), []
    create = node.engine.create

    async def kept(workload: Any, container: Any, *more: Any) -> Any:
        made.append(container)
        return await create(workload, container, *more)

    node.engine.create = kept  # type: ignore[method-assign]
    node.secrets = {"WORD": "value"}
    one, two = work("w", "ok", "ok").containers
    one = msgspec.structs.replace(one, secrets={"WORD": "/a/b"}, environment={"PLAIN": "p"})
    async with node.life():
        node.assign(msgspec.structs.replace(work("w"), containers=(one, two)))
        await node.until("w", "RUNNING")
        found = {c.name: c.environment for c in made}
        assert {"WORD", "PLAIN"} <= found["c0"].keys() and found["c0"]["WORD"] == "value"
        assert "WORD" not in found["c1"]
        assert "value" not in repr(node.agent.views())


async def test_without_an_answer_the_task_says_so() -> None:
    node = Node()
    with_secret = msgspec.structs.replace(work("w").containers[0], secrets={"WORD": "/a/b"})
    async with node.life():
        node.assign(msgspec.structs.replace(work("w"), containers=(with_secret,)))
        status = await node.until("w", "STOPPED")
        assert status.stop_code == "TaskFailedToStart" and "nobody" in status.stop_reason
