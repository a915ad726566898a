"""Functions through the whole plane: channel, environments, Runtime API, AWS's own client for Python."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import ARN, ECHO, GATE, ground, there

from havre.core.environments import Rules
from havre.kernel.errors import Temporary
from havre.kernel.function import FunctionLogs, Invocation

PATIENT = Rules(memory=8192, settle=10.0)
"""An environment that is about to be free is waited for, however slow the machine is."""


async def test_an_answer_comes_back_and_the_next_one_is_warm(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(ECHO)
        first = await g.invoke(function, {"a": 1}, request_id="r-1", arn=ARN + ":live")
        assert first.error == ""
        assert json.loads(first.payload) == {"event": {"a": 1}, "arn": ARN + ":live", "id": "r-1"}
        assert first.init is not None and first.billed >= first.init + first.duration
        second = await g.invoke(function, "again")
        assert json.loads(second.payload)["event"] == "again"
        assert second.init is None and second.memory == 42
        assert g.engine.calls["obtain"] == 1


async def test_six_megabytes_go_in_and_come_out(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("def handler(event, context):\n    return event")
        event = "x" * 6_200_000
        found = await g.invoke(function, event)
        assert json.loads(found.payload) == event


async def test_too_large_an_answer_is_an_error_and_the_environment_goes_on(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("def handler(event, context):\n    return 'x' * event")
        found = await g.invoke(function, 7_000_000)
        assert found.error == "Function.ResponseSizeTooLarge"
        assert json.loads(found.payload) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }


async def test_an_exception_is_told_as_the_runtime_tells_it(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("def handler(event, context):\n    raise KeyError('lost')")
        found = await g.invoke(function, request_id="r-9")
        said = json.loads(found.payload)
        assert found.error == "Unhandled"
        assert (said["errorType"], said["errorMessage"], said["requestId"]) == ("KeyError", "'lost'", "r-9")
        assert any("raise KeyError" in line for line in said["stackTrace"])
        assert (await g.invoke(function)).error == "Unhandled"
        assert g.engine.calls["obtain"] == 1
        lines = await g.lines("REPORT RequestId: r-9")
        assert not any("Status" in line for line in lines), "as far as the platform goes, all was well"
        traced = next(line for line in lines if line.startswith("[ERROR] KeyError: 'lost'"))
        assert "\nTraceback (most recent call last):\n" in traced, "one event, with all its lines"


async def test_time_is_up(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=PATIENT) as g:
        function = g.function(GATE, timeout=1)
        found = await g.invoke(function, {"begun": str(tmp_path / "b"), "go": "/never"}, request_id="r-7")
        assert found.error == "Sandbox.Timedout"
        assert json.loads(found.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: r-7 Error: Task timed out after 1.00 seconds",
        }
        assert found.duration == 1000
        lines = await g.lines("REPORT RequestId: r-7")
        assert any(line.endswith(" r-7 Task timed out after 1.00 seconds\n\n") for line in lines)
        assert any("Status: timeout" in line for line in lines)
        (tmp_path / "go").touch()
        again = await g.invoke(function, {"begun": str(tmp_path / "b"), "go": str(tmp_path / "go")})
        assert (again.error, again.init) == ("", None), "initialised within the invocation"
        assert g.engine.calls["obtain"] == 1 and g.engine.calls["clear"] == 1, "in the sandbox that it had"


@pytest.mark.parametrize(
    ("code", "words"),
    [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal: killed"), ("os._exit(0)", "")],
)
async def test_a_runtime_that_ends_during_an_invocation(tmp_path: Path, code: str, words: str) -> None:
    async with ground(tmp_path, rules=PATIENT) as g:
        function = g.function(f"import os\ndef handler(event, context):\n    {code}")
        found = await g.invoke(function, request_id="r-3")
        expected = f"Runtime exited with error: {words}" if words else "Runtime exited without providing a reason"
        assert found.error == "Runtime.ExitError"
        assert json.loads(found.payload)["errorMessage"] == f"RequestId: r-3 Error: {expected}"
        lines = await g.lines("REPORT RequestId: r-3")
        assert lines[-3:-1] == [f"RequestId: r-3 Error: {expected}\nRuntime.ExitError\n", "END RequestId: r-3\n"]
        again = await g.invoke(function)
        assert again.error == "Runtime.ExitError" and again.init is None, "initialised within the invocation"
        assert g.engine.calls["obtain"] == 1


async def test_who_reports_an_error_and_ends_has_not_come_to_a_good_end(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            import os, urllib.request
            def handler(event, context):
                api, body = os.environ["AWS_LAMBDA_RUNTIME_API"], b'{"errorType": "Error", "errorMessage": "uncaught"}'
                url = f"http://{api}/2018-06-01/runtime/invocation/{context.aws_request_id}/error"
                urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"))
                os._exit(129)
        """
        found = await g.invoke(g.function(code), request_id="r-8")
        assert (found.error, json.loads(found.payload)["errorMessage"]) == ("Unhandled", "uncaught")
        lines = await g.lines("REPORT RequestId: r-8")
        assert "RequestId: r-8 Error: Runtime exited with error: exit status 129\nRuntime.ExitError\n" in lines
        assert lines[-1].endswith("Status: error\tError Type: Runtime.ExitError\n")


async def test_out_of_memory(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(GATE)
        call = asyncio.ensure_future(g.invoke(function, {"begun": str(tmp_path / "b"), "go": "/never"}, request_id="r"))
        await there(tmp_path / "b")
        g.engine.starve(g.engine.boxes[0])
        found = await call
        assert found.error == "Runtime.OutOfMemory"
        assert (
            json.loads(found.payload)["errorMessage"] == "RequestId: r Error: Runtime exited with error: signal: killed"
        )


async def test_an_init_error_is_tried_again_within_the_invocation(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=PATIENT) as g:
        function = g.function("import nowhere_to_be_found")
        found = await g.invoke(function)
        said = json.loads(found.payload)
        assert found.error == "Unhandled" and said["errorType"] == "Runtime.ImportModuleError"
        assert "No module named 'nowhere_to_be_found'" in said["errorMessage"]
        assert g.engine.calls["obtain"] == 1, "in the sandbox that it had"
        lines = await g.lines("REPORT RequestId")
        reports = [line for line in lines if line.startswith("INIT_REPORT")]
        assert ["Phase: init" in reports[0], "Phase: invoke" in reports[1]] == [True, True]
        assert all("Error Type: Runtime.ImportModuleError" in line for line in reports)
        starts = [n for n, line in enumerate(lines) if line.startswith("START")]
        assert len(starts) == 1 and starts[0] > lines.index(reports[1]), "initialised before it is started"


async def test_a_function_that_cannot_initialise_fails_each_time_in_the_same_sandbox(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=PATIENT) as g:
        function = g.function("raise ValueError('never')")
        for _ in range(3):
            assert json.loads((await g.invoke(function)).payload)["errorType"] == "ValueError"
        lines = await g.lines("REPORT RequestId: r4")
        phases = [line.partition("Phase: ")[2][:6] for line in lines if line.startswith("INIT_REPORT")]
        assert phases == ["init\tS", "invoke", "invoke", "invoke"]
        assert g.engine.calls["obtain"] == 1


async def test_what_cannot_be_cleared_is_replaced(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("import os\ndef handler(event, context):\n    return os._exit(1) if event else 1")
        g.engine.fail["clear"] = Temporary("something in it does not end")
        assert (await g.invoke(function, "end")).error == "Runtime.ExitError"
        again = await g.invoke(function)
        assert (again.error, g.engine.calls["obtain"]) == ("", 2) and again.init is not None


async def test_who_waits_for_a_failed_environment_has_it_when_it_is_renewed(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=200)) as g:
        function = g.function("import os\ndef handler(event, context):\n    return os._exit(1) if event else 1")
        g.engine.delay["clear"] = 0.1
        found = await asyncio.gather(
            *(g.invoke(function, event) for event in ("end", None, None)), return_exceptions=True
        )
        assert [getattr(f, "error", f) for f in found] == ["Runtime.ExitError", "", ""]
        assert g.engine.calls["obtain"] == 1


async def test_an_init_that_fails_once_does_not_fail_the_invocation(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = f"""
            import os
            if not os.path.exists({str(tmp_path / "tried")!r}):
                open({str(tmp_path / "tried")!r}, "w").close()
                os._exit(1)
            def handler(event, context):
                return "well"
        """
        found = await g.invoke(g.function(code))
        assert (found.error, found.payload) == ("", b'"well"')
        assert found.init is None, "it is part of the duration"


async def test_an_entry_point_that_is_not_there(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(ECHO, runtime="", entry_point=("/no/such/program",))
        found = await g.invoke(function, request_id="r-2")
        assert found.error == "Runtime.InvalidEntrypoint"
        assert json.loads(found.payload)["errorMessage"] == (
            "RequestId: r-2 Error: fork/exec /no/such/program: no such file or directory"
        )


async def test_invocations_side_by_side_have_environments_of_their_own(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(GATE, timeout=60)
        calls = []
        for n in range(3):
            event = {"begun": str(tmp_path / f"b{n}"), "go": str(tmp_path / "go")}
            calls.append(asyncio.ensure_future(g.invoke(function, event)))
        for n in range(3):
            await there(tmp_path / f"b{n}")
        (tmp_path / "go").touch()
        assert len({(await call).payload for call in calls}) == 3


async def test_idle_ones_rest_and_then_end(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=8192, rest=0.02, idle=0.3)) as g:
        function = g.function(ECHO)
        await g.invoke(function)
        while not g.engine.calls["freeze"]:
            await asyncio.sleep(0.01)
        if g.engine.boxes:  # a slow machine may have come to the end already
            assert (await g.invoke(function)).error == ""
        while g.engine.boxes:
            await asyncio.sleep(0.01)


async def test_the_tail_of_the_log(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function("def handler(event, context):\n    print('x' * 5000)\n    print('last words')")
        found = await g.invoke(function, request_id="r-5", tail=True)
        tail = found.log_tail.decode()
        assert len(tail) == 4096 and "\nlast words\nEND RequestId: r-5\nREPORT RequestId: r-5\t" in tail
        assert (await g.invoke(function)).log_tail == b""


async def test_the_version_of_the_runtime_is_told_once(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=PATIENT) as g:
        g.engine.version = "python:3.11.vabc"
        function = g.function("import os\ndef handler(event, context):\n    return os._exit(1) if event else 1")
        await g.invoke(function, "end")
        await g.invoke(function, request_id="r-7")
        begun = [line for line in await g.lines("REPORT RequestId: r-7") if line.startswith("INIT_START")]
        assert len(begun) == 1, "not when it is begun anew in the same environment"
        version, arn = re.findall("INIT_START Runtime Version: (.+)\tRuntime Version ARN: (.+)\n", begun[0])[0]
        assert version == g.engine.version
        assert re.fullmatch("arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", arn)
        function = g.function(ECHO, logs=FunctionLogs("/g", "JSON", "INFO", "INFO"))
        await g.invoke(function)
        started = json.loads(next(line for line in await g.lines("platform.report") if "platform.initStart" in line))
        assert (started["record"]["runtimeVersion"], started["record"]["runtimeVersionArn"]) == (g.engine.version, arn)


async def test_logs_in_json(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            import logging
            def handler(event, context):
                logging.warning("careful")
                logging.info("by the way")
        """
        function = g.function(code, logs=FunctionLogs("/g", "JSON", "WARN", "INFO"))
        await g.invoke(function, request_id="r-6")
        lines = [json.loads(line) for line in await g.lines("platform.report")]
        assert [line.get("type") or line["message"] for line in lines] == [
            "platform.start",
            "careful",
            "platform.report",
        ]
        assert lines[2]["record"]["metrics"]["memorySizeMB"] == 128 and lines[2]["record"]["status"] == "success"


async def test_a_lost_connection_is_told_and_the_next_one_works(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(GATE, timeout=60)
        event = {"begun": str(tmp_path / "b"), "go": str(tmp_path / "go")}
        call = asyncio.ensure_future(g.invoke(function, event))
        await there(tmp_path / "b")
        g.hub._nodes["local"].frames.close()
        with pytest.raises(Temporary, match="was lost"):
            await call
        (tmp_path / "go").touch()
        assert (await g.invoke(function, event)).error == "", "a node that comes back is waited for"


async def test_who_gives_up_waiting_does_not_begin(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(
            f"open({str(tmp_path / 'ran')!r}, 'a').close()\n" + "def handler(event, context): return 1"
        )
        g.engine.delay["obtain"] = 0.2
        call = asyncio.ensure_future(g.invoke(function))
        while not g.engine.calls["obtain"]:
            await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.wait([call])
        found = await g.invoke(function)
        assert found.error == ""
        starts = [line for line in await g.lines("REPORT RequestId") if line.startswith("START")]
        assert len(starts) == 1


async def test_a_node_that_does_not_know_a_function_is_told_again(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(ECHO)
        g.hub._nodes["local"].defined[function.id] = function
        assert (await g.invoke(function)).error == ""


async def test_without_a_node_it_is_temporary(tmp_path: Path) -> None:
    from havre.control.functions.hub import FunctionHub

    async with ground(tmp_path) as g:
        with pytest.raises(Temporary, match="no node is connected"):
            await FunctionHub(lambda: "x", patience=0.01).invoke(g.function(ECHO), Invocation("r", ARN))
