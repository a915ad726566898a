"""Extensions: their life beside the runtime's, what they hear, what they may subscribe to."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.control.functions.harness import Ground, ground

from havre.core.environments import Rules
from havre.kernel.function import Function

ECHO = "def handler(event, context):\n    print('said')\n    return event"
PROGRAM = Path(__file__).with_name("extension.py")


def install(g: Ground, name: str = "watcher", **settings: Any) -> Path:
    """What it writes down is in the file that is returned."""
    directory = g.directory / "extensions"
    directory.mkdir(exist_ok=True)
    program, told = directory / name, directory / f"{name}.told"
    program.write_text(f"#!{sys.executable}\n{PROGRAM.read_text()}")
    program.chmod(0o755)
    (directory / "settings.json").write_text(
        json.dumps({"log": str(told), "events": ["INVOKE", "SHUTDOWN"], **settings})
    )
    g.engine.extensions[name] = program
    return told


def read(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


async def until(told: Path, **fields: Any) -> dict[str, Any]:
    """The first entry with these fields."""
    while True:
        for entry in read(told):
            if fields.items() <= entry.items():
                return entry
        await asyncio.sleep(0.01)


async def event(told: Path, kind: str) -> dict[str, Any]:
    while True:
        for entry in read(told):
            if "telemetry" in entry and entry["telemetry"]["type"] == kind:
                found: dict[str, Any] = entry["telemetry"]
                return found
        await asyncio.sleep(0.01)


async def test_it_hears_of_invocations_and_of_the_end(tmp_path: Path) -> None:
    async with ground(tmp_path, rules=Rules(memory=8192, idle=0.2, rest=0.05)) as g:
        told = install(g)
        await g.invoke(g.function(ECHO), request_id="r-1", trace="Root=1-a;Parent=b;Sampled=1")
        registered = await until(told)
        assert registered == {
            "registered": {
                "functionName": "f",
                "functionVersion": "$LATEST",
                "handler": "app.handler",
                "accountId": "000000000000",
            }
        }
        invoke = await until(told, eventType="INVOKE")
        assert invoke["requestId"] == "r-1" and invoke["deadlineMs"] > 0
        assert invoke["tracing"] == {"type": "X-Amzn-Trace-Id", "spanId": "b", "value": "Root=1-a;Parent=b;Sampled=1"}
        shutdown = await until(told, eventType="SHUTDOWN")
        assert shutdown["shutdownReason"] == "SPINDOWN"
        assert "extension is ready\n" in await g.lines("extension is ready")


async def test_it_may_have_any_name(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        told = install(g, "runtime")
        assert (await g.invoke(g.function(ECHO), "x")).payload == b'"x"'
        await until(told, eventType="INVOKE")


async def test_it_hears_why_an_environment_ends(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        told = install(g)
        function = g.function("import time\ndef handler(event, context):\n    time.sleep(60)", timeout=1)
        assert (await g.invoke(function)).error == "Sandbox.Timedout"
        assert (await until(told, eventType="SHUTDOWN"))["shutdownReason"] == "TIMEOUT"


async def test_the_caller_does_not_wait_for_extensions(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        told = install(
            g,
            subscribe={"schemaVersion": "2022-12-13", "types": ["platform"], "buffering": {"timeoutMs": 25}},
            version="/2022-07-01/telemetry",
            await_done=True,
        )
        found = await g.invoke(g.function(ECHO), "x", request_id="r-1")
        assert found.payload == b'"x"'
        done = await event(told, "platform.runtimeDone")
        assert done["record"]["requestId"] == "r-1" and done["record"]["status"] == "success"
        report = await event(told, "platform.report")
        assert report["record"]["metrics"]["initDurationMs"] > 0


async def test_the_server_hears_how_long_extensions_went_on(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        heard: list[tuple[Function, str, float]] = []
        g.hub.extended = lambda *told: heard.append(told)
        told = install(
            g,
            subscribe={"schemaVersion": "2022-12-13", "types": ["platform"], "buffering": {"timeoutMs": 25}},
            version="/2022-07-01/telemetry",
        )
        function = g.function(ECHO)
        await g.invoke(function, "x", arn=f"{function.arn}:live")
        await event(told, "platform.report")
        ((who, arn, duration),) = heard
        assert (who, arn) == (function, f"{function.arn}:live") and duration >= 0


async def test_telemetry_tells_all_from_the_beginning(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        told = install(
            g,
            subscribe={
                "schemaVersion": "2022-12-13",
                "types": ["platform", "function", "extension"],
                "buffering": {"timeoutMs": 25},
            },
            version="/2022-07-01/telemetry",
        )
        await g.invoke(g.function(ECHO))
        await event(told, "platform.report")
        assert (await until(told, subscribed=[200, '"OK"']))["subscribed"]
        kinds = [entry["telemetry"]["type"] for entry in read(told) if "telemetry" in entry]
        for kind in ("platform.telemetrySubscription", "extension", "platform.extension", "platform.start", "function"):
            assert kind in kinds
        assert kinds[0] == "platform.initStart" and "platform.end" not in kinds
        assert (await event(told, "function"))["record"] == "said"


async def test_the_logs_api_tells_what_it_always_did(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        told = install(
            g,
            subscribe={"schemaVersion": "2021-03-18", "types": ["platform"], "buffering": {"timeoutMs": 25}},
            version="/2020-08-15/logs",
        )
        await g.invoke(g.function(ECHO))
        await event(told, "platform.report")
        kinds = {entry["telemetry"]["type"] for entry in read(told) if "telemetry" in entry}
        assert kinds == {
            "platform.logsSubscription",
            "platform.extension",
            "platform.start",
            "platform.runtimeDone",
            "platform.end",
            "platform.report",
        }


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"schemaVersion": "2022-12-13", "types": []}, "types is not a list"),
        ({"schemaVersion": "1999-01-01", "types": ["platform"]}, "schemaVersion is not one of"),
        (
            {"schemaVersion": "2022-12-13", "types": ["platform"], "buffering": {"timeoutMs": 1}},
            "timeoutMs is not between 25 and 30000",
        ),
    ],
)
async def test_what_is_no_subscription(tmp_path: Path, wanted: dict[str, Any], words: str) -> None:
    async with ground(tmp_path) as g:
        told = install(g, subscribe=wanted, version="/2022-07-01/telemetry")
        await g.invoke(g.function(ECHO))
        [said] = [entry["subscribed"] for entry in read(told) if "subscribed" in entry]
        assert said[0] == 400 and words in said[1]


async def test_one_that_dies_takes_the_environment_along(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        install(g, events=["INVOKE", "NONSENSE"])
        found = await g.invoke(g.function(ECHO), request_id="r-1")
        assert found.error == "Extension.Crash"
        assert json.loads(found.payload)["errorMessage"].startswith("RequestId: r-1 Error: exit code ")
        lines = await g.lines("REPORT RequestId: r-1")
        assert "EXTENSION\tName: watcher\tState: Exited\tEvents: []\n" in lines


async def test_one_inside_of_the_runtime(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        code = """
            import http.client, json, os, threading
            def call(method, path, body, **headers):
                c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
                c.request(method, path, body, {f"Lambda-Extension-{n}": v for n, v in headers.items()})
                r = c.getresponse()
                return r.status, r.headers, r.read()
            heard = []
            status, headers, _ = call("POST", "/2020-01-01/extension/register", '{"events": ["INVOKE"]}', Name="inner")
            refused = call("POST", "/2020-01-01/extension/register", '{"events": ["SHUTDOWN"]}', Name="other")
            id = headers["Lambda-Extension-Identifier"]
            def listen():
                while True:
                    heard.append(json.loads(call("GET", "/2020-01-01/extension/event/next", None, Identifier=id)[2]))
            threading.Thread(target=listen, daemon=True).start()
            def handler(event, context):
                late = call("POST", "/2020-01-01/extension/register", '{"events": []}', Name="late")
                unknown = call("GET", "/2020-01-01/extension/event/next", None, Identifier="nobody")
                while not heard:
                    pass
                return [refused[0], json.loads(refused[2])["errorType"], json.loads(late[2])["errorType"],
                        json.loads(unknown[2])["errorType"], heard[0]["eventType"]]
        """
        found = await g.invoke(g.function(code))
        assert json.loads(found.payload) == [
            403,
            "Extension.InvalidEventType",
            "Extension.RegistrationClosed",
            "Extension.UnknownExtensionIdentifier",
            "INVOKE",
        ]
