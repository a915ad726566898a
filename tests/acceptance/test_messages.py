"""Topics, rules and schedules through kill -9: what was acknowledged arrives, in the order of its group."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Instance, Starter, eventually, kill

pytestmark = pytest.mark.timeout(600)
EACH = 600
GROUPS = 3
KILLS = 3


def queue(instance: Instance, name: str, *services: str, **attributes: str) -> tuple[str, str]:
    """URL and ARN of a queue that lets these services in."""
    sqs = instance.client("sqs")
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    allow = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow})
    url = sqs.create_queue(QueueName=name, Attributes={"Policy": policy, **attributes})["QueueUrl"]
    return str(url), arn


def until_acknowledged(send: Callable[[], Any]) -> None:
    while True:
        with contextlib.suppress(ClientError, BotoCoreError):
            send()
            return
        time.sleep(0.05)


def taken(instance: Instance, url: str, enough: Callable[[list[str]], bool]) -> list[str]:
    """The bodies of a queue's messages, in the order in which they came, until they are enough."""
    sqs, found = instance.client("sqs"), list[str]()
    deadline = time.monotonic() + 120
    while not enough(found):
        assert time.monotonic() < deadline, f"only {len(found)} messages came to {url}"
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        found += [each["Body"] for each in got]
        if got:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(got)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    return found


def send_all(instance: Instance, topic: str, orders: str) -> None:
    """To the topic, to the FIFO topic and to the bus, while the server is killed again and again."""

    def publish() -> None:
        sns = instance.client("sns")
        for n in range(EACH):
            until_acknowledged(lambda n=n: sns.publish(TopicArn=topic, Message=str(n)))

    def order(group: int) -> None:
        sns = instance.client("sns")
        for n in range(EACH // GROUPS):
            said = {"Message": f"{group} {n}", "MessageGroupId": f"g{group}", "MessageDeduplicationId": f"{group}-{n}"}
            until_acknowledged(lambda said=said: sns.publish(TopicArn=orders, **said))

    def put() -> None:
        events = instance.client("events")
        for n in range(EACH):
            entry = {"Source": "app", "DetailType": "t", "Detail": json.dumps({"n": n})}
            until_acknowledged(lambda entry=entry: events.put_events(Entries=[entry]))

    with ThreadPoolExecutor(2 + GROUPS) as pool:
        work = [pool.submit(publish), pool.submit(put), *(pool.submit(order, g) for g in range(GROUPS))]
        for _ in range(KILLS):
            time.sleep(0.4)  # somewhere in the middle: any instant will do
            kill(instance.run_file["pids"]["server"])
            eventually(lambda: _answers(instance))
        for each in work:
            each.result()


def _answers(instance: Instance) -> bool:
    with contextlib.suppress(OSError):
        instance.get("/_havre/health")
        return True
    return False


def test_what_was_acknowledged_arrives_whoever_is_killed(havre: Starter) -> None:
    instance = havre()
    sns, events = instance.client("sns"), instance.client("events")
    plain, plain_arn = queue(instance, "plain", "sns.amazonaws.com")
    fifo, fifo_arn = queue(instance, "orders.fifo", "sns.amazonaws.com", FifoQueue="true")
    routed, routed_arn = queue(instance, "routed", "events.amazonaws.com")
    topic = sns.create_topic(Name="news")["TopicArn"]
    orders = sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    for source, target in ((topic, plain_arn), (orders, fifo_arn)):
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=source, Protocol="sqs", Endpoint=target, Attributes=raw)
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["app"], "detail": {"n": [{"exists": True}]}}))
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": routed_arn, "InputPath": "$.detail.n"}])

    send_all(instance, topic, orders)

    every = {str(n) for n in range(EACH)}
    assert set(taken(instance, plain, lambda found: set(found) >= every)) == every
    assert set(taken(instance, routed, lambda found: set(found) >= every)) == every
    ordered = taken(instance, fifo, lambda found: len(set(found)) >= EACH)
    for group in range(GROUPS):
        own = [int(text.split()[1]) for text in ordered if text.startswith(f"{group} ")]
        assert own == list(range(EACH // GROUPS)), f"group {group} came as {own[:20]}…"


def test_a_schedule_goes_on_over_a_kill(havre: Starter) -> None:
    """One time of a rate of one minute passes while nobody runs: it comes once, after the start."""
    instance = havre()
    iam, scheduler = instance.client("iam"), instance.client("scheduler")
    url, arn = queue(instance, "ticks", "scheduler.amazonaws.com")
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    version = {"Version": "2012-10-17"}
    role = iam.create_role(RoleName="ticks", AssumeRolePolicyDocument=json.dumps({**version, "Statement": trust}))
    iam.put_role_policy(RoleName="ticks", PolicyName="p", PolicyDocument=json.dumps({**version, "Statement": may}))
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 5))
    target = {"Arn": arn, "RoleArn": role["Role"]["Arn"], "Input": "<aws.scheduler.scheduled-time>"}
    off = {"Mode": "OFF"}
    scheduler.create_schedule(
        Name="once",
        ScheduleExpression=f"at({soon})",
        Target=target,
        FlexibleTimeWindow=off,
        ActionAfterCompletion="DELETE",
    )
    kill(instance.run_file["pids"]["server"])
    eventually(lambda: _answers(instance))
    assert taken(instance, url, lambda found: bool(found)) == [f"{soon}Z"]
    eventually(lambda: scheduler.list_schedules()["Schedules"] == [])
    kill(instance.run_file["pids"]["server"])
    eventually(lambda: _answers(instance))
    left = instance.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", [])
    assert left == []
