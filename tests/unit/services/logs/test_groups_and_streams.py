"""Log groups and log streams, their tags, and their lists."""

from __future__ import annotations

import re

import pytest
from tests.running_gateway import ACCOUNT, OTHER_ROOT, code
from tests.unit.services.logs.logs_harness import GROUP, Logs, refusal, texts

from havre.services.logs.operations.absent import NONE

ARN = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{GROUP}"


def test_a_group_is_shown_as_made(logs: Logs) -> None:
    logs.client.create_log_group(logGroupName=GROUP, tags={"team": "a"}, logGroupClass="INFREQUENT_ACCESS")
    (group,) = logs.client.describe_log_groups(logGroupNamePrefix="/a")["logGroups"]
    assert abs(group.pop("creationTime") - logs.now()) < 60_000
    assert group == {
        "logGroupName": GROUP,
        "metricFilterCount": 0,
        "arn": f"{ARN}:*",
        "logGroupArn": ARN,
        "storedBytes": 0,
        "logGroupClass": "INFREQUENT_ACCESS",
        "deletionProtectionEnabled": False,
    }
    taken = refusal(logs.client.create_log_group, logGroupName=GROUP)
    assert taken == ("ResourceAlreadyExistsException", "The specified log group already exists")


def test_accounts_and_regions_are_apart(logs: Logs) -> None:
    logs.make()
    for other in (logs.running.client("logs", OTHER_ROOT), logs.running.client("logs", region="eu-west-1")):
        assert other.describe_log_groups()["logGroups"] == []
        other.create_log_group(logGroupName=GROUP)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b", "InvalidParameterException"),
        ("x" * 513, "InvalidParameterException"),
        ("aws/x", "InvalidParameterException"),
    ],
)
def test_wrong_names_are_refused(logs: Logs, name: str, expected: str) -> None:
    assert code(logs.client.create_log_group, logGroupName=name) == expected
    assert logs.client.describe_log_groups()["logGroups"] == []


def test_what_is_not_built_is_refused_by_name(logs: Logs) -> None:
    for more in ({"kmsKeyId": "k"}, {"logGroupClass": "DELIVERY"}):
        assert code(logs.client.create_log_group, logGroupName=GROUP, **more) == "NotImplementedException"
    logs.make()
    found = refusal(logs.client.put_index_policy, logGroupIdentifier=GROUP, policyDocument="{}")
    assert found == ("NotImplementedException", "Havre does not implement logs PutIndexPolicy")
    assert logs.client.describe_metric_filters(logGroupName=GROUP)["metricFilters"] == []


def test_what_nobody_can_make_is_not_there(logs: Logs) -> None:
    logs.make()
    needed = {"DescribeAccountPolicies": {"policyType": "DATA_PROTECTION_POLICY"}}
    for name, member in NONE.items():
        method = getattr(logs.client, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        assert method(**needed.get(name, {}))[member] == []
    found = logs.client.get_data_protection_policy(logGroupIdentifier=GROUP)
    assert found["logGroupIdentifier"] == GROUP and "policyDocument" not in found


def test_lists_of_groups_by_prefix_pattern_and_page(logs: Logs) -> None:
    names = [f"/g/{n:02d}" for n in range(7)] + ["/other"]
    for name in names:
        logs.client.create_log_group(logGroupName=name)
    pages = logs.client.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 3})
    assert [g["logGroupName"] for page in pages for g in page["logGroups"]] == names
    by_pattern = logs.client.describe_log_groups(logGroupNamePattern="the")["logGroups"]
    assert [g["logGroupName"] for g in by_pattern] == ["/other"]
    both = code(logs.client.describe_log_groups, logGroupNamePattern="t", logGroupNamePrefix="t")
    assert both == "InvalidParameterException"
    token = logs.client.describe_log_groups(limit=2)["nextToken"]
    assert (
        code(logs.client.describe_log_groups, nextToken=token, logGroupNamePrefix="/g") == "InvalidParameterException"
    )
    assert code(logs.client.describe_log_groups, nextToken="x") == "InvalidParameterException"
    listed = logs.client.list_log_groups(logGroupNamePattern="^/g/0|other")["logGroups"]
    assert len(listed) == 8
    assert [g["logGroupName"] for g in logs.client.list_log_groups(logGroupNamePattern="g/03")["logGroups"]] == [
        "/g/03"
    ]
    named = logs.client.describe_log_groups(logGroupIdentifiers=["/other", "/none"])["logGroups"]
    assert [g["logGroupName"] for g in named] == ["/other"]


def test_groups_are_found_by_tags(logs: Logs) -> None:
    for name, value in (("/1", "prod-a"), ("/2", "prod-b"), ("/3", "test")):
        logs.client.create_log_group(logGroupName=name, tags={"stage": value})
    logs.client.create_log_group(logGroupName="/4")

    def found(**wanted: object) -> list[str]:
        groups = logs.client.list_log_groups(logGroupTags=[{"key": "stage", **wanted}])["logGroups"]
        return [g["logGroupName"] for g in groups]

    assert found() == ["/1", "/2", "/3"]
    assert found(values=["PROD*"]) == ["/1", "/2"]
    assert found(values=["PROD-A"]) == []
    assert found(values=["!test"]) == ["/1", "/2"]
    assert found(values=["test", "prod-a"]) == ["/1", "/3"]


def test_a_deleted_group_takes_its_events_along(logs: Logs) -> None:
    logs.make(GROUP, "one", "two")
    logs.put((logs.now(), "first life"))
    logs.client.delete_log_group(logGroupName=GROUP)
    missing = refusal(logs.get)
    assert missing == ("ResourceNotFoundException", "The specified log group does not exist.")
    assert code(logs.client.delete_log_group, logGroupName=GROUP) == "ResourceNotFoundException"
    assert logs.running.wait(logs.running.journal.extents("logs/")) == {}
    logs.make()
    assert texts(logs.get()) == []


def test_a_protected_group_stays(logs: Logs) -> None:
    logs.client.create_log_group(logGroupName=GROUP, deletionProtectionEnabled=True)
    assert code(logs.client.delete_log_group, logGroupName=GROUP) == "ValidationException"
    logs.client.put_log_group_deletion_protection(logGroupIdentifier=ARN, deletionProtectionEnabled=False)
    logs.client.delete_log_group(logGroupName=GROUP)


def test_streams_are_shown_with_the_times_of_their_events(logs: Logs) -> None:
    logs.make(GROUP, "a", "b", "c")
    now = logs.now()
    logs.put((now - 500, "x"), (now - 100, "y"), stream="b")
    logs.put((now - 50, "z"), stream="a")
    by_name = logs.client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [s["logStreamName"] for s in by_name] == ["a", "b", "c"]
    assert (by_name[1]["firstEventTimestamp"], by_name[1]["lastEventTimestamp"]) == (now - 500, now - 100)
    assert now <= by_name[1]["lastIngestionTime"] <= logs.now()
    assert by_name[1]["arn"] == f"{ARN}:log-stream:b" and by_name[1]["storedBytes"] == 0
    assert "firstEventTimestamp" not in by_name[2]
    assert logs.client.describe_log_groups()["logGroups"][0]["storedBytes"] > 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "abcd"),
        ({"descending": True}, "dcba"),
        ({"orderBy": "LastEventTime"}, "cdba"),
        ({"orderBy": "LastEventTime", "descending": True}, "abdc"),
        ({"logStreamNamePrefix": "c"}, "c"),
        ({"logGroupIdentifier": ARN}, "abcd"),
    ],
)
def test_streams_in_every_order_page_by_page(logs: Logs, asked: dict[str, object], expected: str) -> None:
    logs.make(GROUP, *"abcd")
    now = logs.now()
    logs.put((now - 10, "x"), stream="b")
    logs.put((now - 5, "x"), stream="a")
    asked = asked if "logGroupIdentifier" in asked else {"logGroupName": GROUP, **asked}
    pages = logs.client.get_paginator("describe_log_streams").paginate(**asked, PaginationConfig={"PageSize": 1})
    assert "".join(s["logStreamName"] for page in pages for s in page["logStreams"]) == expected


def test_streams_are_refused_where_aws_refuses(logs: Logs) -> None:
    client = logs.client
    assert code(client.create_log_stream, logGroupName=GROUP, logStreamName="s") == "ResourceNotFoundException"
    logs.make(GROUP, "s")
    again = refusal(client.create_log_stream, logGroupName=GROUP, logStreamName="s")
    assert again == ("ResourceAlreadyExistsException", "The specified log stream already exists")
    assert code(client.create_log_stream, logGroupName=GROUP, logStreamName="a:b") == "InvalidParameterException"
    missing = refusal(client.delete_log_stream, logGroupName=GROUP, logStreamName="t")
    assert missing == ("ResourceNotFoundException", "The specified log stream does not exist.")
    asked = {"logGroupName": GROUP, "orderBy": "LastEventTime", "logStreamNamePrefix": "s"}
    assert code(client.describe_log_streams, **asked) == "InvalidParameterException"
    assert code(client.describe_log_streams) == "InvalidParameterException"
    other = ARN.replace(ACCOUNT, "999999999999")
    assert code(client.describe_log_streams, logGroupIdentifier=other) == "InvalidParameterException"


def test_a_deleted_stream_takes_its_events_along(logs: Logs) -> None:
    logs.make(GROUP, "one", "two")
    logs.put((logs.now(), "gone"))
    logs.put((logs.now(), "kept"), stream="two")
    logs.client.delete_log_stream(logGroupName=GROUP, logStreamName="one")
    assert logs.filter() == ["kept"]
    logs.client.create_log_stream(logGroupName=GROUP, logStreamName="one")
    assert texts(logs.get()) == []


def test_tags_by_both_kinds_of_operations(logs: Logs) -> None:
    client = logs.client
    client.create_log_group(logGroupName=GROUP, tags={"a": "1"})
    client.tag_resource(resourceArn=ARN, tags={"b": "2"})
    client.tag_log_group(logGroupName=GROUP, tags={"c": "3"})
    assert client.list_tags_for_resource(resourceArn=ARN)["tags"] == {"a": "1", "b": "2", "c": "3"}
    client.untag_resource(resourceArn=ARN, tagKeys=["a"])
    client.untag_log_group(logGroupName=GROUP, tags=["c", "none"])
    assert client.list_tags_log_group(logGroupName=GROUP)["tags"] == {"b": "2"}
    many = {f"k{n}": "v" for n in range(50)}
    assert code(client.tag_resource, resourceArn=ARN, tags=many) == "TooManyTagsException"
    assert code(client.tag_resource, resourceArn=ARN, tags={"aws:x": "v"}) == "InvalidParameterException"
    assert code(client.tag_resource, resourceArn=f"{ARN}2", tags={"a": "v"}) == "ResourceNotFoundException"
    assert code(client.tag_resource, resourceArn="nothing", tags={"a": "v"}) == "InvalidParameterException"
    assert client.list_tags_for_resource(resourceArn=ARN)["tags"] == {"b": "2"}
