"""What IAM shows of a resource in which answer, and the words in which it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, Running

ALL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
ECS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
OWN = f"arn:aws:iam::{ACCOUNT}:policy/own"
ABSENT = f"arn:aws:iam::{ACCOUNT}:policy/absent"
LOGIN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/login.example"
FIFTY_ONE = [{"Key": str(n), "Value": ""} for n in range(51)]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


@pytest.fixture
def iam(running: Running) -> Any:
    running.wait(running.store.reset())
    client = running.client("iam", parameter_validation=False)
    client.create_policy(PolicyName="own", PolicyDocument=ALL, Description="all")
    client.create_open_id_connect_provider(Url="https://login.example")
    client.create_user(UserName="ann")
    return client


def test_what_is_shown_of_a_role_and_where(iam: Any) -> None:
    made = iam.create_role(
        RoleName="r",
        AssumeRolePolicyDocument=ECS,
        Description="d",
        PermissionsBoundary=OWN,
        Tags=[{"Key": "a", "Value": "b"}],
    )["Role"]
    always = {"Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument"}
    assert set(made) == always | {"PermissionsBoundary", "Tags"}
    got = iam.get_role(RoleName="r")["Role"]
    more = {"Description", "MaxSessionDuration", "PermissionsBoundary", "RoleLastUsed", "Tags"}
    assert set(got) == always | more and got["RoleLastUsed"] == {}
    assert set(iam.list_roles()["Roles"][0]) == always | {"Description", "MaxSessionDuration"}
    changed = iam.update_role_description(RoleName="r", Description="e")["Role"]
    assert set(changed) == set(made) | {"Description"}
    bare = iam.create_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert "Tags" not in bare
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    held = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert held["Tags"] == [] and set(held["Roles"][0]) == always


def test_a_role_keeps_what_an_update_does_not_name(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=ECS, Description="d", MaxSessionDuration=7200)
    iam.update_role(RoleName="r")
    got = iam.get_role(RoleName="r")["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("d", 7200)


def test_what_is_shown_of_a_policy_and_of_a_user(iam: Any) -> None:
    made = iam.create_policy(PolicyName="p", PolicyDocument=ALL, Description="d")["Policy"]
    assert not {"Description", "Tags"} & set(made)
    got = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert (got["Description"], got["Tags"]) == ("d", [])
    assert not {"Description", "Tags"} & set(iam.list_policies(Scope="Local")["Policies"][0])
    iam.create_user(UserName="bea", PermissionsBoundary=OWN)
    assert "PermissionsBoundary" in iam.get_user(UserName="bea")["User"]
    assert all("PermissionsBoundary" not in user for user in iam.list_users()["Users"])


def test_keys_of_tags_differ_by_their_case_but_for_users_and_roles(iam: Any) -> None:
    iam.tag_policy(PolicyArn=OWN, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
    assert iam.list_policy_tags(PolicyArn=OWN)["Tags"] == [{"Key": "A", "Value": "2"}, {"Key": "a", "Value": "1"}]
    iam.untag_policy(PolicyArn=OWN, TagKeys=["a"])
    assert iam.list_policy_tags(PolicyArn=OWN)["Tags"] == [{"Key": "A", "Value": "2"}]
    iam.tag_user(UserName="ann", Tags=[{"Key": "a", "Value": "1"}])
    iam.tag_user(UserName="ann", Tags=[{"Key": "A", "Value": "2"}])
    assert iam.list_user_tags(UserName="ann")["Tags"] == [{"Key": "A", "Value": "2"}]


PATTERN = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"
TWICE = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]


@pytest.mark.parametrize(
    ("operation", "arguments", "refusal", "words"),
    [
        ("get_policy_version", {"PolicyArn": ABSENT, "VersionId": "v1"}, "NoSuchEntity",
         f"Policy {ABSENT} version v1 does not exist or is not attachable."),
        ("set_default_policy_version", {"PolicyArn": ABSENT, "VersionId": "v1"}, "NoSuchEntity",
         f"Policy {ABSENT} version v1 does not exist or is not attachable."),
        ("attach_user_policy", {"UserName": "ann", "PolicyArn": "no-arn-but-long-enough"}, "ValidationError",
         "ARN no-arn-but-long-enough is not valid."),
        ("tag_policy", {"PolicyArn": OWN, "Tags": TWICE}, "InvalidInput", "Duplicate tag keys found."),
        ("tag_user", {"UserName": "ann", "Tags": TWICE}, "InvalidInput",
         "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        ("tag_user", {"UserName": "ann", "Tags": FIFTY_ONE}, "ValidationError",
         "1 validation error detected: Value at 'tags' failed to satisfy constraint: "
         "Member must have length less than or equal to 50"),
        ("tag_user", {"UserName": "ann", "Tags": [{"Key": "!", "Value": ""}]}, "ValidationError",
         "1 validation error detected: Value at 'tags.1.member.key' failed to satisfy constraint: "
         f"Member must satisfy regular expression pattern: {PATTERN}"),
        ("untag_user", {"UserName": "ann", "TagKeys": ["!"]}, "ValidationError",
         "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: "
         "[Member must have length less than or equal to 128, Member must have length greater than or equal to 1, "
         f"Member must satisfy regular expression pattern: {PATTERN}]"),
        ("put_user_permissions_boundary",
         {"UserName": "ann", "PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:role/none"}, "InvalidInput",
         f"ARN arn:aws:iam::{ACCOUNT}:role/none is not valid."),
        ("remove_user_from_group", {"GroupName": "none", "UserName": "nobody"}, "NoSuchEntity",
         "The user with name nobody cannot be found."),
        ("delete_account_password_policy", {}, "NoSuchEntity",
         "The account policy with name PasswordPolicy cannot be found."),
        ("delete_open_id_connect_provider", {"OpenIDConnectProviderArn": LOGIN + "2"}, "NoSuchEntity",
         f"OpenId connect Provider {LOGIN}2 cannot be found."),
        ("create_open_id_connect_provider", {"Url": "https://b.example", "ThumbprintList": ["a" * 40] * 6}, "InvalidInput",
         "Thumbprint list must contain fewer than 5 entries."),
        ("create_open_id_connect_provider", {"Url": "https://b.example", "ClientIDList": [str(n) for n in range(101)]},
         "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"),
        ("create_policy", {"PolicyName": "p", "PolicyDocument": '{"Statement":[]}'}, "MalformedPolicyDocument",
         "Syntax errors in policy."),
        ("create_policy", {"PolicyName": "p", "PolicyDocument": ALL.replace('"Version": "2012-10-17", ', "")},
         "MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater."),
    ],
)  # fmt: skip
def test_words_of_refusals(iam: Any, operation: str, arguments: dict[str, Any], refusal: str, words: str) -> None:
    with pytest.raises(ClientError) as told:
        getattr(iam, operation)(**arguments)
    assert (told.value.response["Error"]["Code"], told.value.response["Error"]["Message"]) == (refusal, words)


def test_fifty_tags_are_the_most(iam: Any) -> None:
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=LOGIN, Tags=FIFTY_ONE[:50])
    with pytest.raises(ClientError, match=r"LimitExceeded.*The number of tags has reached the maximum limit\.$"):
        iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=LOGIN, Tags=FIFTY_ONE[50:])
