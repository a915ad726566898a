"""From PutEvents to the targets: matching, inputs, each kind of target, retries, dead letters, schedules, replays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT
from tests.unit.services.events.events_harness import Events, function_arn, queue_arn, refusal

from havre.kernel.errors import ApiError
from havre.services.events.resources import DELIVERY, RULE

HERE = f"arn:aws:events:us-east-1:{ACCOUNT}"


def to(arn: str, id: str = "1", **more: Any) -> dict[str, Any]:
    return {"Id": id, "Arn": arn, **more}


def transformed(template: str) -> dict[str, Any]:
    return {"InputTransformer": {"InputPathsMap": {"x": "$.detail.x"}, "InputTemplate": template}}


def test_an_event_reaches_the_targets_of_the_rules_that_match(events: Events) -> None:
    arn = events.rule("r", {"source": ["app"], "detail": {"n": [{"numeric": [">", 1]}]}}, [
        to(queue_arn("q")), to(function_arn("f"), "2"),
    ])  # fmt: skip
    events.rule("other", {"source": ["app"], "detail": {"n": [1]}}, [to(queue_arn("other"))])
    events.rule("off", {"source": ["app"]}, [to(queue_arn("off"))], State="DISABLED")
    put = events.put(detail={"n": 2}, Resources=["res"], Time=1_700_000_000)
    events.quiet()
    (message,) = events.sent("q")
    assert json.loads(message["MessageBody"]) == {
        "version": "0", "id": put["EventId"], "detail-type": "Happened", "source": "app", "account": ACCOUNT,
        "time": "2023-11-14T22:13:20Z", "region": "us-east-1", "resources": ["res"], "detail": {"n": 2},
    }  # fmt: skip
    assert events.invoked("f")[0]["id"] == put["EventId"]
    assert events.sent("other") == events.sent("off") == []
    assert (events.sqs.callers[0].service, events.sqs.callers[0].source) == ("events.amazonaws.com", arn)


def test_entries_stand_for_themselves(events: Events) -> None:
    good = {"Source": "app", "DetailType": "t", "Detail": "{}"}
    entries = [
        good,
        {**good, "Source": ""},
        {"Source": "app", "DetailType": "t"},
        {**good, "Detail": "[]"},
        {**good, "Detail": "{"},
        {**good, "Source": "aws.ec2"},
        {**good, "EventBusName": "nowhere"},
    ]
    answer = events.client.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 5
    assert [e.get("ErrorCode") for e in answer["Entries"]] == [
        None, "InvalidArgument", "InvalidArgument", "MalformedDetail", "MalformedDetail",
        "NotAuthorizedForSourceException", None,
    ]  # fmt: skip
    large = {**good, "Detail": json.dumps({"x": "y" * 600_000})}
    aws = events.deps.aws_for(ACCOUNT, "us-east-1", "ecs.amazonaws.com")
    with pytest.raises(ApiError, match="Total size of the entries"):
        events.running.wait(aws("events", "PutEvents", {"Entries": [large, large]}))


def test_services_put_events_of_their_own(events: Events) -> None:
    events.rule("r", {"source": ["aws.ecs"]}, [to(queue_arn("q"))])
    aws = events.deps.aws_for(ACCOUNT, "us-east-1", "ecs.amazonaws.com")
    entry = {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Detail": '{"lastStatus": "RUNNING"}'}
    events.running.wait(aws("events", "PutEvents", {"Entries": [entry]}))
    events.quiet()
    assert json.loads(events.sent("q")[0]["MessageBody"])["detail"] == {"lastStatus": "RUNNING"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$.detail.x"}, '"y"'),
        ({"InputPath": "$.detail.none"}, "{}"),
        (
            transformed('{"is": <x>, "r": <aws.events.rule-name>}'),
            '{"is": "y", "r": "r"}',
        ),
        (transformed('"<x> it is"'), '"y it is"'),
    ],
)  # fmt: skip
def test_what_targets_get(events: Events, given: dict[str, Any], expected: str) -> None:
    events.rule("r", {"source": ["app"]}, [to(queue_arn("q"), **given)])
    events.put(detail={"x": "y"})
    events.quiet()
    assert events.sent("q")[0]["MessageBody"] == expected


def test_topics_and_log_groups(events: Events) -> None:
    topic = events.running.client("sns").create_topic(Name="t")["TopicArn"]
    policy = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": policy})
    events.running.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)
    events.running.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn("q"))
    events.running.client("logs").create_log_group(logGroupName="/aws/events/g")
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/events/g:*"
    events.rule("r", {"source": ["app"]}, [to(topic), to(group, "2")])
    events.put(detail={"n": 1})
    events.put(detail={"n": 2})
    events.quiet()
    found = events.running.client("logs").filter_log_events(logGroupName="/aws/events/g")["events"]
    assert sorted(json.loads(e["message"])["detail"]["n"] for e in found) == [1, 2]
    from havre.services.sns.resources import DELIVERY as LETTERS

    assert len(events.running.store.list(LETTERS)) == 2  # the topic took them; nobody carries them here


def test_tasks_and_streams_by_a_role(events: Events) -> None:
    role = events.role("r", "ecs:RunTask", "kinesis:PutRecord")
    cluster = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"
    network = {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}}
    ecs = {"TaskDefinitionArn": "td:1", "TaskCount": 2, "LaunchType": "FARGATE", "NetworkConfiguration": network}
    overrides = {"containerOverrides": [{"name": "app", "command": ["x"]}]}
    stream = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"
    events.rule("r", {"source": ["app"]}, [
        to(cluster, RoleArn=role, EcsParameters=ecs, Input=json.dumps(overrides)),
        to(stream, "2", RoleArn=role, KinesisParameters={"PartitionKeyPath": "$.detail.key"}),
    ])  # fmt: skip
    events.put(detail={"key": "k"})
    events.quiet()
    ((_, task),) = events.tasks.calls
    assert (task["cluster"], task["count"], task["startedBy"]) == (cluster, 2, "events-rule/r")
    assert task["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"
    assert task["overrides"] == overrides and task["taskDefinition"] == "td:1"
    assert events.tasks.callers[0].role == role
    ((_, record),) = events.records.calls
    assert record["PartitionKey"] == "k" and json.loads(record["Data"])["source"] == "app"


def test_a_role_that_may_not_is_told_to_the_dead_letters(events: Events) -> None:
    role = events.role("weak")
    cluster = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"
    arn = events.rule("r", {"source": ["app"]}, [
        to(cluster, RoleArn=role, EcsParameters={"TaskDefinitionArn": "td"}, DeadLetterConfig={"Arn": queue_arn("dead")})
    ])  # fmt: skip
    put = events.put()
    events.quiet()
    (dead,) = events.sent("dead")
    told = {k: v["StringValue"] for k, v in dead["MessageAttributes"].items()}
    assert told.pop("ERROR_MESSAGE").startswith("User: ")
    assert told == {
        "RULE_ARN": arn,
        "TARGET_ARN": cluster,
        "ERROR_CODE": "NO_PERMISSIONS",
        "RETRY_ATTEMPTS": "0",
    }
    assert json.loads(dead["MessageBody"])["id"] == put["EventId"] and not events.tasks.calls
    assert dead["MessageBody"].startswith('{"version":"0","id":')


def test_what_fails_is_tried_as_often_as_the_policy_says(events: Events) -> None:
    policy = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    events.rule("r", {"source": ["app"]}, [
        to(function_arn("f"), RetryPolicy=policy, DeadLetterConfig={"Arn": queue_arn("dead")}),
        to(function_arn("patient"), "2"),
    ])  # fmt: skip
    busy = ApiError("TooManyRequestsException", "Rate exceeded", 429)
    events.functions.failures = {"f": [busy], "patient": [busy]}
    events.put()
    events.until(lambda: events.sent("dead"), "the dead letter")
    told = events.sent("dead")[0]["MessageAttributes"]
    assert told["ERROR_CODE"]["StringValue"] == "THROTTLING"
    events.quiet()
    assert len(events.invoked("patient")) == 1 and events.invoked("f") == []


def test_from_bus_to_bus_but_not_in_circles(events: Events) -> None:
    role = events.role("r", "events:PutEvents")
    events.client.create_event_bus(Name="a")
    both = {"default": f"{HERE}:event-bus/a", "a": f"{HERE}:event-bus/default"}
    for bus, other in both.items():
        events.rule("pass", {"source": ["app"]}, [to(other, RoleArn=role)], EventBusName=bus)
        events.rule("see", {"source": ["app"]}, [to(queue_arn(bus))], EventBusName=bus)
    events.put(detail={"n": 1})
    events.quiet()
    assert len(events.sent("default")) + len(events.sent("a")) == 9
    assert json.loads(events.sent("a")[0]["MessageBody"])["detail"] == {"n": 1}


def test_a_bus_lets_in_another_account(events: Events) -> None:
    events.client.create_event_bus(Name="shared")
    events.rule("r", {"account": [OTHER]}, [to(queue_arn("q"))], EventBusName="shared")
    other = events.running.client("events", OTHER_ROOT)
    entry = {"Source": "x", "DetailType": "t", "Detail": "{}", "EventBusName": f"{HERE}:event-bus/shared"}
    assert refusal(other.put_events, Entries=[entry])[0] == "AccessDeniedException"
    allow = {"EventBusName": "shared", "StatementId": "s", "Action": "events:PutEvents", "Principal": OTHER}
    events.client.put_permission(**allow)
    assert other.put_events(Entries=[entry])["FailedEntryCount"] == 0
    events.quiet()
    assert json.loads(events.sent("q")[0]["MessageBody"])["account"] == OTHER
    assert json.loads(events.client.describe_event_bus(Name="shared")["Policy"])["Statement"][0]["Sid"] == "s"
    events.client.remove_permission(EventBusName="shared", StatementId="s")
    assert refusal(other.put_events, Entries=[entry])[0] == "AccessDeniedException"


def test_a_schedule_is_due_when_it_is_due(events: Events) -> None:
    arn = events.rule("tick", ScheduleExpression="rate(5 minutes)", targets=[to(queue_arn("q"))])
    events.until(lambda: _due("tick", events), "the first plan")
    assert events.sent("q") == []
    first = _due("tick", events)
    for minutes, expected in ((4, 0), (6, 1), (7, 1), (17, 3)):
        events.running.offset = 60 * minutes
        events.wake("tick")
        events.until(lambda due=_due_after(events, first): _due("tick", events) == due, "the next plan")
        events.quiet()
        assert len(events.sent("q")) == expected
    found = [json.loads(m["MessageBody"]) for m in events.sent("q")]
    assert len({e["id"] for e in found}) == 3
    event = found[0]
    assert (event["source"], event["detail-type"], event["resources"]) == ("aws.events", "Scheduled Event", [arn])


def _due(rule: str, events: Events) -> Any:
    (found,) = [r for r in events.running.store.list(RULE) if r.spec.rule == rule]
    return found.status.due


def _due_after(events: Events, first: float) -> float:
    """When a rate of five minutes that is first due then is due next."""
    now = events.running.world.now()
    return first if now < first else first + 300 * ((now - first) // 300 + 1)


def test_ticks_that_pass_while_nobody_runs_are_made_up_for_once(events: Events) -> None:
    events.rule("tick", ScheduleExpression="rate(1 minute)", targets=[to(queue_arn("q"))])
    first = events.until(lambda: _due("tick", events), "the first plan")
    events.stop()
    events.running.offset = first - time.time() + 125
    events.start()
    events.until(lambda: len(events.sent("q")) == 3, "three ticks")
    events.stop()
    events.start()
    events.quiet()
    times = [json.loads(m["MessageBody"])["time"] for m in events.sent("q")]
    assert len(times) == len(set(times)) == 3


def test_archives_keep_events_and_replays_put_them_again(events: Events) -> None:
    bus = f"{HERE}:event-bus/default"
    pattern = json.dumps({"source": ["app"]})
    archive = events.client.create_archive(ArchiveName="a", EventSourceArn=bus, EventPattern=pattern)["ArchiveArn"]
    begin = events.running.world.now() - 1
    for n in range(3):
        events.put(detail={"n": n})
    events.put(source="other")
    rule = events.rule("r", {"source": ["app"]}, [to(queue_arn("q"))])
    events.rule("unasked", {"source": ["app"]}, [to(queue_arn("unasked"))])
    described = events.client.describe_archive(ArchiveName="a")
    assert described["State"] == "ENABLED" and described["SizeBytes"] > 0 and described["EventCount"] == 3
    assert [a["EventCount"] for a in events.client.list_archives()["Archives"]] == [3]
    asked = {
        "ReplayName": "again", "EventSourceArn": archive, "EventStartTime": begin,
        "EventEndTime": events.running.world.now() + 1, "Destination": {"Arn": bus, "FilterArns": [rule]},
    }  # fmt: skip
    assert events.client.start_replay(**asked)["State"] == "STARTING"
    events.until(
        lambda: events.client.describe_replay(ReplayName="again")["State"] == "COMPLETED", "the end of the replay"
    )
    events.quiet()
    found = [json.loads(m["MessageBody"]) for m in events.sent("q")]
    assert sorted(e["detail"]["n"] for e in found) == [0, 1, 2]
    assert {e["replay-name"] for e in found} == {"again"} and events.sent("unasked") == []
    assert refusal(events.client.cancel_replay, ReplayName="again")[0] == "IllegalStatusException"
    assert refusal(events.client.start_replay, **asked)[0] == "ResourceAlreadyExistsException"
    wrong = {**asked, "ReplayName": "w", "EventEndTime": begin - 5}
    assert refusal(events.client.start_replay, **wrong)[0] == "ValidationException"
    events.client.create_event_bus(Name="y")
    for name, words in (("x", "Event bus x does not exist."), ("y", "Cross event bus replay is not permitted.")):
        elsewhere = {**asked, "ReplayName": "w", "Destination": {"Arn": f"{HERE}:event-bus/{name}"}}
        assert refusal(events.client.start_replay, **elsewhere)[1].endswith(words)
    nothing = {**asked, "ReplayName": "w", "EventSourceArn": f"{archive}s"}
    told = "Parameter EventSourceArn is not valid. Reason: Archive as does not exist."
    assert refusal(events.client.start_replay, **nothing) == ("ValidationException", told)
    assert [r["ReplayName"] for r in events.client.list_replays(State="COMPLETED")["Replays"]] == ["again"]
    events.client.update_archive(ArchiveName="a", RetentionDays=1)
    events.running.offset = 2 * 86_400
    events.running.loop.call_soon_threadsafe(events.runner.wake, "events.retention", "all")
    events.until(lambda: _bytes(events) == 0, "the end of what was kept")


def _bytes(events: Events) -> int:
    extents = events.running.wait(events.running.journal.extents("events/"))
    return sum(e.bytes for e in extents.values())


def test_the_event_in_a_template(events: Events) -> None:
    template = '{"about": <aws.events.event>, "whole": <aws.events.event.json>, "none": <missing>}'
    transformer = {"InputTemplate": template, "InputPathsMap": {"missing": "$.detail.gone"}}
    events.rule("r", {"source": ["app"]}, [to(queue_arn("q"), InputTransformer=transformer)])
    events.put(detail={"n": 1})
    events.quiet()
    found = json.loads(events.sent("q")[0]["MessageBody"])
    whole = found["whole"]
    about = {k: whole[k] for k in ("version", "id", "source", "account", "time", "region", "resources")}
    assert found == {"about": {**about, "detailType": whole["detail-type"]}, "whole": whole, "none": ""}
    assert whole["detail"] == {"n": 1}


def test_a_rule_has_five_targets(events: Events) -> None:
    events.rule("r", {"source": ["app"]})
    targets = [{"Id": str(n), "Arn": queue_arn("q")} for n in range(6)]
    told = "The requested resource exceeds the maximum number allowed."
    assert refusal(events.client.put_targets, Rule="r", Targets=targets) == ("LimitExceededException", told)
    events.client.put_targets(Rule="r", Targets=targets[:3])
    assert refusal(events.client.put_targets, Rule="r", Targets=targets[3:])[0] == "LimitExceededException"
    assert events.client.put_targets(Rule="r", Targets=targets[1:5])["FailedEntryCount"] == 0
    assert len(events.client.list_targets_by_rule(Rule="r")["Targets"]) == 5


def test_deliveries_go_on_after_a_restart(events: Events) -> None:
    events.rule("r", {"source": ["app"]}, [to(queue_arn("q"))])
    events.stop()
    for n in range(20):
        events.put(detail={"n": n})
    assert len(events.running.store.list(DELIVERY)) == 20
    events.start()
    events.quiet()
    assert sorted(json.loads(m["MessageBody"])["detail"]["n"] for m in events.sent("q")) == list(range(20))
