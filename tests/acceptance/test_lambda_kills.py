"""Messages of queues through kill -9: each is processed, none is lost, and a FIFO queue keeps its order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .conftest import Instance, Starter, eventually, kill, start
from .lambda_world import World, need_runtime

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
MESSAGES, GROUPS = 5_000, 50
KILLS = ("server", "node", "all")
CODE = """
import boto3, json, os

sqs = boto3.client("sqs")
ordered = os.environ["TELL"].endswith(".fifo")

def handler(event, context):
    entries = []
    for n, record in enumerate(event["Records"]):
        entry = {"Id": str(n), "MessageBody": record["body"]}
        if ordered:
            entry["MessageGroupId"] = record["attributes"]["MessageGroupId"]
            entry["MessageDeduplicationId"] = context.aws_request_id + str(n)
        entries.append(entry)
    told = sqs.send_message_batch(QueueUrl=os.environ["TELL"], Entries=entries)
    assert not told.get("Failed"), told
"""


def _make(world: World, suffix: str) -> tuple[str, str]:
    """(URL of the queue that is worked on, URL of the one that is told)."""
    fifo = {"FifoQueue": "true"} if suffix else {}
    told, _ = world.queue(f"told{suffix}", **fifo)
    url, arn = world.queue(f"work{suffix}", VisibilityTimeout="8", **fifo)
    name = f"works{suffix.replace('.', '-')}"
    world.function(name, CODE, Timeout=5, Environment={"Variables": {"TELL": told}})
    world.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName=name, Enabled=False)
    return url, told


def _fill(sqs: Any, url: str) -> None:
    for begin in range(0, MESSAGES, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(begin, begin + 10)]
        if url.endswith(".fifo"):
            for entry in entries:
                entry |= {"MessageGroupId": str(int(entry["Id"]) % GROUPS), "MessageDeduplicationId": entry["Id"]}
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


def _enable(world: World) -> None:
    functions = world.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def _kill(instance: Instance, role: str) -> Instance:
    pids = dict(instance.run_file["pids"])
    if role != "all":
        kill(pids[role])
        return instance
    for pid in (instance.process.pid, *pids.values()):
        kill(pid)
    instance.process.wait()
    return start(instance.state, port=instance.port)


def _take(sqs: Any, url: str, seen: list[int]) -> None:
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        seen += [int(message["Body"]) for message in found]
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(found)]
        sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def test_every_message_is_processed_through_three_kills(havre: Starter) -> None:
    need_runtime()
    instance = havre()
    world = World(instance)
    queues = [_make(world, suffix) for suffix in ("", ".fifo")]
    sqs = world.client("sqs")
    for url, _ in queues:
        _fill(sqs, url)
    _enable(world)
    for role in KILLS:
        time.sleep(0.7)  # some of it is under way
        instance = _kill(instance, role)
    eventually(lambda: instance.get("/_havre/health")["status"] == "ok")
    seen: dict[str, list[int]] = {told: [] for _, told in queues}

    def all_there() -> bool:
        for told, numbers in seen.items():
            _take(sqs, told, numbers)
        return all(set(numbers) == set(range(MESSAGES)) for numbers in seen.values())

    eventually(all_there, 400)
    firsts = list(dict.fromkeys(next(numbers for told, numbers in seen.items() if told.endswith(".fifo"))))
    for group in range(GROUPS):
        assert [n for n in firsts if n % GROUPS == group] == list(range(group, MESSAGES, GROUPS))
    assert json.dumps(instance.get("/_havre/health")["problems"]) == "[]"
