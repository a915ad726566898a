"""Each language's runtime as it is built here: what a function gets, what its failures look like, layers, streams, hooks."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from . import java_functions as java
from .conftest import Instance, eventually
from .lambda_world import World, need_built, packed

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
PYTHON, NODE, JAVA, RUBY = "python3.13", "nodejs22.x", "java21", "ruby3.3"

Files = Mapping[str, str | bytes]


@pytest.fixture(scope="module")
def world(shared: Instance) -> Iterator[World]:
    need_built(PYTHON, NODE, JAVA, RUBY)
    yield World(shared)


class Language(NamedTuple):
    """``files`` has a function that answers ``{"do": …}``, and breaks while it is loaded when BREAK is set; ``layer`` has
    what it finds in /opt. ``failure`` and ``broken``: types of its errors. ``place`` is in the trace of the first."""

    runtime: str
    handler: str
    files: Files
    layer: Files
    failure: str
    broken: str
    place: str


def python() -> Language:
    code = """
import os, time, shelf
calls = 0
if os.environ.get("BREAK"):
    raise ValueError("broken while it is loaded")

def handler(event, context):
    global calls
    if event.get("do") == "fail":
        raise KeyError("bad event")
    while event.get("do") == "sleep":
        time.sleep(1)
    print("logged\\nin two lines")
    calls += 1
    return {"event": event, "mine": os.environ.get("MINE"), "runtime": os.environ["AWS_EXECUTION_ENV"],
            "layer": shelf.says(), "arn": context.invoked_function_arn,
            "left": context.get_remaining_time_in_millis() > 0, "calls": calls}
"""
    layer = {"python/shelf.py": "def says(): return 'from the layer'"}
    return Language(PYTHON, "app.handler", {"app.py": code}, layer, "KeyError", "ValueError", "/var/task/app.py")


def node() -> Language:
    code = """
const shelf = require("shelf");
let calls = 0;
if (process.env.BREAK) throw new RangeError("broken while it is loaded");

exports.handler = async (event, context) => {
  if (event.do === "fail") throw new TypeError("bad event");
  while (event.do === "sleep") await new Promise((resolve) => setTimeout(resolve, 1000));
  console.log("logged\\nin two lines");
  return { event, mine: process.env.MINE, runtime: process.env.AWS_EXECUTION_ENV, layer: shelf.says(),
           arn: context.invokedFunctionArn, left: context.getRemainingTimeInMillis() > 0, calls: ++calls };
};
"""
    layer = {"nodejs/node_modules/shelf/index.js": "exports.says = () => 'from the layer'"}
    return Language(NODE, "app.handler", {"app.js": code}, layer, "TypeError", "RangeError", "/var/task/app.js")


def ruby() -> Language:
    code = """
require 'shelf'
raise ArgumentError, 'broken while it is loaded' if ENV['BREAK']

module Shop
  class Counter
    @calls = 0
    def self.handler(event:, context:)
      raise IndexError, 'bad event' if event['do'] == 'fail'
      sleep 1 while event['do'] == 'sleep'
      puts "logged\\nin two lines"
      @calls += 1
      { event: event, mine: ENV['MINE'], runtime: ENV['AWS_EXECUTION_ENV'], layer: Shelf.says,
        arn: context.invoked_function_arn, left: context.get_remaining_time_in_millis.positive?, calls: @calls }
    end
  end
end
"""
    layer = {"ruby/lib/shelf.rb": "module Shelf\n  def self.says = 'from the layer'\nend\n"}
    handler, failure, broken = "app.Shop::Counter.handler", "Function<IndexError>", "Init<ArgumentError>"
    return Language(RUBY, handler, {"app.rb": code}, layer, failure, broken, "/var/task/app.rb")


def javas() -> Language:
    shelf = java.compiled({"shelf/Shelf.java": java.SHELF})
    classes = java.compiled({"app/App.java": java.APP}, beside=shelf)
    layer = {"java/lib/shelf.jar": java.jar(shelf)}
    failure, broken = "java.lang.IllegalArgumentException", "java.lang.ExceptionInInitializerError"
    return Language(JAVA, "app.App", classes, layer, failure, broken, "app.App.handleRequest(App.java:")


def tail(answer: Mapping[str, Any]) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def in_log(world: World, name: str, *texts: str) -> str:
    """All of a function's lines, when these are among them."""
    logs, group = world.client("logs"), f"/aws/lambda/{name}"

    def look() -> str:
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return ""
        lines = "\n".join(e["message"] for e in logs.filter_log_events(logGroupName=group)["events"])
        return lines if all(text in lines for text in texts) else ""

    return str(eventually(look))


@pytest.mark.parametrize("language", [python, node, ruby, javas], ids=["python", "node", "ruby", "java"])
def test_what_every_runtime_does(world: World, language: Any) -> None:
    of: Language = language()
    name = of.runtime.partition(".")[0]
    client = world.client("lambda")
    layer = client.publish_layer_version(LayerName=name, Content={"ZipFile": packed(of.layer)})["LayerVersionArn"]
    more: dict[str, Any] = {"Runtime": of.runtime, "Handler": of.handler, "MemorySize": 512, "Layers": [layer]}
    arn = world.function(name, of.files, Environment={"Variables": {"MINE": "ünïcode"}}, Timeout=20, **more)

    first, cold = world.invoke(name, {"text": "grüße 😀"}, LogType="Tail")
    expected = {"event": {"text": "grüße 😀"}, "mine": "ünïcode", "runtime": f"AWS_Lambda_{of.runtime}"}
    assert first == {**expected, "layer": "from the layer", "arn": arn, "left": True, "calls": 1}
    assert "logged\nin two lines" in tail(cold) and "Init Duration: " in tail(cold)
    again, warm = world.invoke(name, {"text": "2"}, LogType="Tail")
    assert again["calls"] == 2 and "Init Duration: " not in tail(warm)

    told, failed = world.invoke(name, {"do": "fail"}, LogType="Tail")
    assert failed["FunctionError"] == "Unhandled" and told["errorType"] == of.failure
    assert "bad event" in told["errorMessage"]
    assert any(of.place in line for line in told.get("stackTrace") or told["trace"]), told
    assert "bad event" in tail(failed), "the log has it, too"
    after, _ = world.invoke(name, {"text": "3"})
    assert after["calls"] == 3, "an error costs no environment"

    client.update_function_configuration(FunctionName=name, Timeout=1)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 100})
    late, _ = world.invoke(name, {"do": "sleep"})
    assert late["errorType"] == "Sandbox.Timedout" and "timed out after 1.00 seconds" in late["errorMessage"]

    world.function(f"{name}-broken", of.files, Environment={"Variables": {"BREAK": "1"}}, Timeout=20, **more)
    broken, _ = world.invoke(f"{name}-broken", {}, LogType="Tail")
    assert broken["errorType"] == of.broken, broken
    assert "broken while it is loaded" in json.dumps(broken)
    assert "Phase: invoke\tStatus: error" in tail(_)


def test_node_has_the_sdk_and_layers_for_modules_of_both_kinds(world: World) -> None:
    client = world.client("lambda")
    layer = packed(
        {"nodejs/node_modules/own/package.json": '{"exports": "./x.js"}', "nodejs/node_modules/own/x.js": ""}
    )
    layers = [client.publish_layer_version(LayerName="own", Content={"ZipFile": layer})["LayerVersionArn"]]
    who = "new STSClient({}).send(new GetCallerIdentityCommand({})).then((found) => found.Arn)"
    names, place = "{ STSClient, GetCallerIdentityCommand }", '"@aws-sdk/client-sts"'
    codes = {
        "app.mjs": f'import {names} from {place};\nimport "own";\nexport const handler = () => {who};',
        "app.js": f'const {names} = require({place});\nrequire("own");\nexports.handler = () => {who};',
    }
    for file, code in codes.items():
        name = f"sdk-{file.partition('.')[2]}"
        world.function(name, {file: code}, Runtime=NODE, MemorySize=512, Layers=layers)
        assert world.invoke(name)[0] == f"arn:aws:sts::000000000000:assumed-role/worker/{name}"


def test_node_options_bring_back_what_lambda_turns_off(world: World) -> None:
    inner = "export const handler = async () => import.meta.filename;"
    code = {"app.mjs": 'export { handler } from "./inner.js";', "inner.js": inner}
    world.function("plain", code, Runtime=NODE, MemorySize=512)
    assert world.invoke("plain")[0]["errorType"] == "Runtime.UserCodeSyntaxError"
    options = {"Variables": {"NODE_OPTIONS": "--experimental-detect-module"}}
    world.function("guessed", code, Runtime=NODE, MemorySize=512, Environment=options)
    assert world.invoke("guessed")[0] == "/var/task/inner.js"


def test_node_answers_in_pieces(world: World) -> None:
    code = """
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { "x-mine": "1" } });
  for (const piece of ["one", "two", "three"]) {
    stream.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  stream.end();
});
"""
    world.function("pieces", {"app.mjs": code}, Runtime=NODE)
    events = world.client("lambda").invoke_with_response_stream(FunctionName="pieces", Payload=b"{}")["EventStream"]
    pieces = [event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event]
    assert len(pieces) >= 3, "they came one by one"
    head, _, rest = b"".join(pieces).partition(b"\0" * 8)
    assert json.loads(head) == {"statusCode": 201, "headers": {"x-mine": "1"}} and rest == b"onetwothree"


def test_node_waits_for_an_empty_event_loop_unless_it_is_told_not_to(world: World) -> None:
    code = """
exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = event.wait;
  setTimeout(() => console.log("the loop's last"), 400);
  callback(null, "answered");
};
"""
    world.function("loop", {"app.js": code}, Runtime=NODE)
    for wait in (True, False):
        found, answer = world.invoke("loop", {"wait": wait}, LogType="Tail")
        assert found == "answered" and ("the loop's last" in tail(answer)) is wait
    never, _ = world.invoke("loop", {"wait": False})
    assert never == "answered"


def test_node_tells_what_nobody_caught(world: World) -> None:
    code = """
export const handler = async () => {
  setTimeout(() => { throw new Error("nobody catches it"); }, 1);
  await new Promise((resolve) => setTimeout(resolve, 10000));
};
"""
    world.function("uncaught", {"app.mjs": code}, Runtime=NODE)
    told, answer = world.invoke("uncaught")
    assert answer["FunctionError"] == "Unhandled" and told["errorMessage"] == "nobody catches it"


def test_java_methods(world: World) -> None:
    event = java.compiled({"com/amazonaws/services/lambda/runtime/events/SQSEvent.java": java.EVENT})
    files = {**java.compiled({"app/Pojo.java": java.POJO}, beside=event), "lib/events.jar": java.jar(event)}
    record = {"body": "b", "eventSourceARN": "arn", "sentAt": 1545084650.987, "source": {"name": "n", "more": 1}}
    cases: list[tuple[str, Any, Any]] = [
        (
            "order",
            {"name": "me", "count": 2, "prices": [1, 0.5], "else": {}},
            {"hello": "hello me", "next": 3, "total": 1.5},
        ),
        ("stream", [1, 2], {"bytes": 6}),
        ("queue", {"Records": [record]}, ["b", "arn", 1545084650987, "n"]),
        ("sum", [1, 2, 3], 6),
        ("jackson", None, "hidden"),
        ("option", None, "given"),
    ]
    more = {"Runtime": JAVA, "MemorySize": 256, "Environment": {"Variables": {"JAVA_TOOL_OPTIONS": "-Dmine=given"}}}
    for method, given, expected in cases:
        world.function(f"java-{method}", files, Handler=f"app.Pojo::{method}", **more)
        found, _ = world.invoke(f"java-{method}", given)
        assert found == expected
    for number, (handler, kind) in enumerate((("app.Pojo::none", "NoSuchMethod"), ("app.None", "ClassNotFound"))):
        world.function(f"java-none-{number}", files, Handler=handler, **more)
        told, _ = world.invoke(f"java-none-{number}")
        assert told["errorType"] == f"java.lang.{kind}Exception"


# --- SnapStart

SNAPSHOT = """
import os
from snapshot_restore_py import register_after_restore, register_before_snapshot

seen = []

@register_before_snapshot
def before():
    seen.append("before")
    if os.environ.get("BREAK"):
        raise ValueError("no snapshot of this")

@register_after_restore
def after():
    seen.append("after")
    print("restored")

def handler(event, context):
    return [*seen, os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]]
"""


def snapshots(runtime: str) -> dict[str, Any]:
    if runtime == PYTHON:
        return {"code": {"app.py": SNAPSHOT}, "Runtime": PYTHON}
    classes = java.compiled({"app/Snapshot.java": java.SNAPSHOT})
    return {"code": classes, "Runtime": JAVA, "Handler": "app.Snapshot::look", "MemorySize": 512}


def published(world: World, name: str, state: str) -> dict[str, Any]:
    """A new version, when it is in that state."""
    client = world.client("lambda")
    made = client.publish_version(FunctionName=name)
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}

    def look() -> Any:
        found = client.get_function_configuration(FunctionName=name, Qualifier=made["Version"])
        return found if found["State"] == state else None

    return dict(eventually(look))


@pytest.mark.parametrize("runtime", [PYTHON, JAVA])
def test_a_version_is_initialised_before_it_is_invoked(world: World, runtime: str) -> None:
    name = f"snap-{runtime.partition('.')[0]}"
    world.function(name, SnapStart={"ApplyOn": "PublishedVersions"}, **snapshots(runtime))
    unpublished, _ = world.invoke(name)
    assert unpublished == ["on-demand"], "snapshots are of published versions"
    version = published(world, name, "Active")
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}

    found, first = world.invoke(name, Qualifier=version["Version"], LogType="Tail")
    assert found == ["before", "after", "snap-start"]
    assert "\tRestore Duration: " in tail(first) and "\tBilled Restore Duration: " in tail(first)
    assert "Init Duration: " not in tail(first)
    again, second = world.invoke(name, Qualifier=version["Version"], LogType="Tail")
    assert again == found and "Restore Duration: " not in tail(second)
    lines = in_log(world, name, "INIT_REPORT Init Duration: ", "RESTORE_START", "RESTORE_REPORT Restore Duration: ")
    assert lines.index("RESTORE_START") < lines.index("restored") < lines.index("RESTORE_REPORT")


@pytest.mark.parametrize("runtime", [PYTHON, JAVA])
def test_a_version_that_cannot_be_initialised_fails(world: World, runtime: str) -> None:
    name = f"snap-broken-{runtime.partition('.')[0]}"
    breaks = {"Variables": {"BREAK": "1"}}
    world.function(name, Environment=breaks, SnapStart={"ApplyOn": "PublishedVersions"}, **snapshots(runtime))
    version = published(world, name, "Failed")
    assert version["StateReasonCode"] == "FunctionError" and version["StateReason"]
    with pytest.raises(world.client("lambda").exceptions.ResourceConflictException, match="Failed"):
        world.invoke(name, Qualifier=version["Version"])


ASKS = """
import os, boto3
from snapshot_restore_py import register_after_restore
sts = boto3.client("sts")
before = sts.get_caller_identity()["Arn"]

@register_after_restore
def after():
    if os.environ.get("BREAK"):
        raise ValueError("it is not as it was")

def handler(event, context):
    return [before, sts.get_caller_identity()["Arn"], "AWS_ACCESS_KEY_ID" in os.environ]
"""


def test_a_snapshot_asks_for_its_credentials_and_tells_of_hooks_that_fail(world: World) -> None:
    client = world.client("lambda")
    world.function("snap-asks", ASKS, Runtime=PYTHON, SnapStart={"ApplyOn": "PublishedVersions"})
    version = published(world, "snap-asks", "Active")
    [before, now, given], _ = world.invoke("snap-asks", Qualifier=version["Version"])
    assert before == now and now.endswith(":assumed-role/worker/snap-asks") and not given

    client.update_function_configuration(FunctionName="snap-asks", Environment={"Variables": {"BREAK": "1"}})
    client.get_waiter("function_updated_v2").wait(FunctionName="snap-asks", WaiterConfig={"Delay": 0.2})
    version = published(world, "snap-asks", "Active")
    with pytest.raises(client.exceptions.SnapStartException):
        world.invoke("snap-asks", Qualifier=version["Version"])
    in_log(
        world, "snap-asks", "ValueError: it is not as it was", "\tStatus: error\tError Type: Runtime.AfterRestoreError"
    )


def test_a_version_cannot_be_invoked_while_its_snapshot_is_taken(world: World) -> None:
    client = world.client("lambda")
    code = "import time\ntime.sleep(3)\nloaded = time.time()\ndef handler(event, context): return loaded\n"
    world.function("snap-slow", code, Runtime=PYTHON, SnapStart={"ApplyOn": "PublishedVersions"})
    number = client.publish_version(FunctionName="snap-slow")["Version"]
    with pytest.raises(client.exceptions.SnapStartNotReadyException):
        world.invoke("snap-slow", Qualifier=number)
    client.get_waiter("published_version_active").wait(
        FunctionName="snap-slow", Qualifier=number, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    before = time.time()
    assert world.invoke("snap-slow", Qualifier=number)[0] < before, "its modules were loaded in advance"
