"""Who may do what, on which ARNs; resource policies."""

from __future__ import annotations

import json

import pytest
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT, code
from tests.unit.services.logs.logs_harness import GROUP, STREAM, Logs, refusal

BASE = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{GROUP}"


def allow(actions: object, resource: object, **more: object) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_policy_on_a_group_holds_for_its_streams(logs: Logs) -> None:
    logs.make()
    logs.client.create_log_group(logGroupName="/b")
    user = logs.as_user("ann", allow("logs:*", f"{BASE}:*"))
    user.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=[{"timestamp": logs.now(), "message": "x"}])
    assert len(user.filter_log_events(logGroupName=GROUP)["events"]) == 1
    assert code(user.filter_log_events, logGroupName="/b") == "AccessDeniedException"
    found, words = refusal(user.describe_log_groups)
    assert found == "AccessDeniedException"
    assert f"logs:DescribeLogGroups on resource: arn:aws:logs:us-east-1:{ACCOUNT}:log-group::log-stream:" in words
    assert code(user.tag_resource, resourceArn=BASE, tags={"a": "b"}) == "AccessDeniedException"


def test_a_policy_on_one_stream(logs: Logs) -> None:
    logs.make(GROUP, "one", "two")
    user = logs.as_user("ann", allow("logs:GetLogEvents", f"{BASE}:log-stream:one"))
    user.get_log_events(logGroupName=GROUP, logStreamName="one")
    assert code(user.get_log_events, logGroupName=GROUP, logStreamName="two") == "AccessDeniedException"


def test_tags_decide(logs: Logs) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    user = logs.as_user("ann", allow("logs:*", "*", Condition=tagged))
    logs.client.create_log_group(logGroupName="/a", tags={"team": "a"})
    logs.client.create_log_group(logGroupName="/b", tags={"team": "b"})
    user.create_log_stream(logGroupName="/a", logStreamName="s")
    assert code(user.create_log_stream, logGroupName="/b", logStreamName="s") == "AccessDeniedException"


def test_making_a_group_with_tags_wants_more(logs: Logs) -> None:
    user = logs.as_user("ann", allow("logs:CreateLogGroup", "*"))
    user.create_log_group(logGroupName="/a")
    assert code(user.create_log_group, logGroupName="/b", tags={"a": "b"}) == "AccessDeniedException"
    other = logs.as_user("bob", allow(["logs:CreateLogGroup", "logs:TagResource"], "*"))
    other.create_log_group(logGroupName="/b", tags={"a": "b"})


def test_a_resource_policy_says_nothing_of_users(logs: Logs) -> None:
    """It is for AWS services: whom IAM's policies let write may, whatever it says, and nobody else."""
    logs.make()
    event = {"logGroupName": GROUP, "logStreamName": STREAM, "logEvents": [{"timestamp": logs.now(), "message": "x"}]}
    stranger = logs.as_user("ann", allow("logs:DescribeLogGroups", "*"))
    writer = logs.as_user("bob", allow("logs:PutLogEvents", "*"))
    opened = allow("logs:PutLogEvents", f"{BASE}:*", Principal="*", Sid="s")
    made = logs.client.put_resource_policy(policyName="all", policyDocument=opened)["resourcePolicy"]
    assert (made["policyName"], made["policyScope"], made["policyDocument"]) == ("all", "ACCOUNT", opened)
    assert code(stranger.put_log_events, **event) == "AccessDeniedException"
    logs.client.put_resource_policy(policyName="all", policyDocument=opened.replace("Allow", "Deny"))
    writer.put_log_events(**event)
    logs.client.delete_resource_policy(policyName="all")
    assert code(logs.client.delete_resource_policy, policyName="all") == "ResourceNotFoundException"


def test_the_policy_of_a_group_goes_with_it(logs: Logs) -> None:
    logs.make()
    document = allow("logs:PutLogEvents", f"{BASE}:*", Principal={"AWS": OTHER})
    put, listed = logs.client.put_resource_policy, logs.client.describe_resource_policies
    made = put(resourceArn=BASE, policyDocument=document)
    assert (made["resourcePolicy"]["policyScope"], made["revisionId"]) == ("RESOURCE", "1")
    assert put(resourceArn=BASE, policyDocument=document, expectedRevisionId="1")["revisionId"] == "2"
    assert listed()["resourcePolicies"] == []
    assert [found["revisionId"] for found in listed(resourceArn=BASE)["resourcePolicies"]] == ["2"]
    logs.client.delete_log_group(logGroupName=GROUP)
    assert listed(policyScope="RESOURCE")["resourcePolicies"] == []


CONFLICT = "A conflicting operation is currently in progress against this resource. Please try again."
STALE = "Invalid ExpectedRevisionId"


@pytest.mark.parametrize(
    ("there", "operation", "revision", "told"),
    [
        (False, "put_resource_policy", "1", ("OperationAbortedException", CONFLICT)),
        (False, "delete_resource_policy", None, ("ResourceNotFoundException", "No policy found for ResourceArn")),
        (True, "put_resource_policy", None, ("OperationAbortedException", CONFLICT)),
        (True, "put_resource_policy", "7", ("InvalidParameterException", STALE)),
        (True, "delete_resource_policy", None, ("InvalidParameterException", STALE)),
        (True, "delete_resource_policy", "7", ("InvalidParameterException", STALE)),
    ],
)
def test_who_changes_the_policy_of_a_group_has_seen_it(
    logs: Logs, there: bool, operation: str, revision: str | None, told: tuple[str, str]
) -> None:
    logs.make()
    document = {"policyDocument": allow("logs:PutLogEvents", f"{BASE}:*", Principal={"AWS": OTHER})}
    if there:
        logs.client.put_resource_policy(resourceArn=BASE, **document)
    asked = document if operation == "put_resource_policy" else {}
    seen = {"expectedRevisionId": revision} if revision else {}
    assert refusal(getattr(logs.client, operation), resourceArn=BASE, **asked, **seen) == told
    assert len(logs.client.describe_resource_policies(resourceArn=BASE)["resourcePolicies"]) == int(there)


def test_a_resource_policy_has_a_name_or_a_resource_and_names_accounts_by_their_ids(logs: Logs) -> None:
    good, put = allow("logs:*", "*", Principal="*"), logs.client.put_resource_policy
    missing = "{} request must contain policy name or resource arn."
    assert refusal(put, policyDocument=good)[1] == missing.format("PutResourcePolicy")
    assert refusal(logs.client.delete_resource_policy)[1] == missing.format("DeleteResourcePolicy")
    root = f"arn:aws:iam::{OTHER}:root"
    named = allow("logs:*", "*", Principal={"AWS": [OTHER, root]})
    words = f"Principal section of policy contains ARN instead of account ID: {root}"
    assert refusal(put, policyName="p", policyDocument=named) == ("InvalidParameterException", words)


def test_wrong_policies_are_refused(logs: Logs) -> None:
    put = logs.client.put_resource_policy
    for document in ("no json", allow("logs:*", "*"), allow("x", "*", Principal="*")):
        assert code(put, policyName="p", policyDocument=document) == "InvalidParameterException"
    good = allow("logs:*", "*", Principal="*")
    for n in range(10):
        put(policyName=f"p{n}", policyDocument=good)
    assert code(put, policyName="one more", policyDocument=good) == "LimitExceededException"
    assert len(logs.client.describe_resource_policies()["resourcePolicies"]) == 10
    assert logs.running.client("logs", OTHER_ROOT).describe_resource_policies()["resourcePolicies"] == []
