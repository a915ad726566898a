"""The examples of IAM's user guide, asked what its text says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from havre.core.policy import Grants, Question, Who, decide, parse

ACCOUNT, OTHER = "123456789012", "111122223333"
USER = Who("IAMUser", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/JohnDoe")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Example"
SESSION = Who("AssumedRole", ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/Example/s", ROLE)


def _policy(*statements: dict[str, Any], kind: str = "identity") -> Any:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), kind)


def _asked(policy: Any, action: str, resource: str = "*", who: Who = USER, **context: Any) -> str:
    keys = {k.replace("__", ":").lower(): v if isinstance(v, tuple) else (v,) for k, v in context.items()}
    return decide(Question(action, resource, keys, who), Grants((policy,))).outcome


ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def test_deny_all_outside_requested_regions() -> None:
    policy = _policy(
        ALLOW_ALL,
        {
            "Effect": "Deny",
            "NotAction": ["cloudfront:*", "iam:*", "route53:*", "support:*"],
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}},
        },
    )
    assert _asked(policy, "ecs:RunTask", aws__requestedregion="eu-west-1") == "allowed"
    assert _asked(policy, "ecs:RunTask", aws__requestedregion="us-east-1") == "explicitDeny"
    assert _asked(policy, "iam:GetUser", aws__requestedregion="us-east-1") == "allowed"


def test_deny_by_source_ip_unless_a_service_calls_on_ones_behalf() -> None:
    condition = {
        "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "203.0.113.0/24"]},
        "Bool": {"aws:ViaAWSService": "false"},
    }
    policy = _policy(ALLOW_ALL, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition})
    assert _asked(policy, "s3:Get", aws__sourceip="203.0.113.5", aws__viaawsservice="false") == "allowed"
    assert _asked(policy, "s3:Get", aws__sourceip="198.51.100.1", aws__viaawsservice="false") == "explicitDeny"
    assert _asked(policy, "s3:Get", aws__sourceip="198.51.100.1", aws__viaawsservice="true") == "allowed"


@pytest.mark.parametrize(
    ("operator", "present", "outcome"),
    [
        ("Bool", "false", "explicitDeny"),
        ("Bool", None, "allowed"),  # long-term keys lack the key: the guide warns of this
        ("BoolIfExists", None, "explicitDeny"),
        ("BoolIfExists", "true", "allowed"),
        ("Null", None, "allowed"),
    ],
)
def test_multi_factor_authentication(operator: str, present: str | None, outcome: str) -> None:
    condition = {operator: {"aws:MultiFactorAuthPresent": "false"}}
    policy = _policy(ALLOW_ALL, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition})
    context = {} if present is None else {"aws__multifactorauthpresent": present}
    assert _asked(policy, "ec2:StopInstances", **context) == outcome


def test_null_tells_long_term_keys_from_sessions() -> None:
    condition = {"Null": {"aws:TokenIssueTime": "false"}}
    policy = _policy({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition})
    assert _asked(policy, "s3:Get") == "implicitDeny"
    assert _asked(policy, "s3:Get", aws__tokenissuetime="1800000000") == "allowed"


def test_tag_keys_for_all_values_with_a_check_that_there_are_some() -> None:
    """``ForAllValues`` is true of an empty set, so the guide adds a ``Null``."""
    keys = {"ForAllValues:StringEquals": {"aws:TagKeys": ["environment", "CostCenter"]}}
    careless = _policy({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": keys})
    careful = _policy(
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {**keys, "Null": {"aws:TagKeys": "false"}}}
    )
    for policy in (careless, careful):
        assert _asked(policy, "ec2:CreateTags", aws__tagkeys=("environment",)) == "allowed"
        assert _asked(policy, "ec2:CreateTags", aws__tagkeys=("environment", "other")) == "implicitDeny"
    assert _asked(careless, "ec2:CreateTags") == "allowed"
    assert _asked(careful, "ec2:CreateTags") == "implicitDeny"


def test_for_any_value_denies_when_one_is_listed() -> None:
    condition = {"ForAnyValue:StringEquals": {"dynamodb:Attributes": ["ID", "Postdate"]}}
    policy = _policy(ALLOW_ALL, {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*", "Condition": condition})
    assert _asked(policy, "dynamodb:GetItem", dynamodb__attributes=("Message", "ID")) == "explicitDeny"
    assert _asked(policy, "dynamodb:GetItem", dynamodb__attributes=("Message",)) == "allowed"
    assert _asked(policy, "dynamodb:GetItem") == "allowed"


def test_tags_of_caller_and_resource_must_agree() -> None:
    condition = {"StringEquals": {"aws:ResourceTag/Owner": "${aws:username}"}}
    policy = _policy({"Effect": "Allow", "Action": "ec2:Stop*", "Resource": "*", "Condition": condition})
    owned = {"aws__resourcetag/owner": "JohnDoe"}
    assert _asked(policy, "ec2:StopInstances", aws__username="JohnDoe", **owned) == "allowed"
    assert _asked(policy, "ec2:StopInstances", aws__username="Jane", **owned) == "implicitDeny"
    assert _asked(policy, "ec2:StopInstances", **owned) == "implicitDeny"


def test_home_directories_and_the_default_of_a_variable() -> None:
    policy = _policy(
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::home/${aws:PrincipalTag/team, 'company-wide'}/*",
        }
    )
    assert _asked(policy, "s3:Put", "arn:aws:s3:::home/yellow/x", **{"aws__principaltag/team": "yellow"}) == "allowed"
    assert _asked(policy, "s3:Put", "arn:aws:s3:::home/company-wide/x") == "allowed"
    assert _asked(policy, "s3:Put", "arn:aws:s3:::home/yellow/x") == "implicitDeny"


def test_a_boundary_limits_and_gives_nothing() -> None:
    """ShirleyRodriguez of the guide: S3, CloudWatch and EC2 at most; her own policy allows IAM."""
    boundary = _policy({"Effect": "Allow", "Action": ["s3:*", "cloudwatch:*", "ec2:*"], "Resource": "*"})
    create = _policy({"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*"})
    buckets = _policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})

    def outcome(action: str, *policies: Any) -> str:
        return decide(Question(action, "*", {}, USER), Grants(policies, boundary)).outcome

    assert outcome("iam:CreateUser", create) == "implicitDeny"
    assert outcome("s3:GetObject", create) == "implicitDeny"
    assert outcome("s3:GetObject", buckets) == "allowed"


@pytest.mark.parametrize(
    ("principal", "who", "bounded", "outcome"),
    [
        # the guide's table: what a resource policy names decides what a boundary or a session policy can still take away
        (USER.arn, USER, "boundary", "allowed"),
        (ROLE, SESSION, "boundary", "implicitDeny"),
        (ROLE, SESSION, "session", "implicitDeny"),
        (SESSION.arn, SESSION, "boundary", "allowed"),
        (SESSION.arn, SESSION, "session", "allowed"),
        (f"arn:aws:iam::{ACCOUNT}:root", SESSION, "", "implicitDeny"),
        ("*", SESSION, "session", "implicitDeny"),
    ],
)
def test_resource_policies_and_limits_in_one_account(principal: str, who: Who, bounded: str, outcome: str) -> None:
    on_resource = _policy(
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sqs:*", "Resource": "*"}, kind="resource"
    )
    other = _policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    grants = Grants((), other if bounded == "boundary" else None, (other,) if bounded == "session" else None)
    question = Question("sqs:SendMessage", "arn:aws:sqs:::q", {}, who)
    assert decide(question, grants, on_resource, ACCOUNT).outcome == outcome


def test_a_limit_that_denies_by_name_is_obeyed_whoever_is_named() -> None:
    on_resource = _policy(
        {"Effect": "Allow", "Principal": {"AWS": SESSION.arn}, "Action": "sqs:*", "Resource": "*"}, kind="resource"
    )
    never = _policy({"Effect": "Deny", "Action": "sqs:*", "Resource": "*"}, ALLOW_ALL)
    question = Question("sqs:SendMessage", "arn:aws:sqs:::q", {}, SESSION)
    for grants in (Grants((never,)), Grants((), never), Grants((), None, (never,))):
        assert decide(question, grants, on_resource, ACCOUNT).outcome == "explicitDeny"


def test_across_accounts_both_have_to_allow_and_either_may_deny() -> None:
    stranger = Who("IAMUser", OTHER, f"arn:aws:iam::{OTHER}:user/Carlos")
    question = Question("s3:GetObject", "arn:aws:s3:::Production/x", {}, stranger)
    own = _policy({"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::Production/*"})
    statement = {"Principal": {"AWS": OTHER}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::Production/*"}
    theirs = _policy({"Effect": "Allow", **statement}, kind="resource")
    denying = _policy({"Effect": "Allow", **statement}, {"Effect": "Deny", **statement}, kind="resource")
    assert decide(question, Grants((own,)), theirs, ACCOUNT).outcome == "allowed"
    assert decide(question, Grants(()), theirs, ACCOUNT).outcome == "implicitDeny"
    assert decide(question, Grants((own,)), None, ACCOUNT).outcome == "implicitDeny"
    assert decide(question, Grants((own,)), denying, ACCOUNT).outcome == "explicitDeny"


def test_not_principal_denies_all_but_the_named() -> None:
    policy = _policy(
        {"Effect": "Deny", "NotPrincipal": {"AWS": [USER.arn, f"arn:aws:iam::{ACCOUNT}:root"]}, "Action": "s3:*"}
        | {"Resource": "*"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"},
        kind="resource",
    )
    outsider = Who("IAMUser", OTHER, f"arn:aws:iam::{OTHER}:user/x")
    question = Question("s3:GetObject", "arn:aws:s3:::b", {}, USER)
    assert decide(question, Grants(()), policy, ACCOUNT).outcome == "allowed"
    everything = Grants((_policy(ALLOW_ALL),))
    theirs = Question("s3:GetObject", "arn:aws:s3:::b", {}, outsider)
    assert decide(theirs, everything, policy, ACCOUNT).outcome == "explicitDeny"
    another = Who("IAMUser", ACCOUNT, f"{USER.arn}2")  # the account that is listed as well spares its root user alone
    assert decide(Question("s3:GetObject", "arn:aws:s3:::b", {}, another), everything, policy).outcome == "explicitDeny"
    root = Who("Root", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    assert decide(Question("s3:GetObject", "arn:aws:s3:::b", {}, root), everything, policy).allowed
    bounded = Grants((_policy(ALLOW_ALL),), boundary=_policy(ALLOW_ALL))
    assert decide(question, bounded, policy).outcome == "explicitDeny"


def test_not_principal_spares_a_session_with_all_that_stands_behind_it() -> None:
    role, account = f"arn:aws:iam::{ACCOUNT}:role/app", f"arn:aws:iam::{ACCOUNT}:root"
    session = Who("AssumedRole", ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/app/me", role)
    question = Question("s3:GetObject", "arn:aws:s3:::b", {}, session)
    for listed, outcome in (
        ([session.arn, role, account], "allowed"),
        ([session.arn, role, ACCOUNT], "allowed"),
        ([session.arn, account], "explicitDeny"),
        ([role, account], "explicitDeny"),
        ([session.arn, role], "explicitDeny"),
        ("*", "allowed"),
    ):
        deny = {"Effect": "Deny", "NotPrincipal": {"AWS": listed}, "Action": "s3:*", "Resource": "*"}
        policy = _policy(deny, kind="resource")
        assert decide(question, Grants((_policy(ALLOW_ALL),)), policy).outcome == outcome


def test_trust_for_a_service_on_behalf_of_one_account() -> None:
    trust = _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:us-west-2:{ACCOUNT}:*"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        },
        kind="trust",
    )
    service = Who("AWSService", ACCOUNT, "ecs-tasks.amazonaws.com", service="ecs-tasks.amazonaws.com")

    def outcome(**context: str) -> str:
        keys = {k.replace("__", ":"): (v,) for k, v in context.items()}
        question = Question("sts:AssumeRole", ROLE, keys, service)
        return decide(question, Grants(()), trust, ACCOUNT, trust=True).outcome

    source = f"arn:aws:ecs:us-west-2:{ACCOUNT}:task/c/1"
    assert outcome(aws__sourcearn=source, aws__sourceaccount=ACCOUNT) == "allowed"
    assert outcome(aws__sourcearn=source.replace(ACCOUNT, OTHER), aws__sourceaccount=OTHER) == "implicitDeny"
    assert outcome() == "implicitDeny"
