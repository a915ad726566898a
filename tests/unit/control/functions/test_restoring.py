"""SnapStart: what becomes of invocations whose environment cannot be restored, and the credentials of those that can."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.control.functions.harness import Ground, ground

from havre.control.functions import restoring
from havre.core.environments import Rules
from havre.kernel.errors import Temporary
from havre.kernel.function import Function, FunctionLogs

HOOK = """
    import os, time
    from snapshot_restore_py import register_after_restore
    @register_after_restore
    def after():
        {what}
    def handler(event, context):
        return "never"
"""


async def restored(g: Ground, what: str, **more: object) -> tuple[Function, dict[str, object], list[str]]:
    """What an invocation got whose hook does that, and the tail of its log."""
    function = g.function(HOOK.format(what=what), snap_start=True, **more)
    g.engine.version = "python:3.13.v42"
    await g.hub.prepare(function)
    found = await g.invoke(function, tail=True)
    said = {"error": found.error, **json.loads(found.payload)}
    return function, said, found.log_tail.decode().splitlines()


async def test_a_hook_that_fails_is_told_and_its_environment_replaced(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function, said, tail = await restored(g, "raise ValueError('no link')")
        assert (said["error"], said["errorType"], said["errorMessage"]) == (
            "SnapStartException",
            "ValueError",
            "no link",
        )
        assert tail[0].startswith(
            "RESTORE_START Runtime Version: python:3.13.v42\tRuntime Version ARN: arn:aws:lambda:"
        )
        assert any("ValueError: no link" in line for line in tail[1:-1])
        name, *rest = tail[-1].split("\t")
        assert name.startswith("RESTORE_REPORT Restore Duration: ") and name.endswith(" ms")
        assert rest == ["Status: error", "Error Type: Runtime.AfterRestoreError"]
        lines = await g.lines("RESTORE_REPORT")
        assert not [line for line in lines if line.startswith(("START", "END", "REPORT"))], "it was not begun"
        assert (await g.invoke(function)).error == "SnapStartException"
        assert g.engine.calls["obtain"] >= 2 and g.engine.calls["clear"] == 0


async def test_nothing_fails_by_what_says_so_at_the_wrong_time(tmp_path: Path) -> None:
    code = """
        import os, urllib.error, urllib.request
        def handler(event, context):
            api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/restore/error"
            try:
                urllib.request.urlopen(urllib.request.Request(api, b"{}"))
            except urllib.error.HTTPError as error:
                return error.code
    """
    async with ground(tmp_path) as g:
        assert (await g.invoke(g.function(code))).payload == b"403"


async def test_a_runtime_that_ends_while_it_is_restored(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        _, said, tail = await restored(g, "os._exit(3)")
        assert (said["error"], said["errorType"]) == ("SnapStartException", "Runtime.ExitError")
        assert "exit status 3" in str(said["errorMessage"])
        assert tail[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError")


async def test_a_hook_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "LIMIT", 0.2)
    async with ground(tmp_path) as g:
        _, said, tail = await restored(g, "time.sleep(60)", timeout=60)
        assert (said["error"], said["errorMessage"]) == (
            "SnapStartTimeoutException",
            "Lambda couldn't restore the snapshot within the timeout limit.",
        )
        assert tail[-1].startswith("RESTORE_REPORT Restore Duration: ") and tail[-1].endswith(" ms\tStatus: timeout")


async def test_one_that_does_not_wake_up_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stiff(id: str) -> None:
        raise Temporary("it is frozen")

    async with ground(tmp_path, rules=Rules(memory=8192, rest=0.01)) as g:
        function = g.function("def handler(event, context): return 1", snap_start=True)
        await g.hub.prepare(function)
        while not g.engine.calls["freeze"]:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(g.engine, "thaw", stiff)
        with pytest.raises(Temporary, match="does not wake up"):
            await g.invoke(function)
        monkeypatch.undo()
        assert (await g.invoke(function)).payload == b"1" and g.engine.calls["obtain"] > 1


async def test_a_hook_has_its_own_time(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        function = g.function(HOOK.format(what="time.sleep(1.5)"), snap_start=True, timeout=1)
        await g.hub.prepare(function)
        assert (await g.invoke(function)).payload == b'"never"'


async def test_events_of_restoring(tmp_path: Path) -> None:
    async with ground(tmp_path) as g:
        logs = FunctionLogs("/aws/lambda/f", format="JSON", system_level="DEBUG")
        await restored(g, "raise ValueError('no link')", logs=logs)
        lines = await g.lines("platform.restoreReport")
        told = [json.loads(line) for line in lines if line.startswith('{"time"')]
        records = {each["type"]: each["record"] for each in told}
        failed = {"status": "error", "errorType": "Runtime.AfterRestoreError"}
        assert records["platform.restoreRuntimeDone"] == failed
        report = records["platform.restoreReport"]
        assert report.pop("metrics")["durationMs"] > 0 and report == failed


ASKING = """
    import json, os, boto3, urllib.error, urllib.request
    session = boto3.Session()
    def ask(token):
        address = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        asked = urllib.request.Request(address, headers={"Authorization": token})
        try:
            return json.load(urllib.request.urlopen(asked))
        except urllib.error.HTTPError as error:
            return [error.code, error.read().decode()]
    def handler(event, context):
        token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        return {
            "given": sorted(n for n in os.environ if n.startswith("AWS_") and ("KEY" in n or "SESSION" in n)),
            "key": session.get_credentials().get_frozen_credentials().access_key,
            "told": ask(token), "strangers": ask(token[:-1] + "!"),
        }
"""


async def test_credentials_are_asked_for_and_asked_for_again(tmp_path: Path) -> None:
    lent: list[str] = []

    async def credentials(function: Function) -> Mapping[str, str | float]:
        lent.append(f"A{len(lent)}")
        return {
            "AccessKeyId": lent[-1],
            "SecretAccessKey": "S",
            "SessionToken": "T",
            "Expiration": time.time() + 60,  # SDKs renew what ends within ten minutes
        }

    async with ground(tmp_path, credentials=credentials) as g:
        function = g.function(ASKING, snap_start=True, timeout=30)
        await g.hub.prepare(function)
        keys = []
        for _ in range(3):
            found = json.loads((await g.invoke(function)).payload)
            keys.append(found["key"])
            assert found["given"] == [], "keys in variables would end with the snapshot"
            assert set(found["told"]) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
            assert found["told"]["Token"] == "T" and found["told"]["Expiration"].endswith("Z")
            assert found["strangers"] == [404, "cannot get credentials for the provided token\n"]
        assert len(set(keys)) == 3 and set(keys) <= set(lent), "what was about to end is not used"


async def test_one_that_was_given_keys_has_none_to_ask_for(tmp_path: Path) -> None:
    async def credentials(function: Function) -> Mapping[str, str | float]:
        return {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T", "Expiration": time.time() + 4000}

    async with ground(tmp_path, credentials=credentials) as g:
        code = """
            import os, urllib.error, urllib.request
            def handler(event, context):
                api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2021-04-23/credentials"
                try:
                    urllib.request.urlopen(urllib.request.Request(api, headers={"Authorization": ""}))
                except urllib.error.HTTPError as error:
                    return [error.code, os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")]
        """
        assert json.loads((await g.invoke(g.function(code))).payload) == [404, None]
