"""Who may do what, on which ARNs; resource policies."""

from __future__ import annotations

import json

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


def test_a_resource_policy_counts(logs: Logs) -> None:
    logs.make()
    user = logs.as_user("ann", allow("logs:DescribeLogGroups", "*"))
    event = {"logGroupName": GROUP, "logStreamName": STREAM, "logEvents": [{"timestamp": logs.now(), "message": "x"}]}
    assert code(user.put_log_events, **event) == "AccessDeniedException"
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}
    document = allow("logs:PutLogEvents", f"{BASE}:*", Principal=principal, Sid="s")
    made = logs.client.put_resource_policy(policyName="writers", policyDocument=document)["resourcePolicy"]
    assert (made["policyName"], made["policyScope"], made["policyDocument"]) == ("writers", "ACCOUNT", document)
    logs.client.put_resource_policy(policyName="again", policyDocument=document)
    user.put_log_events(**event)
    logs.client.delete_resource_policy(policyName="writers")
    logs.client.delete_resource_policy(policyName="again")
    assert code(user.put_log_events, **event) == "AccessDeniedException"
    assert code(logs.client.delete_resource_policy, policyName="again") == "ResourceNotFoundException"


def test_the_policy_of_a_group_goes_with_it(logs: Logs) -> None:
    logs.make()
    document = allow("logs:PutLogEvents", f"{BASE}:*", Principal={"AWS": OTHER})
    put, listed = logs.client.put_resource_policy, logs.client.describe_resource_policies
    made = put(resourceArn=BASE, policyDocument=document)
    assert made["resourcePolicy"]["policyScope"] == "RESOURCE" and made["revisionId"]
    assert code(put, resourceArn=BASE, policyDocument=document) == "OperationAbortedException"
    put(resourceArn=BASE, policyDocument=document, expectedRevisionId=made["revisionId"])
    assert listed()["resourcePolicies"] == []
    assert len(listed(resourceArn=BASE)["resourcePolicies"]) == 1
    logs.client.delete_log_group(logGroupName=GROUP)
    assert listed(policyScope="RESOURCE")["resourcePolicies"] == []


def test_wrong_policies_are_refused(logs: Logs) -> None:
    put = logs.client.put_resource_policy
    for document in ("no json", allow("logs:*", "*"), allow("x", "*", Principal="*")):
        assert code(put, policyName="p", policyDocument=document) == "InvalidParameterException"
    assert code(put, policyDocument=allow("logs:*", "*", Principal="*")) == "InvalidParameterException"
    good = allow("logs:*", "*", Principal="*")
    for n in range(10):
        put(policyName=f"p{n}", policyDocument=good)
    assert code(put, policyName="one more", policyDocument=good) == "LimitExceededException"
    assert len(logs.client.describe_resource_policies()["resourcePolicies"]) == 10
    assert logs.running.client("logs", OTHER_ROOT).describe_resource_policies()["resourcePolicies"] == []
