"""Functions through the whole plane: channel, environments, Runtime API, AWS's own client for Python."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.control.functions.harness import ground

ECHO = """
    def handler(event, context):
        return {"event": event, "arn": context.invoked_function_arn, "id": context.aws_request_id}
"""


async def test_an_answer_comes_back_and_the_next_one_is_warm(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(ECHO)
        first = await g.invoke(function, {"a": 1})
        assert first.error == "" and json.loads(first.payload)["event"] == {"a": 1}
        assert first.init is not None and first.billed >= first.init + first.duration
        second = await g.invoke(function, "again")
        assert json.loads(second.payload)["event"] == "again"
        assert second.init is None and second.memory == 42
        assert g.engine.calls["obtain"] == 1
