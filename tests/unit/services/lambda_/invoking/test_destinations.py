"""Where results of events go, and those that nobody could process, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.services.lambda_.invoking.events_scene import BUS, FAILURE, QUEUE, TOPIC, outcomes, scene
from tests.unit.services.lambda_.invoking.invoking_fakes import ACCOUNT, CONFIG, REGION

from havre.core.invoking import traces
from havre.kernel.errors import ApiError, Temporary
from havre.services.lambda_.resources import FUNCTION

pytestmark = pytest.mark.looptime


async def test_a_loop_of_events_ends_and_the_last_one_is_told() -> None:
    s = await scene()
    await s.configure(on_failure=QUEUE)
    mark = traces.mark(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f")
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage={}:{}"
    await s.send(trace=header.format(mark, 15))
    await s.through()
    assert len(s.functions.asked) == 1 and s.calls == []
    await s.send(trace=header.format(mark, 16))
    await s.through()
    assert len(s.functions.asked) == 1
    context = s.told()["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RecursiveInvocation", 0)
    await s.change(lambda tx: tx.update(tx.get(FUNCTION, ACCOUNT, REGION, "f"), spec=_allowing_loops(tx)))
    await s.send(trace=header.format(mark, 16))
    await s.through()
    assert len(s.functions.asked) == 2


def _allowing_loops(tx: Any) -> Any:
    return replace(tx.get(FUNCTION, ACCOUNT, REGION, "f").spec, recursive_loop="Allow")


async def test_dead_letters_are_the_event_itself() -> None:
    s = await scene(config=replace(CONFIG, dead_letter=QUEUE))
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=TOPIC, retries=0)
    await s.send(b'{"n":1}')
    await s.through()
    assert [c[1] for c in s.calls] == ["Publish", "SendMessage"]
    letter = s.calls[1][2]
    assert letter["MessageBody"] == '{"n":1}'
    assert letter["MessageAttributes"]["ErrorMessage"] == {"DataType": "String", "StringValue": "no"}
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == "id"


@pytest.mark.parametrize(("arn", "operation"), [
    (BUS, "PutEvents"),
    (f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:next", "Invoke"),
    ("arn:aws:s3:::bucket", "PutObject"),
])  # fmt: skip
async def test_other_destinations(arn: str, operation: str) -> None:
    s = await scene()
    s.functions.behaves["f"] = outcomes(FAILURE)
    await s.configure(on_failure=arn, retries=0)
    await s.send()
    await s.through()
    assert s.calls[-1][1] == operation
    request = s.calls[-1][2]
    if operation == "PutEvents":
        entry = request["Entries"][0]
        assert entry["Source"] == "lambda" and entry["DetailType"] == "Lambda Function Invocation Result - Failure"
        assert entry["Resources"][0] == arn and json.loads(entry["Detail"])["version"] == "1.0"
    elif operation == "Invoke":
        assert request["InvocationType"] == "Event" and json.loads(request["Payload"])["version"] == "1.0"
    else:
        assert request["Bucket"] == "bucket" and request["Key"].startswith("aws/lambda/async/f/2023/11/14/")


async def test_a_destination_that_is_away_is_tried_again_and_the_function_is_not() -> None:
    s = await scene()
    s.refuse["SendMessage"] = [Temporary("throttled")] * 3
    await s.configure(on_success=QUEUE)
    await s.send()
    await s.through()
    assert len(s.calls) == 1 and len(s.functions.asked) == 1 and s.kept() == 0


@pytest.mark.parametrize("operation", ["SendMessage", "AssumeRole"])
async def test_a_destination_that_refuses_is_given_up(operation: str) -> None:
    s = await scene()
    s.refuse[operation] = [ApiError("AccessDenied", "no")]
    await s.configure(on_success=QUEUE)
    await s.send()
    await s.through()
    assert s.calls == [] and s.kept() == 0
