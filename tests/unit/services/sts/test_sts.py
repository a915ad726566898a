"""STS as boto3 sees it; session tokens as an attacker would like them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT, SECRET, Running, code

from havre.core.credentials import Session, SessionTokens, access_key_id, account_of
from havre.services.sts import rules

ALL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
READ = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}}
)
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


@pytest.fixture
def iam(running: Running) -> Any:
    running.wait(running.store.reset())
    return running.client("iam")


def role(iam: Any, principal: Any, name: str = "r", condition: Any = None, actions: Any = "sts:AssumeRole") -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions} | (
        {"Condition": condition} if condition else {}
    )
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=[{"Key": "team", "Value": "red"}])[
        "Role"
    ]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn=ADMIN)
    return arn


def user(iam: Any, name: str = "ann", policy: str = "") -> Any:
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    return iam.create_access_key(UserName=name)["AccessKey"]


def test_a_role_that_trusts_the_user(running: Running, iam: Any) -> None:
    key = user(iam)
    arn = role(iam, {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"})
    made = running.client("sts", key).assume_role(RoleArn=arn, RoleSessionName="s1", DurationSeconds=900)
    assert made["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s1"
    credentials = made["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and account_of(credentials["AccessKeyId"]) == ACCOUNT
    who = running.client("sts", credentials).get_caller_identity()
    assert who["UserId"] == made["AssumedRoleUser"]["AssumedRoleId"]
    running.client("iam", credentials).list_users()
    without = {k: v for k, v in credentials.items() if k != "SessionToken"}
    assert code(running.client("sts", without).get_caller_identity) == "InvalidClientTokenId"
    running.offset = 901
    try:
        assert code(running.client("sts", credentials).get_caller_identity) in ("ExpiredToken", "SignatureDoesNotMatch")
    finally:
        running.offset = 0
    iam.detach_role_policy(RoleName="r", PolicyArn=ADMIN)
    assert code(running.client("iam", credentials).list_users) == "AccessDenied"
    iam.delete_role(RoleName="r")
    role(iam, {"AWS": ACCOUNT})
    assert code(running.client("iam", credentials).list_users) == "AccessDenied"


def test_an_expired_token(running: Running, iam: Any) -> None:
    tokens = SessionTokens(SECRET)
    for service, expected in (("sts", "ExpiredToken"), ("ecs", "ExpiredTokenException")):
        session = Session("ASIA" + "A" * 16, "Root", ACCOUNT, "a", ACCOUNT, "", "", 0, int(running.world.now()) - 1)
        secret, token = tokens.issue(session)
        key = {"AccessKeyId": session.access_key, "SecretAccessKey": secret, "SessionToken": token}
        client = running.client(service, key)
        assert code(client.get_caller_identity if service == "sts" else client.describe_clusters) == expected


def test_trust_in_an_account_needs_the_users_own_policy_too(running: Running, iam: Any) -> None:
    arn = role(iam, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    ann, bea = user(iam), user(iam, "bea", ALL)
    with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole on resource") as told:
        running.client("sts", ann).assume_role(RoleArn=arn, RoleSessionName="s1")
    assert told.value.response["Error"]["Code"] == "AccessDenied"
    running.client("sts", bea).assume_role(RoleArn=arn, RoleSessionName="s1")
    untrusting = role(iam, {"Service": "ecs-tasks.amazonaws.com"}, "task")
    assert code(running.client("sts", bea).assume_role, RoleArn=untrusting, RoleSessionName="s1") == "AccessDenied"
    assert code(running.client("sts", bea).assume_role, RoleArn=arn + "x", RoleSessionName="s1") == "AccessDenied"
    assert code(running.client("sts").assume_role, RoleArn=arn, RoleSessionName="s1") == "AccessDenied"


def test_another_account_with_an_external_id(running: Running, iam: Any) -> None:
    arn = role(iam, {"AWS": OTHER}, condition={"StringEquals": {"sts:ExternalId": "42"}})
    theirs = user(running.client("iam", OTHER_ROOT), "bob", ALL)
    sts = running.client("sts", theirs)
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1") == "AccessDenied"
    made = sts.assume_role(RoleArn=arn, RoleSessionName="s1", ExternalId="42")["Credentials"]
    assert running.client("sts", made).get_caller_identity()["Account"] == ACCOUNT


def test_a_service_assumes_its_role(running: Running, iam: Any) -> None:
    arn = role(iam, {"Service": "ecs-tasks.amazonaws.com"})
    request = {"RoleArn": arn, "RoleSessionName": "task-1"}
    as_tasks = running.gateway.as_service("ecs-tasks.amazonaws.com", ACCOUNT, "us-east-1")
    made = running.wait(as_tasks("sts", "AssumeRole", request))["Credentials"]
    assert running.client("sts", made).get_caller_identity()["Arn"].endswith("assumed-role/r/task-1")
    event = running.events("AssumeRole")[0]
    assert event["userIdentity"] == {"type": "AWSService", "invokedBy": "ecs-tasks.amazonaws.com"}
    assert made["SecretAccessKey"] not in json.dumps(event) and made["SessionToken"] not in json.dumps(event)
    other = running.gateway.as_service("lambda.amazonaws.com", ACCOUNT, "us-east-1")
    with pytest.raises(Exception, match="not authorized"):
        running.wait(other("sts", "AssumeRole", request))


def test_with_open_doors_roles_need_not_exist() -> None:
    opened = Running(auth="open")
    try:
        as_lambda = opened.gateway.as_service("lambda.amazonaws.com", ACCOUNT, "us-east-1")
        arn = f"arn:aws:iam::{ACCOUNT}:role/service-role/any"
        made = opened.wait(as_lambda("sts", "AssumeRole", {"RoleArn": arn, "RoleSessionName": "s1"}))["Credentials"]
        who = opened.client("sts", made).get_caller_identity()
        assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/any/s1" and who["Account"] == ACCOUNT
        for wrong in ("arn:aws:iam::1:role/x", f"arn:aws:iam::{ACCOUNT}:user/someone-else"):
            with pytest.raises(Exception, match=r"not authorized|validation"):
                opened.wait(as_lambda("sts", "AssumeRole", {"RoleArn": wrong, "RoleSessionName": "s1"}))
    finally:
        opened.close()


def test_a_service_says_for_whose_sake_it_comes(running: Running, iam: Any) -> None:
    condition = {
        "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:*"},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }
    arn = role(iam, {"Service": "ecs-tasks.amazonaws.com"}, condition=condition)
    request = {"RoleArn": arn, "RoleSessionName": "task-1"}
    running.wait(
        running.gateway.as_service("ecs-tasks.amazonaws.com", ACCOUNT, "us-east-1")("sts", "AssumeRole", request)
    )
    for account, region in ((ACCOUNT, "eu-west-1"), (OTHER, "us-east-1")):
        deputy = running.gateway.as_service("ecs-tasks.amazonaws.com", account, region)
        with pytest.raises(Exception, match="not authorized"):
            running.wait(deputy("sts", "AssumeRole", request))


def test_sessions_are_without_a_second_factor(running: Running, iam: Any) -> None:
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
    }
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    key = user(iam, policy=json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]}))
    assert code(running.client("ecs", key).describe_clusters) == "no error"
    session = running.client("sts", key).get_session_token()["Credentials"]
    assert code(running.client("ecs", session).describe_clusters) == "AccessDeniedException"


def test_session_policies(running: Running, iam: Any) -> None:
    key = user(iam, policy=ALL)
    sts, arn = running.client("sts", key), role(iam, {"AWS": ACCOUNT})
    made = sts.assume_role(RoleArn=arn, RoleSessionName="s1", Policy=READ)
    ecs = running.client("ecs", made["Credentials"])
    ecs.describe_clusters()
    with pytest.raises(ClientError, match="because no session policy allows the ecs:CreateCluster action"):
        ecs.create_cluster(clusterName="c")
    assert made["PackedPolicySize"] > 0
    both = sts.assume_role(RoleArn=arn, RoleSessionName="s1", PolicyArns=[{"arn": ADMIN}])["Credentials"]
    running.client("ecs", both).create_cluster(clusterName="c")
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", Policy="{}") == "MalformedPolicyDocument"
    assert (
        code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", PolicyArns=[{"arn": ADMIN + "x"}]) == "ValidationError"
    )


def test_durations(running: Running, iam: Any) -> None:
    key = user(iam, policy=ALL)
    sts, arn = running.client("sts", key), role(iam, {"AWS": ACCOUNT})
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", DurationSeconds=3601) == "ValidationError"
    iam.update_role(RoleName="r", MaxSessionDuration=7200)
    chained = sts.assume_role(RoleArn=arn, RoleSessionName="s1", DurationSeconds=7200)["Credentials"]
    again = running.client("sts", chained).assume_role
    assert code(again, RoleArn=arn, RoleSessionName="s2", DurationSeconds=3601) == "ValidationError"
    again(RoleArn=arn, RoleSessionName="s2")


def test_session_tags_and_source_identity(running: Running, iam: Any) -> None:
    every = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    key = user(iam, policy=ALL)
    plain, arn = role(iam, {"AWS": ACCOUNT}, "plain"), role(iam, {"AWS": ACCOUNT}, "tagged", actions=every)
    sts = running.client("sts", key)
    tags = [{"Key": "job", "Value": "7"}]
    assert code(sts.assume_role, RoleArn=plain, RoleSessionName="s1", Tags=tags) == "AccessDenied"
    given = {"Tags": tags, "TransitiveTagKeys": ["job"], "SourceIdentity": "Ann"}
    made = sts.assume_role(RoleArn=arn, RoleSessionName="s1", **given)["Credentials"]
    condition = {
        "StringEquals": {"aws:PrincipalTag/job": "7", "aws:PrincipalTag/team": "red", "aws:SourceIdentity": "Ann"}
    }
    statement = {"Effect": "Allow", "Action": "ecs:*", "Resource": "*", "Condition": condition}
    iam.detach_role_policy(RoleName="tagged", PolicyArn=ADMIN)
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [statement, {**statement, "Action": "sts:*", "Condition": {}}]}
    )
    iam.put_role_policy(RoleName="tagged", PolicyName="p", PolicyDocument=document)
    running.client("ecs", made).describe_clusters()
    second = running.client("sts", made).assume_role
    assert code(second, RoleArn=arn, RoleSessionName="s2", SourceIdentity="Bea") == "AccessDenied"
    assert code(second, RoleArn=arn, RoleSessionName="s2", Tags=tags) == "InvalidParameterValue"
    running.client("ecs", second(RoleArn=arn, RoleSessionName="s2")["Credentials"]).describe_clusters()
    assert code(sts.assume_role, RoleArn=arn, RoleSessionName="s1", TransitiveTagKeys=["x"]) == "InvalidParameterValue"


@pytest.mark.parametrize(
    "arn",
    [
        "no-arn-but-long-enough",
        "arn::iam::111122223333:role/r",
        "arn:aws:::111122223333:role/r",
        "arn:aws:iam:111122223333:role/r",
        "arn:aws:iam::111122223333:",
    ],
)
def test_what_is_no_arn_is_no_role(running: Running, iam: Any, arn: str) -> None:
    sts = running.client("sts", user(iam, policy=ALL))
    with pytest.raises(ClientError) as told:
        sts.assume_role(RoleArn=arn, RoleSessionName="s1")
    error = told.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ValidationError", f"{arn} is invalid")


def test_tokens_of_users(running: Running, iam: Any) -> None:
    key = user(iam, policy=ALL)
    sts = running.client("sts", key)
    made = sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert running.client("sts", made).get_caller_identity()["Arn"].endswith("user/ann")
    running.client("ecs", made).describe_clusters()
    assert code(running.client("iam", made).list_users) == "InvalidClientTokenId"
    assert code(running.client("sts", made).get_session_token) == "AccessDenied"
    assert sts.get_federation_token(Name="app")["PackedPolicySize"] == 0
    federated = sts.get_federation_token(Name="app", Policy=READ)
    assert federated["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/app"
    ecs = running.client("ecs", federated["Credentials"])
    ecs.describe_clusters()
    assert code(ecs.create_cluster, clusterName="c") == "AccessDeniedException"
    bare = sts.get_federation_token(Name="app")["Credentials"]
    assert code(running.client("ecs", bare).describe_clusters) == "AccessDeniedException"
    assert code(sts.get_session_token, SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456") == "AccessDenied"
    iam.delete_user_policy(UserName="ann", PolicyName="p")
    assert code(running.client("ecs", made).describe_clusters) == "AccessDeniedException"


def test_the_rest(running: Running, iam: Any) -> None:
    sts = running.client("sts")
    assert sts.get_access_key_info(AccessKeyId=access_key_id("AKIA", OTHER, b"12345"))["Account"] == OTHER
    assert code(sts.get_access_key_info, AccessKeyId="AKIAIOSFODNN7EXAMPLE") != "InternalFailure"
    assert code(sts.decode_authorization_message, EncodedMessage="x") == "InvalidAuthorizationMessageException"
    assert running.client("sts", user(iam)).get_caller_identity()["Arn"].endswith("user/ann")


SESSION = Session("ASIAX", "AssumedRole", ACCOUNT, "arn", "AROAX:s", "s", "role", 1, 2, ("p",), {"a": "b"})


def test_sessions_hold_over_a_restart() -> None:
    secret, token = SessionTokens(SECRET).issue(SESSION)
    assert SessionTokens(SECRET).read(token) == (SESSION, secret)
    assert SessionTokens(b"\x02" * 32).read(token) is None


@given(st.integers(0, 300), st.integers(1, 255))
def test_an_altered_token_is_none(at: int, flip: int) -> None:
    tokens = SessionTokens(SECRET)
    raw = bytearray(base64.b64decode(tokens.issue(SESSION)[1]))
    raw[at % len(raw)] ^= flip
    assert tokens.read(base64.b64encode(bytes(raw)).decode()) is None


@given(st.text(max_size=60))
def test_any_text_is_no_token(text: str) -> None:
    assert SessionTokens(SECRET).read(text) is None


@given(st.integers(0, 10**12 - 1), st.binary(min_size=5, max_size=5), st.sampled_from(["AKIA", "ASIA"]))
def test_key_ids_carry_their_account(account: int, noise: bytes, prefix: str) -> None:
    made = access_key_id(prefix, f"{account:012d}", noise)
    assert len(made) == 20 and made.isalnum() and account_of(made) == f"{account:012d}"


def test_sessions_are_cut_to_an_hour_for_root() -> None:
    assert rules.user_duration(43200, root=True) == 3600
    assert rules.user_duration(43200, root=False) == 43200
