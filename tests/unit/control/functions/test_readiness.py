"""Environments before anybody invokes: provisioned ones, SnapStart; files that change; credentials that end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import Ground, ground

from havre.apps.node_functions import stamp
from havre.core.environments import Rules
from havre.kernel.errors import Permanent
from havre.kernel.function import Code, Function, FunctionNetwork, Provisioned

KIND = """
    import os
    def handler(event, context):
        return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], os.getpid()]
"""


async def until(g: Ground, function: Function, state: Provisioned) -> None:
    while g.hub.provisioned().get(function.id) != state:
        await asyncio.sleep(0.01)


async def test_provisioned_ones_are_there_before_and_stay(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=8192, rest=0.01, idle=0.05)) as g:
        function = g.function(KIND)
        await g.hub.provision(function, 2)
        await until(g, function, Provisioned(2, 2))
        found = await g.invoke(function)
        assert json.loads(found.payload)[0] == "provisioned-concurrency" and found.init is None
        await asyncio.sleep(0.3)  # far longer than others may be idle
        assert len(g.engine.boxes) == 2
        await g.hub.provision(function, 0)
        assert g.hub.provisioned() == {}
        while g.engine.boxes:
            await asyncio.sleep(0.01)


async def test_one_whose_process_ends_is_initialised_again_in_its_sandbox(tmp_path: Path) -> None:
    code = """
        import os
        def handler(event, context):
            if event:
                os._exit(1)
            return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]]
    """
    async with ground(tmp_path) as g:
        function = g.function(code)
        await g.hub.provision(function, 1)
        await until(g, function, Provisioned(1, 1))
        before = await g.invoke(function)
        assert (await g.invoke(function, "end")).error == "Runtime.ExitError"
        while g.engine.calls["run"] < 2:
            await asyncio.sleep(0.01)
        await until(g, function, Provisioned(1, 1))
        after = await g.invoke(function)
        assert after.payload == before.payload and after.init is None
        assert json.loads(after.payload)[0] == "provisioned-concurrency"
        assert g.engine.calls["obtain"] == 1, "/tmp stays"


LATER = """
    import os, threading
    def handler(event, context):
        threading.Timer(0.1, os._exit, [1]).start()
"""


async def test_one_whose_process_ends_while_it_is_idle_keeps_its_sandbox(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=8192, rest=60.0)) as g:
        function = g.function(LATER)
        for _ in range(3):
            assert (await g.invoke(function)).error == ""
            cleared = g.engine.calls["clear"]
            while g.engine.calls["clear"] == cleared:
                await asyncio.sleep(0.01)
        assert g.engine.calls["obtain"] == 1


async def test_one_that_keeps_ending_by_itself_is_not_begun_again_and_again(tmp_path: Path) -> None:
    code = """
        import os, threading
        threading.Timer(0.1, os._exit, [1]).start()
        def handler(event, context): ...
    """
    async with ground(tmp_path, rules=Rules(memory=8192, rest=60.0)) as g:
        function = g.function(code)
        await g.hub.provision(function, 1)
        while not g.engine.calls["remove"]:
            await asyncio.sleep(0.01)
        await until(g, function, Provisioned(1, 0))
        assert g.engine.calls["obtain"] == 1
        assert g.plane._fleet.wake_at(time.monotonic()) > time.monotonic() + 5


async def test_why_it_does_not_get_ready(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("raise ValueError('not today')")
        await g.hub.provision(function, 1)
        while not (found := g.hub.provisioned()[function.id]).error:
            await asyncio.sleep(0.01)
        assert found == Provisioned(1, 0, "ValueError: not today")


async def test_snap_start_initialises_before_it_is_published(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = f"""
            import os
            from snapshot_restore_py import register_after_restore
            register_after_restore(lambda: open({str(tmp_path / "restored")!r}, "w").close())
            open({str(tmp_path / "initialised")!r}, "w").close()
            def handler(event, context):
                return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
        """
        function = g.function(code, snap_start=True)
        await g.hub.prepare(function)
        assert (tmp_path / "initialised").exists() and not (tmp_path / "restored").exists()
        found = await g.invoke(function)
        assert (found.error, found.payload, found.init) == ("", b'"snap-start"', None)
        assert (tmp_path / "restored").exists()
        await g.lines("RESTORE_REPORT Restore Duration: ", "Restore Duration: ")
        while g.engine.calls["obtain"] < 2:  # the next one is made ready
            await asyncio.sleep(0.01)


async def test_a_snapshot_outlives_a_lost_connection(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(KIND, snap_start=True)
        await g.hub.prepare(function)
        g.hub._nodes["local"].frames.close()
        while g.hub.nodes:
            await asyncio.sleep(0.001)
        await g.hub.until_able()
        while g.plane._readiness.confirming.waiting:
            await asyncio.sleep(0.001)
        g.plane._readiness.confirming.drop_rest()
        assert g.engine.calls["obtain"] == 1 and len(g.engine.boxes) == 1
        assert (await g.invoke(function)).init is None


async def test_snap_start_that_cannot_be_initialised_is_told(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("raise ValueError('not today')", snap_start=True)
        with pytest.raises(Permanent, match="ValueError: not today"):
            await g.hub.prepare(function)
        assert g.plane._fleet.wake_at(time.monotonic()) == float("inf"), "it is not tried again and again"
        with pytest.raises(Permanent, match="ValueError: not today"):
            await g.hub.prepare(function)
        assert g.engine.calls["obtain"] == 2


async def test_a_saved_file_is_live_at_the_next_invocation(tmp_path: Path) -> None:
    async with ground(tmp_path, stamp=stamp) as g:
        function = g.function("def handler(event, context):\n    return 'before'")
        function = Function(
            **{f: getattr(function, f) for f in function.__struct_fields__}
            | {"code": Code("directory", path=function.code.path)}
        )
        assert (await g.invoke(function)).payload == b'"before"'
        assert (await g.invoke(function)).init is None
        (Path(function.code.path) / "app.py").write_text("def handler(event, context):\n    return 'and after'")
        assert (await g.invoke(function)).payload == b'"and after"'
        while len(g.engine.boxes) > 1:
            await asyncio.sleep(0.01)


async def test_environments_go_before_their_credentials_end(tmp_path: Path) -> None:
    lives = [300.0, 4000.0]

    async def credentials(function: Function) -> Mapping[str, str | float]:
        keys = {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"}
        return {**keys, "Expiration": time.time() + lives.pop(0)}

    async with ground(tmp_path, credentials=credentials) as g:
        function = g.function("import os\ndef handler(event, context):\n    return os.environ['AWS_SESSION_TOKEN']")
        assert (await g.invoke(function)).payload == b'"T"'
        while (await g.invoke(function)).init is None:  # five minutes are too few
            await asyncio.sleep(0.05)
        assert (await g.invoke(function)).init is None


async def test_a_retired_function_leaves_nothing(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(KIND)
        await g.invoke(function)
        await g.hub.retire(function.id)
        while g.engine.boxes or not g.engine.calls["forget"]:
            await asyncio.sleep(0.01)
        assert not g.plane._functions and not g.plane._environments.by_member


async def test_an_environment_in_a_vpc_has_an_interface_as_long_as_it_lives(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(KIND, network=FunctionNetwork("vpc-1", ("subnet-1",)))
        await g.invoke(function)
        assert g.lent.out == ["eni-1"] and g.engine.interfaces == ["eni-1"]
        await g.hub.retire(function.id)
        while g.lent.out:
            await asyncio.sleep(0.01)


async def test_an_interface_goes_back_when_there_is_no_sandbox_for_it(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        g.engine.fail["obtain"] = Permanent("no")
        with pytest.raises(Permanent):
            await g.invoke(g.function(KIND, network=FunctionNetwork("vpc-1", ("subnet-1",))))
        while g.lent.out:
            await asyncio.sleep(0.01)


async def test_what_a_server_that_came_back_does_not_speak_of_ends(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        kept, dropped = g.function(KIND), g.function(KIND)
        for function in (kept, dropped):
            await g.hub.provision(function, 1)
            await until(g, function, Provisioned(1, 1))
        del g.hub._wanted[dropped.id]  # it was told of the end while the node was away
        g.hub._nodes["local"].frames.close()
        while g.hub.nodes:
            await asyncio.sleep(0.001)
        await g.hub.until_able()
        await until(g, kept, Provisioned(1, 1))
        assert len(g.engine.boxes) == 2
        g.plane._readiness.confirming.drop_rest()
        while len(g.engine.boxes) > 1:
            await asyncio.sleep(0.01)
        assert (await g.invoke(kept)).init is None
