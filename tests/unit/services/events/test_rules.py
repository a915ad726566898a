"""Buses, rules, targets, tags, patterns: what they answer and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT
from tests.unit.services.events.events_harness import Events, function_arn, queue_arn, refusal

HERE = f"arn:aws:events:us-east-1:{ACCOUNT}"
PATTERN = json.dumps({"source": ["app"]})


def test_buses(events: Events) -> None:
    client = events.client
    assert client.create_event_bus(Name="b", Description="d")["EventBusArn"] == f"{HERE}:event-bus/b"
    assert refusal(client.create_event_bus, Name="b")[0] == "ResourceAlreadyExistsException"
    assert refusal(client.create_event_bus, Name="default")[0] == "ResourceAlreadyExistsException"
    assert refusal(client.create_event_bus, Name="x/y")[0] == "ValidationException"
    assert refusal(client.create_event_bus, Name="k", KmsKeyIdentifier="x")[0] == "NotImplementedException"
    assert [b["Name"] for b in client.list_event_buses()["EventBuses"]] == ["b", "default"]
    client.update_event_bus(Name="b", Description="e")
    assert client.describe_event_bus(Name="b")["Description"] == "e"
    assert client.describe_event_bus()["Arn"] == f"{HERE}:event-bus/default"
    assert refusal(client.describe_event_bus, Name="c") == ("ResourceNotFoundException", "Event bus c does not exist.")
    events.rule("r", {"source": ["x"]}, EventBusName="b")
    assert refusal(client.delete_event_bus, Name="b")[0] == "ValidationException"
    client.delete_rule(Name="r", EventBusName="b")
    client.delete_event_bus(Name="b")
    client.delete_event_bus(Name="b")
    assert refusal(client.delete_event_bus, Name="default")[0] == "ValidationException"


def test_rules(events: Events) -> None:
    client = events.client
    arn = events.rule("r", {"source": ["app"]}, [{"Id": "1", "Arn": queue_arn("q")}], Description="d")
    assert arn == f"{HERE}:rule/r"
    found = client.describe_rule(Name="r")
    assert (found["State"], found["Description"], found["CreatedBy"]) == ("ENABLED", "d", ACCOUNT)
    client.disable_rule(Name="r")
    assert client.describe_rule(Name="r")["State"] == "DISABLED"
    client.enable_rule(Name="r")
    client.put_rule(Name="r", EventPattern=PATTERN)
    assert "Description" not in client.describe_rule(Name="r")
    assert len(client.list_targets_by_rule(Rule="r")["Targets"]) == 1
    assert client.list_rule_names_by_target(TargetArn=queue_arn("q"))["RuleNames"] == ["r"]
    assert refusal(client.delete_rule, Name="r") == (
        "ValidationException",
        "Rule can't be deleted since it has targets.",
    )
    gone = client.remove_targets(Rule="r", Ids=["1", "2"])
    assert gone["FailedEntryCount"] == 1 and gone["FailedEntries"][0]["TargetId"] == "2"
    client.delete_rule(Name="r")
    client.delete_rule(Name="r")
    words = "Rule r does not exist on EventBus default."
    assert refusal(client.describe_rule, Name="r") == ("ResourceNotFoundException", words)
    client.create_event_bus(Name="b")
    assert events.rule("r", {"source": ["x"]}, EventBusName="b") == f"{HERE}:rule/b/r"
    assert (
        client.list_rules()["Rules"] == [] and len(client.list_rules(EventBusName=f"{HERE}:event-bus/b")["Rules"]) == 1
    )


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({}, "ValidationException", "EventPattern or ScheduleExpression must be specified"),
        ({"EventPattern": "{}"}, "InvalidEventPatternException", "Event pattern is not valid. Reason: Empty objects"),
        ({"EventPattern": '{"source": "x"}'}, "InvalidEventPatternException", '"source" must be an object or an array'),
        ({"ScheduleExpression": "rate(5 minute)"}, "ValidationException", "Parameter ScheduleExpression is not valid."),
        ({"ScheduleExpression": "at(2030-01-01T00:00:00)"}, "ValidationException", "ScheduleExpression is not valid"),
        ({"EventPattern": PATTERN, "EventBusName": "none"}, "ResourceNotFoundException", "Event bus none does not exist."),
        ({"EventPattern": PATTERN, "State": "ASLEEP"}, "ValidationException", "enum"),
        ({"ScheduleExpression": "rate(1 day)", "EventBusName": "b"}, "ValidationException", "only on the default event bus"),
    ],
)  # fmt: skip
def test_rules_that_are_refused(events: Events, given: dict[str, Any], code: str, words: str) -> None:
    events.client.create_event_bus(Name="b")
    found = refusal(events.client.put_rule, Name="r", **given)
    assert found[0] == code and words in found[1]
    assert events.client.list_rules()["Rules"] == []


ROLE = f"arn:aws:iam::{ACCOUNT}:role/x"


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"Arn": "q"}, "ValidationException", "Provided Arn is not in correct format."),
        ({"Arn": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:x"}, "NotImplementedException", "stateMachine"),
        ({"Arn": queue_arn("q"), "HttpParameters": {}}, "NotImplementedException", "HttpParameters"),
        ({"Arn": queue_arn("q"), "Input": "{"}, "ValidationException", "JSON syntax error in input for target 1"),
        ({"Arn": queue_arn("q"), "Input": "{}", "InputPath": "$"}, "ValidationException", "Only one of Input, InputPath"),
        ({"Arn": queue_arn("q"), "InputPath": "x"}, "ValidationException", "Invalid path for target 1"),
        ({"Arn": queue_arn("q"), "InputTransformer": {"InputTemplate": "<x>"}}, "ValidationException", "placeholder x"),
        ({"Arn": queue_arn("q.fifo")}, "ValidationException", "SqsParameters must be specified for target: 1."),
        ({"Arn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"}, "ValidationException", "RoleArn is required for target 1."),
        ({"Arn": queue_arn("q"), "DeadLetterConfig": {"Arn": function_arn("f")}}, "ValidationException", "DeadLetterConfig"),
        ({"Arn": queue_arn("q"), "RetryPolicy": {"MaximumRetryAttempts": 186}}, "ValidationException", "185"),
    ],
)  # fmt: skip
def test_targets_that_are_refused(events: Events, given: dict[str, Any], code: str, words: str) -> None:
    events.rule("r", {"source": ["app"]})
    good = {"Id": "0", "Arn": queue_arn("good")}
    found = refusal(events.client.put_targets, Rule="r", Targets=[good, {"Id": "1", **given}])
    assert found[0] == code and words in found[1]
    assert events.client.list_targets_by_rule(Rule="r")["Targets"] == []


def test_whoever_hands_on_a_role_must_be_allowed_to(events: Events) -> None:
    events.rule("r", {"source": ["app"]})
    iam = events.running.client("iam")
    iam.create_user(UserName="u")
    allow = {"Effect": "Allow", "Action": "events:*", "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=text)
    user = events.running.client("events", iam.create_access_key(UserName="u")["AccessKey"])
    target = {"Id": "1", "Arn": f"{HERE}:event-bus/default", "RoleArn": events.role("r")}
    code, words = refusal(user.put_targets, Rule="r", Targets=[target])
    assert code == "AccessDeniedException" and "iam:PassRole" in words
    assert user.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": queue_arn("q")}])["FailedEntryCount"] == 0


def test_policies_can_ask_for_sources_and_targets(events: Events) -> None:
    events.rule("r", {"source": ["app"]})
    iam = events.running.client("iam")
    iam.create_user(UserName="u")
    sources = {"Action": "events:PutEvents", "Condition": {"StringEquals": {"events:source": "mine"}}}
    targets = {"Action": "events:PutTargets", "Condition": {"ArnLike": {"events:TargetArn": queue_arn("q*")}}}
    statements = [{"Effect": "Allow", "Resource": "*", **each} for each in (sources, targets)]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=text)
    user = events.running.client("events", iam.create_access_key(UserName="u")["AccessKey"])
    for source, expected in (("mine", ""), ("other", "AccessDeniedException")):
        entry = {"Source": source, "DetailType": "t", "Detail": "{}"}
        assert refusal(user.put_events, Entries=[entry])[0] == expected
        first = {**entry, "Source": "mine"}
        assert refusal(user.put_events, Entries=[first, entry])[0] == expected
    for name, expected in (("q1", ""), ("x", "AccessDeniedException")):
        target = {"Id": "1", "Arn": queue_arn(name)}
        assert refusal(user.put_targets, Rule="r", Targets=[target])[0] == expected
        first = {"Id": "0", "Arn": queue_arn("q0")}
        assert refusal(user.put_targets, Rule="r", Targets=[first, target])[0] == expected


def test_patterns_can_be_tried(events: Events) -> None:
    event = {
        "id": "1", "source": "app", "detail-type": "t", "account": ACCOUNT, "time": "2024-01-01T00:00:00Z",
        "region": "us-east-1", "resources": [], "detail": {"a": 1},
    }  # fmt: skip
    test = events.client.test_event_pattern
    assert test(EventPattern=PATTERN, Event=json.dumps(event))["Result"] is True
    assert test(EventPattern='{"detail": {"a": [2]}}', Event=json.dumps(event))["Result"] is False
    assert refusal(test, EventPattern="x", Event=json.dumps(event))[0] == "InvalidEventPatternException"
    assert refusal(test, EventPattern=PATTERN, Event="x")[0] == "ValidationException"
    assert "lacks id" in refusal(test, EventPattern=PATTERN, Event='{"source": "app"}')[1]


def test_tags(events: Events) -> None:
    arn = events.rule("r", {"source": ["app"]}, Tags=[{"Key": "a", "Value": "1"}])
    for each in (arn, f"{HERE}:event-bus/default"):
        events.client.tag_resource(ResourceARN=each, Tags=[{"Key": "b", "Value": "2"}])
        events.client.untag_resource(ResourceARN=each, TagKeys=["a"])
        assert events.client.list_tags_for_resource(ResourceARN=each)["Tags"] == [{"Key": "b", "Value": "2"}]
    nowhere = f"{HERE}:rule/none"
    assert refusal(events.client.list_tags_for_resource, ResourceARN=nowhere)[0] == "ResourceNotFoundException"


def test_pages(events: Events) -> None:
    for n in range(5):
        events.rule(f"r{n}", {"source": ["app"]})
    found, token = [], {}
    while True:
        page = events.client.list_rules(Limit=2, NamePrefix="r", **token)
        found += [r["Name"] for r in page["Rules"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == [f"r{n}" for n in range(5)]
    assert refusal(events.client.list_rules, NextToken="x")[0] == "ValidationException"


def test_what_there_is_none_of(events: Events) -> None:
    assert events.client.list_connections()["Connections"] == []
    code, words = refusal(events.client.create_connection, Name="c", AuthorizationType="BASIC", AuthParameters={})
    assert code == "NotImplementedException" and "CreateConnection" in words
