"""Resource policies: written, shown, and decided by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import OTHER_ROOT, Lambda, arn, refusal

INVALID = "InvalidParameterValueException"
ONE = {"FunctionName": "one"}


def allow(lambdas: Lambda, sid: str = "s", **more: Any) -> dict[str, Any]:
    given = {"FunctionName": "one", "StatementId": sid, "Action": "lambda:InvokeFunction", **more}
    return dict(json.loads(lambdas.client.add_permission(**given)["Statement"]))


@pytest.mark.parametrize(
    ("given", "principal", "condition"),
    [
        ({"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "111122223333"},
         {"Service": "s3.amazonaws.com"},
         {"StringEquals": {"AWS:SourceAccount": "111122223333"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}}),
        ({"Principal": "444455556666"}, {"AWS": "arn:aws:iam::444455556666:root"}, None),
        ({"Principal": "arn:aws:iam::444455556666:role/x"}, {"AWS": "arn:aws:iam::444455556666:role/x"}, None),
        ({"Principal": "*", "PrincipalOrgID": "o-0123456789"}, "*",
         {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}),
        ({"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}, "*",
         {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
        ({"Principal": "*", "InvokedViaFunctionUrl": True}, "*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
        ({"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "amzn1"},
         {"Service": "alexa-appkit.amazon.com"}, {"StringEquals": {"lambda:EventSourceToken": "amzn1"}}),
    ],
)  # fmt: skip
def test_statements_say_what_was_given(lambdas: Lambda, given: Any, principal: Any, condition: Any) -> None:
    lambdas.create()
    made = allow(lambdas, **given)
    assert made["Principal"] == principal and made.get("Condition") == condition
    assert (made["Sid"], made["Effect"], made["Resource"]) == ("s", "Allow", arn("function:one"))
    shown = json.loads(lambdas.client.get_policy(FunctionName="one")["Policy"])
    assert shown == {"Version": "2012-10-17", "Id": "default", "Statement": [made]}


def test_what_is_no_statement_is_refused(lambdas: Lambda) -> None:
    lambdas.create()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"Principal": "nobody"}, INVALID),
        ({"Principal": "arn:aws:iam::111122223333:role/nobody"}, INVALID),
        ({"Principal": "arn:aws:iam::111122223333:user/team/nobody"}, INVALID),
        ({"Principal": "*", "FunctionUrlAuthType": "NONE"}, INVALID),
        ({"Principal": "s3.amazonaws.com", "Qualifier": "$LATEST"}, INVALID),
        ({"Principal": "*", "Qualifier": "none"}, "ResourceNotFoundException"),
        ({"Principal": "*", "RevisionId": "0"}, "PreconditionFailedException"),
    ]
    for given, code in wrong:
        assert refusal(lambda given=given: allow(lambdas, **given))[0] == code
    assert refusal(lambdas.client.get_policy, FunctionName="one") == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )
    assert allow(lambdas, Principal=lambdas.role)["Principal"] == {"AWS": lambdas.role}


def test_a_stale_revision_is_looked_at_last(lambdas: Lambda) -> None:
    lambdas.create()
    allow(lambdas, Principal="s3.amazonaws.com")
    stale = {"FunctionName": "one", "RevisionId": "0"}
    remove = lambdas.client.remove_permission
    assert refusal(remove, **stale, StatementId="none")[0] == "ResourceNotFoundException"
    assert refusal(remove, **stale, StatementId="s")[0] == "PreconditionFailedException"
    again = refusal(lambda: allow(lambdas, Principal="s3.amazonaws.com", RevisionId="0"))
    assert again[0] == "ResourceConflictException"


def test_each_qualifier_has_a_policy_of_its_own(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.reconcile()
    lambdas.client.create_alias(FunctionName="one", Name="prod", FunctionVersion="1")
    for qualifier in ("prod", "1"):
        before = lambdas.client.get_alias(FunctionName="one", Name="prod")["RevisionId"]
        assert allow(lambdas, Principal="*", Qualifier=qualifier)["Resource"] == arn(f"function:one:{qualifier}")
        after = lambdas.client.get_alias(FunctionName="one", Name="prod")["RevisionId"]
        assert (before != after) == (qualifier == "prod")
    assert refusal(lambdas.client.get_policy, FunctionName="one")[0] == "ResourceNotFoundException"
    policy = lambdas.client.get_policy(FunctionName="one", Qualifier="prod")
    assert policy["RevisionId"] == lambdas.client.get_alias(FunctionName="one", Name="prod")["RevisionId"]
    lambdas.client.delete_alias(FunctionName="one", Name="prod")
    lambdas.client.create_alias(FunctionName="one", Name="prod", FunctionVersion="1")
    assert refusal(lambdas.client.get_policy, FunctionName="one", Qualifier="prod")[0] == "ResourceNotFoundException"


def test_statements_are_removed_by_their_labels(lambdas: Lambda) -> None:
    lambdas.create()
    allow(lambdas, Principal="*")
    assert refusal(lambda: allow(lambdas, Principal="*"))[0] == "ResourceConflictException"
    remove = lambdas.client.remove_permission
    assert refusal(remove, StatementId="t", **ONE) == (
        "ResourceNotFoundException",
        "Statement t is not found in resource policy.",
    )
    remove(StatementId="s", **ONE)
    assert refusal(remove, StatementId="s", **ONE)[1] == "No policy is associated with the given resource."
    assert refusal(remove, StatementId="s", FunctionName="none")[1] == f"No policy found for: {arn('function:none')}"
    gone = refusal(remove, StatementId="s", Qualifier="prod", **ONE)
    assert gone[1] == f"Cannot find alias arn: {arn('function:one:prod')}"


def test_a_policy_grows_no_longer_than_20_kb(lambdas: Lambda) -> None:
    lambdas.create()
    source = "arn:aws:s3:::" + "b" * 7000
    for sid in ("a", "b"):
        allow(lambdas, sid, Principal="s3.amazonaws.com", SourceArn=source)
    code, message = refusal(lambda: allow(lambdas, "c", Principal="s3.amazonaws.com", SourceArn=source))
    assert code == "PolicyLengthExceededException" and message.endswith("is bigger than the limit (20480).")


def test_aliases_are_the_functions_own_for_whoever_may_change_it(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.add_permission(StatementId="s", Action="lambda:*", Principal=OTHER_ROOT.account, **ONE)
    other, live = lambdas.running.client("lambda", OTHER_ROOT), {"FunctionName": arn("function:one"), "Name": "live"}
    other.create_alias(FunctionVersion="1", **live)
    assert other.update_alias(Description="d", **live)["Description"] == other.get_alias(**live)["Description"] == "d"
    other.delete_alias(**live)
    assert other.list_aliases(FunctionName=arn("function:one"))["Aliases"] == []


def test_another_account_reaches_a_function_by_its_policy(lambdas: Lambda) -> None:
    lambdas.create()
    theirs = lambdas.running.client("lambda", OTHER_ROOT)
    whole = arn("function:one")
    assert refusal(theirs.get_function_configuration, FunctionName=whole)[0] == "AccessDeniedException"
    allow(lambdas, Principal="444455556666", Action="lambda:GetFunctionConfiguration")
    assert theirs.get_function_configuration(FunctionName=whole)["FunctionArn"] == whole
    assert refusal(theirs.get_function, FunctionName=whole)[0] == "AccessDeniedException"


def test_whole_policies_are_put_and_deleted(lambdas: Lambda) -> None:
    lambdas.create()
    whole = arn("function:one")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": whole, "Sid": "a"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client = lambdas.client
    put = client.put_resource_policy(ResourceArn=whole, Policy=json.dumps(policy))
    assert json.loads(put["Policy"])["Statement"] == [statement]
    assert client.get_resource_policy(ResourceArn=whole)["RevisionId"] == put["RevisionId"]
    assert json.loads(client.get_policy(FunctionName="one")["Policy"])["Statement"] == [statement]
    for broken in ("{}", json.dumps({**policy, "Statement": [{**statement, "Resource": "*"}]})):
        assert refusal(client.put_resource_policy, ResourceArn=whole, Policy=broken)[0] == INVALID
    stale = "00000000-0000-4000-8000-000000000000"
    delete = client.delete_resource_policy
    assert refusal(delete, ResourceArn=whole, RevisionId=stale)[0] == "PreconditionFailedException"
    delete(ResourceArn=whole)
    assert refusal(delete, ResourceArn=whole)[0] == "ResourceNotFoundException"


def test_policies_decide_by_tags(lambdas: Lambda) -> None:
    lambdas.create(Tags={"team": "blue"}, Publish=True)
    lambdas.create("two", Tags={"team": "red"})
    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    allow_ = {"Effect": "Allow", "Action": "lambda:*", "Resource": "*", "Condition": blue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow_]})
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
    ann = lambdas.running.client("lambda", key)
    assert ann.get_function(FunctionName="one:1")["Configuration"]["Version"] == "1"
    assert refusal(ann.get_function, FunctionName="two")[0] == "AccessDeniedException"
    assert refusal(ann.list_functions)[0] == "AccessDeniedException"
