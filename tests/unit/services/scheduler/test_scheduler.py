"""Schedules: made, refused, invoked when they are due, by their role; groups; what goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT
from tests.unit.services.scheduler.scheduler_harness import OFF, Scheduler, function_arn, queue_arn, refusal

from havre.kernel.errors import ApiError
from havre.services.scheduler.resources import DELIVERY

HERE = f"arn:aws:scheduler:us-east-1:{ACCOUNT}"


def test_a_schedule_as_it_was_made(scheduler: Scheduler) -> None:
    arn = scheduler.schedule("s", "rate(5 minutes)", queue_arn("q"), Description="d", State="DISABLED")
    assert arn == f"{HERE}:schedule/default/s"
    found = scheduler.client.get_schedule(Name="s")
    found.pop("ResponseMetadata")
    created, changed = found.pop("CreationDate"), found.pop("LastModificationDate")
    assert abs((created - changed).total_seconds()) < 5
    assert found == {
        "Arn": arn, "GroupName": "default", "Name": "s", "ScheduleExpression": "rate(5 minutes)", "State": "DISABLED",
        "ScheduleExpressionTimezone": "UTC", "Description": "d", "FlexibleTimeWindow": OFF, "ActionAfterCompletion": "NONE",
        "Target": {
            "Arn": queue_arn("q"), "RoleArn": scheduler.role,
            "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
        },
    }  # fmt: skip
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}
    scheduler.client.update_schedule(
        Name="s", ScheduleExpression="rate(1 hour)", Target=found["Target"], FlexibleTimeWindow=window
    )
    found = scheduler.client.get_schedule(Name="s")
    assert (found["ScheduleExpression"], found["State"], found["FlexibleTimeWindow"]) == (
        "rate(1 hour)",
        "ENABLED",
        window,
    )
    assert "Description" not in found
    assert [s["Name"] for s in scheduler.client.list_schedules(NamePrefix="s", State="ENABLED")["Schedules"]] == ["s"]
    scheduler.client.delete_schedule(Name="s")
    assert refusal(scheduler.client.get_schedule, Name="s") == (
        "ResourceNotFoundException",
        "Schedule s does not exist.",
    )


def test_the_same_request_twice_makes_one(scheduler: Scheduler) -> None:
    made = scheduler.schedule("s", "rate(1 day)", queue_arn("q"), ClientToken="t")
    assert scheduler.schedule("s", "rate(1 day)", queue_arn("q"), ClientToken="t") == made
    given = {"Target": {"Arn": queue_arn("q"), "RoleArn": scheduler.role}, "FlexibleTimeWindow": OFF}
    code, words = refusal(scheduler.client.create_schedule, Name="s", ScheduleExpression="rate(1 day)", **given)
    assert (code, words) == ("ConflictException", "Schedule s already exists.")


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"ScheduleExpression": "rate(5 minute)"}, "ValidationException", "Invalid Schedule Expression rate(5 minute)."),
        ({"ScheduleExpression": "cron(0 0 * * * *)"}, "ValidationException", "Invalid Schedule Expression"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "ValidationException", "Invalid ScheduleExpressionTimezone"),
        ({"ScheduleExpressionTimezone": "../etc/passwd"}, "ValidationException", "Invalid ScheduleExpressionTimezone"),
        ({"GroupName": "none"}, "ResourceNotFoundException", "Schedule group none does not exist."),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "ValidationException", "MaximumWindowInMinutes is required"),
        ({"FlexibleTimeWindow": {**OFF, "MaximumWindowInMinutes": 5}}, "ValidationException", "can only be set"),
        ({"StartDate": 1}, "ValidationException", "cannot be earlier than 5 minutes ago"),
        ({"EndDate": 1}, "ValidationException", "cannot be in the past"),
        ({"StartDate": 9e9, "EndDate": 8e9}, "ValidationException", "earlier than the EndDate"),
        ({"KmsKeyArn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/x"}, "NotImplementedException", "KmsKeyArn"),
        ({"Arn": "q"}, "ValidationException", "Provided Arn is not in correct format."),
        ({"Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:x"}, "NotImplementedException", "stateMachine"),
        ({"Arn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"}, "ValidationException", "EcsParameters is required"),
        ({"Arn": queue_arn("q.fifo")}, "ValidationException", "MessageGroupId"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:listQueues"}, "ValidationException", "only reads"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": "x"}, "ValidationException", "JSON object"),
        ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}, "ValidationException", "must allow AWS EventBridge Scheduler"),
    ],
)  # fmt: skip
def test_schedules_that_are_refused(scheduler: Scheduler, given: dict[str, Any], code: str, words: str) -> None:
    target = {"Arn": queue_arn("q"), "RoleArn": scheduler.role}
    target |= {k: given.pop(k) for k in ("Arn", "RoleArn", "Input") if k in given}
    whole = {"Name": "s", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, "Target": target, **given}
    found = refusal(scheduler.client.create_schedule, **whole)
    assert found[0] == code and words in found[1]
    assert scheduler.client.list_schedules()["Schedules"] == []


def test_a_role_that_lets_in_others_only(scheduler: Scheduler) -> None:
    role = scheduler.make_role("other", principal="lambda.amazonaws.com")
    target = {"Arn": queue_arn("q"), "RoleArn": role}
    whole = {"Name": "s", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, "Target": target}
    assert "must allow AWS EventBridge Scheduler" in refusal(scheduler.client.create_schedule, **whole)[1]


def test_a_rate_is_due_at_once_and_then_at_its_beat(scheduler: Scheduler) -> None:
    arn = scheduler.schedule("s", "rate(5 minutes)", queue_arn("q"))
    scheduler.until(lambda: scheduler.sent("q"), "the first invocation")
    event = json.loads(scheduler.sent("q")[0]["MessageBody"])
    assert (event["source"], event["resources"], event["detail"]) == ("aws.scheduler", [arn], "{}")
    assert scheduler.sqs.callers[0].role == scheduler.role
    start = scheduler.found("s").spec.started
    for seconds, expected in ((299, 1), (301, 2), (650, 3), (1801, 7)):
        scheduler.at(start + seconds)
        scheduler.quiet()
        assert len(scheduler.sent("q")) == expected
    ids = [json.loads(m["MessageBody"])["id"] for m in scheduler.sent("q")]
    assert len(set(ids)) == 7


def test_once_and_then_gone(scheduler: Scheduler) -> None:
    now = scheduler.running.world.now()
    at = datetime.fromtimestamp(int(now) + 3600, UTC)
    expression = f"at({at:%Y-%m-%dT%H:%M:%S})"
    scheduler.schedule("kept", expression, function_arn("f"), {"Input": '{"n": 1}'})
    scheduler.schedule("gone", expression, function_arn("f"), {"Input": '{"n": 2}'}, ActionAfterCompletion="DELETE")
    scheduler.until(lambda: scheduler.found("gone").status.due == at.timestamp(), "the plan")
    scheduler.at(at.timestamp() + 1)
    scheduler.until(lambda: scheduler.found("gone") is None, "the end of the schedule")
    scheduler.quiet()
    assert sorted(e["n"] for e in scheduler.invoked("f")) == [1, 2]
    scheduler.at(at.timestamp() + 86_400)
    scheduler.quiet()
    assert len(scheduler.invoked("f")) == 2 and scheduler.found("kept").status.due is None


def test_dates_bound_a_schedule_and_a_window_spreads_it(scheduler: Scheduler) -> None:
    now = scheduler.running.world.now()
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10}
    given = {"StartDate": now + 600, "EndDate": now + 4300, "FlexibleTimeWindow": window}
    scheduler.schedule("s", "rate(30 minutes)", queue_arn("q"), **given)
    begin = scheduler.until(lambda: scheduler.found("s").status.due, "the plan")
    assert abs(begin - (now + 600)) < 1
    scheduler.at(begin + 1)
    (waiting,) = scheduler.running.store.list(DELIVERY)
    assert begin < waiting.status.due < begin + 600 and scheduler.sent("q") == []
    scheduler.at(begin + 601)
    scheduler.until(lambda: len(scheduler.sent("q")) == 1, "the first invocation")
    scheduler.at(begin + 10_000)
    scheduler.at(begin + 11_000)
    scheduler.quiet()
    assert len(scheduler.sent("q")) == 3 and scheduler.found("s").status.due is None


def test_a_time_zone_decides(scheduler: Scheduler) -> None:
    zone = {"ScheduleExpressionTimezone": "America/New_York"}
    scheduler.schedule("s", "cron(30 9 ? * MON-FRI *)", queue_arn("q"), **zone)
    due = scheduler.until(lambda: scheduler.found("s").status.due, "the plan")
    assert datetime.fromtimestamp(due, UTC).strftime("%H:%M") in ("13:30", "14:30")


def test_inputs_know_their_schedule(scheduler: Scheduler) -> None:
    text = (
        '{"arn": "<aws.scheduler.schedule-arn>", "time": "<aws.scheduler.scheduled-time>", '
        '"n": <aws.scheduler.attempt-number>}'
    )
    arn = scheduler.schedule("s", "rate(1 day)", function_arn("f"), {"Input": text})
    scheduler.until(lambda: scheduler.invoked("f"), "the invocation")
    (event,) = scheduler.invoked("f")
    assert event["arn"] == arn and event["n"] == 1 and event["time"].endswith("Z")


def test_buses_and_any_operation_of_aws(scheduler: Scheduler) -> None:
    rule = {"Name": "r", "EventPattern": json.dumps({"source": ["mine"]})}
    scheduler.running.client("events").put_rule(**rule)
    scheduler.running.client("events").put_targets(Rule="r", Targets=[{"Id": "1", "Arn": queue_arn("q")}])
    bus = f"arn:aws:events:us-east-1:{ACCOUNT}:event-bus/default"
    parameters = {"EventBridgeParameters": {"DetailType": "t", "Source": "mine"}, "Input": '{"a": 1}'}
    scheduler.schedule("bus", "rate(1 day)", bus, parameters)
    scheduler.until(lambda: scheduler.sent("q"), "the event")
    assert json.loads(scheduler.sent("q")[0]["MessageBody"])["detail"] == {"a": 1}
    request = json.dumps({"LogGroupName": "made-by-schedule"})
    scheduler.schedule(
        "any", "rate(1 day)", "arn:aws:scheduler:::aws-sdk:cloudwatchlogs:createLogGroup", {"Input": request}
    )
    logs = scheduler.running.client("logs")
    scheduler.until(lambda: logs.describe_log_groups()["logGroups"], "the group")
    assert logs.describe_log_groups()["logGroups"][0]["logGroupName"] == "made-by-schedule"


def test_what_fails_is_tried_again_and_then_buried(scheduler: Scheduler) -> None:
    busy, gone = ApiError("TooManyRequestsException", "busy", 429), ApiError("ResourceNotFoundException", "none", 404)
    scheduler.functions.failures = {"busy": [busy], "gone": [gone]}
    dead = {"DeadLetterConfig": {"Arn": queue_arn("dead")}}
    scheduler.schedule("busy", "rate(1 day)", function_arn("busy"))
    arn = scheduler.schedule("gone", "rate(1 day)", function_arn("gone"), dead)
    scheduler.until(lambda: scheduler.sent("dead"), "the dead letter")
    told = {k: v["StringValue"] for k, v in scheduler.sent("dead")[0]["MessageAttributes"].items()}
    assert (told["SCHEDULE_ARN"], told["ERROR_CODE"], told["RETRY_ATTEMPTS"]) == (arn, "ResourceNotFoundException", "0")
    assert told["IS_PAYLOAD_TRUNCATED"] == "false"
    scheduler.quiet()
    assert len(scheduler.invoked("busy")) == 1


def test_times_that_pass_while_nobody_runs_are_made_up_for_once(scheduler: Scheduler) -> None:
    scheduler.schedule("s", "rate(1 minute)", queue_arn("q"))
    scheduler.until(lambda: len(scheduler.sent("q")) == 1, "the first invocation")
    due = scheduler.until(lambda: scheduler.found("s").status.due, "the plan")
    scheduler.stop()
    scheduler.running.offset = due - scheduler.running.world.now() + 125
    scheduler.start()
    scheduler.until(lambda: len(scheduler.sent("q")) == 4, "three more")
    scheduler.stop()
    scheduler.start()
    scheduler.quiet()
    assert len(scheduler.sent("q")) == 4


def test_groups(scheduler: Scheduler) -> None:
    client = scheduler.client
    arn = client.create_schedule_group(Name="g", Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    assert arn == f"{HERE}:schedule-group/g"
    assert refusal(client.create_schedule_group, Name="g")[0] == "ConflictException"
    scheduler.schedule("s", "rate(1 day)", queue_arn("q"), GroupName="g")
    assert client.get_schedule(Name="s", GroupName="g")["Arn"] == f"{HERE}:schedule/g/s"
    assert refusal(client.get_schedule, Name="s")[0] == "ResourceNotFoundException"
    assert client.get_schedule_group(Name="default")["State"] == "ACTIVE"
    assert [g["Name"] for g in client.list_schedule_groups()["ScheduleGroups"]] == ["default", "g"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert [s["Name"] for s in client.list_schedules(GroupName="g")["Schedules"]] == ["s"]
    client.delete_schedule_group(Name="g")
    assert client.list_schedules()["Schedules"] == []
    assert refusal(client.get_schedule_group, Name="g")[0] == "ResourceNotFoundException"
    assert refusal(client.delete_schedule_group, Name="default")[0] == "ValidationException"


def test_whoever_hands_on_a_role_must_be_allowed_to(scheduler: Scheduler) -> None:
    iam = scheduler.running.client("iam")
    iam.create_user(UserName="u")
    allow = {"Effect": "Allow", "Action": "scheduler:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=text)
    user = scheduler.running.client("scheduler", iam.create_access_key(UserName="u")["AccessKey"])
    target = {"Arn": queue_arn("q"), "RoleArn": scheduler.role}
    whole = {"Name": "s", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": OFF, "Target": target}
    code, words = refusal(user.create_schedule, **whole)
    assert code == "AccessDeniedException" and "iam:PassRole" in words
