"""Environments that work on several invocations at once, with AWS's own client for Python in them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import Ground, ground
from tests.unit.control.functions.test_extensions import install, read

from havre.control.functions.calls import NoRoom
from havre.control.functions.hub import together
from havre.core.environments import Rules
from havre.kernel.function import Function, FunctionLogs, Provisioned

MEET = """
    import os, time
    from pathlib import Path

    def handler(event, context):
        mark = Path(event["at"], context.aws_request_id)
        mark.touch()
        while len(os.listdir(event["at"])) < event["count"]:
            time.sleep(0.005)
        return {"pid": os.getpid(), "parent": os.getppid(), "most": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"],
                "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "id": context.aws_request_id}
"""
"""Each waits until as many are at work as the event says."""


def managed(g: Ground, code: str, concurrency: int = 4, **fields: object) -> Function:
    logs = FunctionLogs("/aws/lambda/f", "JSON", "INFO", "INFO")
    given = {"runtime": "python3.13", "concurrency": concurrency, "cpus": 1.0, "logs": logs, "memory": 2048}
    return g.function(code, **{**given, **fields})


async def ready(g: Ground, function: Function, count: int) -> None:
    """So many environments of it are there, and all their workers ask for work."""

    def there() -> bool:
        state = g.hub.provisioned()[function.id]
        assert not state.error, state.error
        workers = sum(m.free for m in g.plane._open_managed()._crowd.members(function.id))
        return state.ready == count and workers == count * function.concurrency

    await g.hub.provision(function, count)
    await until(there)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_one_environment_works_on_several_invocations_at_once(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    async with ground(tmp_path) as g:
        function = managed(g, MEET)
        await ready(g, function, 1)
        event = {"at": str(meeting), "count": 4}
        found = await asyncio.gather(*(g.invoke(function, event) for _ in range(4)))
        said = [json.loads(each.payload) for each in found]
        assert len({each["pid"] for each in said}) == 4
        assert len({each["parent"] for each in said}) == 1
        assert len({each["id"] for each in said}) == 4
        assert {(each["most"], each["kind"]) for each in said} == {("4", "lambda-managed-instances")}
        assert g.engine.calls["obtain"] == 1 and g.engine.calls["freeze"] == 0


async def test_more_than_there_are_slots_are_refused_and_counted(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    async with ground(tmp_path) as g:
        function = managed(g, MEET, 2)
        await ready(g, function, 2)
        event = {"at": str(meeting), "count": 5}
        at_work = [asyncio.ensure_future(g.invoke(function, event)) for _ in range(4)]
        await until(lambda: len(list(meeting.iterdir())) == 4)
        with pytest.raises(NoRoom, match="at work"):
            await g.invoke(function, event)
        (meeting / "fifth").touch()
        await asyncio.gather(*at_work)
        await until(lambda: g.hub.provisioned()[function.id].refused == 1)
        assert g.engine.calls["obtain"] == 2


async def test_without_an_environment_an_invocation_is_refused_and_starts_none(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = managed(g, MEET)
        with pytest.raises(NoRoom):
            await g.invoke(function, {})
        assert g.engine.calls["obtain"] == 0


async def test_time_is_up_for_one_invocation_alone(tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""
        import time
        from pathlib import Path

        def handler(event, context):
            while event == "slow" and not Path({str(go)!r}).exists():
                time.sleep(0.005)
            return event
    """
    async with ground(tmp_path) as g:
        function = managed(g, code, 2, timeout=1.0)
        await ready(g, function, 1)
        slow = await g.invoke(function, "slow", request_id="late")
        assert slow.error == "Sandbox.Timedout"
        assert json.loads(slow.payload)["errorMessage"] == "RequestId: late Error: Task timed out after 1.00 seconds"
        assert json.loads((await g.invoke(function, "quick")).payload) == "quick"
        member = g.plane._open_managed()._crowd.members(function.id)[0]
        await until(lambda: (member.running, member.free) == (0, 1))  # the other worker is at work still
        go.touch()
        await until(lambda: member.free == 2)
        lines = await g.lines('"status":"timeout"', '"status":"success"')
        reports = [json.loads(line)["record"] for line in lines if '"platform.report"' in line]
        assert {r["status"] for r in reports} == {"timeout", "success"}
        assert all(set(r["metrics"]) == {"durationMs"} for r in reports)
        assert g.engine.calls["obtain"] == 1


ENDS = """
    import os

    def handler(event, context):
        if event == "end":
            os._exit(3)
        return event
"""


async def test_a_worker_that_ends_fails_its_invocation_and_no_other(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = managed(g, ENDS, 2, runtime="python3.11", timeout=600)
        await ready(g, function, 1)
        assert json.loads((await g.invoke(function, "well")).payload) == "well"
        assert (await g.invoke(function, "end")).error == "Runtime.ExitError"
        (member,) = g.plane._open_managed()._crowd.members(function.id)
        for n in range(3):
            assert json.loads((await g.invoke(function, n)).payload) == n
        await until(lambda: (member.free, member.running) == (1, 0))
        assert (await g.invoke(function, "end")).error == "Runtime.ExitError"
        await until(lambda: g.engine.calls["obtain"] == 2)
        await ready(g, function, 1)
        assert json.loads((await g.invoke(function, "again")).payload) == "again"


async def test_workers_may_ask_for_more_while_they_work_and_answer_elsewhere(tmp_path: Path) -> None:
    """There are as many slots as the function says, and no more; who takes long is not taken for gone."""
    async with ground(tmp_path) as g:
        function = managed(g, "", 4, entry_point=(sys.executable, str(Path(__file__).with_name("hasty.py"))))
        await g.hub.provision(function, 1)
        crowd = g.plane._open_managed()._crowd
        await until(lambda: sum(m.free for m in crowd.members(function.id)) == 2)
        at_work = [asyncio.ensure_future(g.invoke(function, 1.5)) for _ in range(4)]
        await until(lambda: crowd.counts(function.id).running == 4)
        assert crowd.counts(function.id).slots == 4
        with pytest.raises(NoRoom):
            await g.invoke(function, 0)
        assert [json.loads(each.payload) for each in await asyncio.gather(*at_work)] == [1.5] * 4
        at_work = [asyncio.ensure_future(g.invoke(function, event)) for event in (60, "end")]
        assert [each.error for each in await asyncio.gather(*at_work)] == ["Runtime.ExitError"] * 2
        await until(lambda: g.engine.calls["obtain"] == 2)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 50])
async def test_an_environment_that_is_not_wanted_before_it_has_begun_goes(tmp_path: Path, turns: int) -> None:
    """However far it is: nothing of it is left."""
    async with ground(tmp_path) as g:
        function = managed(g, "import time\ntime.sleep(60)", 2)
        managing = g.plane._open_managed()
        managing.provision(function, 2)
        for _ in range(turns):
            await asyncio.sleep(0.002)
        managing.provision(function, 0)
        await until(lambda: not managing._booting and not len(managing._tasks))
        assert not g.engine.boxes and not managing._environments and g.plane._fleet.memory == 0


async def test_errors_of_one_invocation_leave_the_environment_as_it_is(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = managed(g, "def handler(event, context):\n    raise KeyError(event)")
        await ready(g, function, 1)
        found = await asyncio.gather(*(g.invoke(function, n) for n in range(8)))
        assert {each.error for each in found} == {"Unhandled"}
        assert g.engine.calls["obtain"] == 1
        lines = await g.lines('"errorType": "KeyError"')
        assert all(line.startswith("{") for line in lines)


async def test_what_workers_write_side_by_side_is_not_mixed_up(tmp_path: Path) -> None:
    code = """
        import sys

        def handler(event, context):
            for n in range(200):
                print("w", *[event] * 50, n)
                print("e" + str(event) * 6000, file=sys.stderr)
    """
    async with ground(tmp_path) as g:
        function = managed(g, code, 4)
        await ready(g, function, 1)
        await asyncio.gather(*(g.invoke(function, event) for event in range(4)))
        lines = await g.lines(*(" ".join(["w", *[str(event)] * 50, "199"]) for event in range(4)))
        while len(lines := [line for line in await g.lines("w") if line[:1] in "we"]) < 4 * 400:
            await asyncio.sleep(0.01)
        expected = {" ".join(["w", *[str(event)] * 50, str(n)]) for event in range(4) for n in range(200)}
        assert {line.rstrip("\n") for line in lines if line.startswith("w")} == expected
        assert {line.rstrip("\n") for line in lines if line.startswith("e")} == {
            "e" + str(event) * 6000 for event in range(4)
        }


async def test_outputs_are_as_many_as_workers_need(tmp_path: Path) -> None:
    """What each has begun to write is kept by the node."""
    code = """
        import socket
        held = []
        def handler(event, context):
            for _ in range(200):
                held.append(socket.socket(socket.AF_UNIX))
                held[-1].connect(event)
            return sum(one.recv(1) == b"" for one in held[100:])
    """
    async with ground(tmp_path) as g:
        function = managed(g, code, 2)
        await ready(g, function, 1)
        (box,) = g.engine._boxes.values()
        assert json.loads((await g.invoke(function, str(box.lines))).payload) == 100


async def test_an_init_that_fails_is_told(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = managed(g, "raise ValueError('not today')")
        await g.hub.provision(function, 1)
        await until(lambda: g.hub.provisioned()[function.id].error)
        state = g.hub.provisioned()[function.id]
        assert state.ready == 0 and "not today" in state.error


async def test_no_room_is_told_and_what_is_there_serves(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=3000)) as g:
        function = managed(g, "def handler(event, context): return event", 1)
        await g.hub.provision(function, 2)
        await until(lambda: g.hub.provisioned()[function.id].ready == 1)
        state = g.hub.provisioned()[function.id]
        assert state.short and "no memory" in state.error
        assert json.loads((await g.invoke(function, 1)).payload) == 1


async def test_use_is_told_and_environments_go_when_they_are_not_wanted(tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    async with ground(tmp_path) as g:
        function = managed(g, MEET, 2)
        await ready(g, function, 1)
        event = {"at": str(meeting), "count": 3}
        at_work = [asyncio.ensure_future(g.invoke(function, event)) for _ in range(2)]
        await until(lambda: g.hub.provisioned()[function.id].busy == 1.0)
        before = g.engine.cpu

        def busy() -> bool:
            g.engine.cpu += 0.05
            return g.hub.provisioned()[function.id].cpu > 0

        await until(busy)
        assert g.engine.cpu > before
        await g.hub.provision(function, 0)
        (meeting / "third").touch()
        for each in await asyncio.gather(*at_work):
            assert not each.error
        await until(lambda: not g.engine.boxes)
        assert g.plane._fleet.memory == 0
        await g.hub.retire(function.id)
        await until(lambda: not g.plane._open_managed().knows(function.id))


async def test_a_server_that_comes_back_finds_environments_as_they_were(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = managed(g, "def handler(event, context): return event", 2)
        await ready(g, function, 1)
        before = g.plane._open_managed()._frames
        assert before is not None
        before.close()
        await until(lambda: g.plane._open_managed()._frames not in (None, before))
        await until(lambda: g.hub.provisioned()[function.id].ready == 1)
        assert json.loads((await g.invoke(function, 1)).payload) == 1
        assert g.engine.calls["obtain"] == 1
        g.plane._open_managed().confirming.begin([function.id])
        g.plane._open_managed().confirming.drop_rest()
        await until(lambda: not g.engine.boxes)


async def test_extensions_hear_of_the_end_alone(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        install(g, "watcher")
        function = managed(g, "def handler(event, context): return event", 2)
        await g.hub.provision(function, 1)
        await until(lambda: g.hub.provisioned()[function.id].error)
        await g.hub.provision(function, 0)
        told = install(g, "watcher", events=["SHUTDOWN"])
        again = managed(g, "def handler(event, context): return event", 2)
        await ready(g, again, 1)
        assert json.loads((await g.invoke(again, 1)).payload) == 1
        await g.hub.provision(again, 0)
        await until(lambda: any(e.get("eventType") == "SHUTDOWN" for e in read(told)))
        assert not any(e.get("eventType") == "INVOKE" for e in read(told))


def test_what_nodes_say_is_put_together() -> None:
    one = Provisioned(2, 2, "", False, 0.9, 1.0, 3)
    two = Provisioned(2, 1, "no room", True, 0.3, 0.4, 1)
    assert together(4, [one, two]) == Provisioned(4, 3, "no room", True, pytest.approx(0.7), pytest.approx(0.8), 4)
    assert together(3, []) == Provisioned(3)
    assert together(1, [one]).ready == 1
