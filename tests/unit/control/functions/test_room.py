"""Where no environment can be had: the engine refuses, there is no room, memory becomes scarce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import ECHO, GATE, ground, there

from havre.control.functions.readiness import NO_ROOM
from havre.core.environments import Rules
from havre.engines.sandbox import Sandbox
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Provisioned


async def test_what_the_engine_says_is_raised(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(ECHO)
        g.engine.fail["prepare"] = Permanent("there is no such image")
        with pytest.raises(Permanent, match="no such image"):
            await g.hub.prepare(function)
        g.engine.fail["obtain"] = Temporary("no more namespaces", 3.0)
        with pytest.raises(Temporary, match="no more namespaces") as caught:
            await g.invoke(function)
        assert caught.value.after == 3.0
        assert (await g.invoke(function)).error == ""


async def test_each_hears_of_it_when_none_can_be_made_for_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ground(tmp_path) as g:

        async def obtain(*_: object) -> Sandbox:
            await asyncio.sleep(0.001)
            raise Temporary("no more namespaces")

        monkeypatch.setattr(g.engine, "obtain", obtain)
        function = g.function(ECHO)
        told = await asyncio.gather(*(g.invoke(function) for _ in range(12)), return_exceptions=True)
        assert all(isinstance(each, Temporary) and "no more namespaces" in str(each) for each in told), told


async def test_who_waits_is_served_by_one_at_work_when_no_more_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path) as g:
        function = g.function(GATE, timeout=60)
        event = {"begun": str(tmp_path / "b"), "go": str(tmp_path / "go")}
        first = asyncio.ensure_future(g.invoke(function, event))
        await there(tmp_path / "b")
        tried: list[object] = []

        async def obtain(*_: object) -> Sandbox:
            tried.append(_)
            await asyncio.sleep(0.001)
            raise Temporary("no more namespaces")

        monkeypatch.setattr(g.engine, "obtain", obtain)
        second = asyncio.ensure_future(g.invoke(function, event))
        while len(tried) < 3:
            await asyncio.sleep(0.001)
        (tmp_path / "go").touch()
        assert (await first).payload == (await second).payload, "of the same environment"


async def test_no_room_is_temporary(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=200)) as g:
        function = g.function(GATE, timeout=60)
        event = {"begun": str(tmp_path / "b"), "go": str(tmp_path / "go")}
        first = asyncio.ensure_future(g.invoke(function, event))
        await there(tmp_path / "b")
        with pytest.raises(Temporary, match="no memory, or files"):
            await g.invoke(g.function(ECHO))
        (tmp_path / "go").touch()
        await first
        assert (await g.invoke(g.function(ECHO))).error == "", "an idle environment made room"


class Shrinking:
    """Memory that is scarce when ``full`` says so."""

    def __init__(self) -> None:
        self.full: Callable[[], bool] = lambda: False

    def short(self) -> bool:
        return False

    def scarce(self) -> bool:
        return self.full()


async def test_a_burst_ends_where_memory_becomes_scarce_and_goes_on_later(tmp_path: Path) -> None:
    calls, memory = 6, Shrinking()
    async with ground(tmp_path, rules=Rules(memory=8192, look=0.02), memory=memory) as g:
        function = g.function(GATE, timeout=60)
        memory.full = lambda: g.engine.calls["obtain"] >= 2
        under_way = []
        for n in range(calls):
            event = {"begun": str(tmp_path / f"b{n}"), "go": str(tmp_path / "go")}
            under_way.append(asyncio.ensure_future(g.invoke(function, event)))
        for n in range(2):
            await there(tmp_path / f"b{n}")
        await asyncio.sleep(0.1)
        assert g.engine.calls["obtain"] == 2
        memory.full = lambda: False
        for n in range(calls):
            await there(tmp_path / f"b{n}")
        (tmp_path / "go").touch()
        assert [(await call).error for call in under_way] == [""] * calls
        assert g.engine.calls["obtain"] == calls


async def test_why_none_is_ready_is_told_until_there_is_room(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=200, retry=0.05)) as g:
        event = {"begun": str(tmp_path / "b"), "go": str(tmp_path / "go")}
        first = asyncio.ensure_future(g.invoke(g.function(GATE, timeout=60), event))
        await there(tmp_path / "b")
        function = g.function(ECHO)
        await g.hub.provision(function, 1)
        while g.hub.provisioned().get(function.id) != Provisioned(1, 0, NO_ROOM):
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()
        await first
        while g.hub.provisioned().get(function.id) != Provisioned(1, 1):
            await asyncio.sleep(0.01)
