"""Queues in the program as users run it: the AWS CLI, kill -9, and the end of an instance while somebody waits."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import AWS, Instance, Starter, eventually, kill

pytestmark = [pytest.mark.timeout(300)]
MESSAGES = 600


def _pump(client: Any, url: str, group: str, acknowledged: list[str]) -> None:
    """Send numbers in order; each until it is acknowledged, as one who retries."""
    for n in range(MESSAGES):
        more = {"MessageGroupId": group, "MessageDeduplicationId": f"{group}{n}"} if group else {}
        while True:
            try:
                client.send_message(QueueUrl=url, MessageBody=str(n), **more)
                break
            except (BotoCoreError, ClientError):
                time.sleep(0.02)
        acknowledged.append(str(n))


def _drain(client: Any, url: str) -> list[str]:
    seen: list[str] = []
    while received := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        seen += [m["Body"] for m in received]
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(received)]
        assert "Failed" not in client.delete_message_batch(QueueUrl=url, Entries=entries)
    return seen


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_killed_three_times_a_queue_loses_nothing(havre: Starter, fifo: bool) -> None:
    instance = havre()
    client = instance.client("sqs")
    name, attributes = ("q.fifo", {"FifoQueue": "true"}) if fifo else ("q", {})
    url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    acknowledged: list[str] = []
    sender = threading.Thread(target=_pump, args=(instance.client("sqs"), url, "g" if fifo else "", acknowledged))
    sender.start()
    for part in (1, 2, 3):
        while sender.is_alive() and len(acknowledged) < part * MESSAGES // 4:
            time.sleep(0.005)
        server = instance.run_file["pids"]["server"]
        kill(server)
        eventually(lambda before=server: instance.run_file["pids"]["server"] != before)
    sender.join()
    eventually(lambda: _answers(client, url))
    seen = _drain(client, url)
    assert set(acknowledged) <= set(seen)
    if fifo:
        assert seen == [str(n) for n in range(MESSAGES)]  # retries are found out, order holds


def _answers(client: Any, url: str) -> bool:
    with contextlib.suppress(BotoCoreError, ClientError):
        client.get_queue_attributes(QueueUrl=url)
        return True
    return False


def test_the_aws_cli_makes_sends_and_receives(havre: Starter) -> None:
    instance = havre()

    def aws(*arguments: str) -> str:
        """Version 1 of the CLI takes an endpoint for SQS from nowhere else than its own option."""
        command = [AWS, "--endpoint-url", instance.endpoint, "sqs", *arguments, "--output", "text"]
        return subprocess.run(command, env=instance.env, capture_output=True, text=True, check=True).stdout.strip()

    url = aws("create-queue", "--queue-name", "q")
    aws("send-message", "--queue-url", url, "--message-body", "hello")
    assert aws("receive-message", "--queue-url", url, "--query", "Messages[0].Body") == "hello"


def test_who_waits_holds_nothing_up(havre: Starter) -> None:
    """An instance ends while a long poll is open."""
    instance: Instance = havre()
    client = instance.client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]

    def poll() -> None:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.receive_message(QueueUrl=url, WaitTimeSeconds=20)

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.5)
    instance.process.send_signal(signal.SIGTERM)
    assert instance.process.wait(15) == 0
    waiting.join(20)


def test_reset_leaves_no_message(havre: Starter) -> None:
    instance = havre("--auth", "open")
    client = instance.client("sqs", aws_access_key_id="test", aws_secret_access_key="test")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="x")
    instance.get("/_havre/reset", "POST")
    assert client.list_queues().get("QueueUrls") is None
    assert client.create_queue(QueueName="q")["QueueUrl"] == url
    assert "Messages" not in client.receive_message(QueueUrl=url)
