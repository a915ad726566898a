"""What stays of environments that have ended."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from havre.control.functions import keeper
from havre.control.functions.environment import Environment
from havre.core.environments import Rules

from .harness import ground


def there() -> int:
    return sum(type(each) is Environment for each in gc.get_objects())


async def test_the_memory_of_ended_environments_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector by itself would not come: nothing much is made on the way of an invocation."""
    monkeypatch.setattr(keeper, "LITTER", 3)
    gc.collect()
    before = there()
    gc.disable()
    try:
        async with ground(tmp_path, rules=Rules(memory=8192, rest=0.01, idle=0.02)) as g:
            for n in range(7):
                function = g.function(f"def handler(event, context):\n    return {n}")
                assert (await g.invoke(function)).error == ""
                async with asyncio.timeout(20):
                    while g.plane._fleet.members():
                        await asyncio.sleep(0.005)
            assert there() - before <= 4, "those since the last time, and one whose end is under way"
    finally:
        gc.enable()
