"""Asynchronous invocations through three kill -9: each that was acknowledged is processed, none is lost."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Instance, Starter, eventually, kill, start
from .lambda_world import TRUST, document, need_runtime, packed

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(900)]
EVENTS = 10_000
KILLS = ("server", "node", "all")
SENDERS = 4
ROLE = "arn:aws:iam::000000000000:role/runs"
MAY = {"Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}}
CODE = "def handler(event, context):\n    return event\n"


def _prepare(instance: Instance) -> str:
    """A function whose successes are told to a queue; gives the queue's URL."""
    iam, functions = instance.client("iam"), instance.client("lambda")
    iam.create_role(RoleName="runs", AssumeRolePolicyDocument=document(TRUST))
    iam.put_role_policy(RoleName="runs", PolicyName="tells", PolicyDocument=document(MAY))
    url: str = instance.client("sqs").create_queue(QueueName="done")["QueueUrl"]
    functions.create_function(
        FunctionName="works", Runtime="python3.11", Handler="app.handler", Role=ROLE, Code={"ZipFile": packed(CODE)}
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="works")
    to = {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:done"}}
    functions.put_function_event_invoke_config(FunctionName="works", DestinationConfig=to)
    return url


class Senders:
    """Send each number until it is acknowledged, whoever dies meanwhile."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._pool = ThreadPoolExecutor(SENDERS)
        self._lock = threading.Lock()
        self.acknowledged = 0
        self._ended = [self._pool.submit(self._send, range(n, EVENTS, SENDERS)) for n in range(SENDERS)]

    def _send(self, numbers: range) -> None:
        client = self._instance.client("lambda")
        for number in numbers:
            while not self._once(client, number):
                pass
            with self._lock:
                self.acknowledged += 1

    @staticmethod
    def _once(client: Any, number: int) -> bool:
        with contextlib.suppress(ClientError, BotoCoreError):
            answer = client.invoke(FunctionName="works", InvocationType="Event", Payload=str(number).encode())
            return bool(answer["StatusCode"] == 202)
        return False

    def wait(self) -> None:
        for each in self._ended:
            each.result()
        self._pool.shutdown()


def _kill(instance: Instance, role: str) -> Instance:
    pids = dict(instance.run_file["pids"])
    if role != "all":
        kill(pids[role])
        return instance
    for pid in (instance.process.pid, *pids.values()):
        kill(pid)
    instance.process.wait()
    return start(instance.state, port=instance.port)


def _collect(instance: Instance, url: str, wanted: int) -> set[int]:
    sqs = instance.client("sqs")
    found: set[int] = set()

    def all_there() -> bool:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                record = json.loads(message["Body"])
                assert record["requestContext"]["condition"] == "Success"
                assert record["requestPayload"] == record["responsePayload"]
                found.add(record["requestPayload"])
            entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return len(found) == wanted

    eventually(all_there, 400)
    return found


def test_every_event_is_processed_through_three_kills(havre: Starter) -> None:
    need_runtime()
    instance = havre()
    url = _prepare(instance)
    senders = Senders(instance)
    for n, role in enumerate(KILLS, 1):
        eventually(lambda n=n: senders.acknowledged >= n * EVENTS // 4, 200)  # type: ignore[misc]
        instance = _kill(instance, role)
    senders.wait()
    assert senders.acknowledged == EVENTS
    assert _collect(instance, url, EVENTS) == set(range(EVENTS))
