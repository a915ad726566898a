"""Which documents are policies, and in which words AWS refuses the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.core.policy.policy_words import allow, document

from havre.core.policy import PolicyError, parse


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{", "identity", "Syntax errors in policy."),
        ("[]", "identity", "Syntax errors in policy."),
        ("{", "trust", "This policy contains invalid Json"),
        (document(allow(), version="2013-01-01"), "identity", "Syntax errors in policy."),
        (document(allow(), version="2008-10-17"), "identity", "Policy document must be version 2012-10-17 or greater."),
        (
            document(allow("RunTask")),
            "identity",
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (document({"Effect": "Allow", "Resource": "*"}), "identity", "Policy statement must contain actions."),
        (document({"Effect": "Allow", "Action": "*"}), "identity", "Policy statement must contain resources."),
        (document(allow("*", "nonsense")), "identity", 'Resource nonsense must be in ARN format or "*".'),
        (document(allow("*", "arn:aws:s3::b")), "identity", "The policy failed legacy parsing"),
        (
            document(allow("*", "arn:nope:s3:::b")),
            "identity",
            'Partition "nope" is not valid for resource "arn:nope:s3:::b".',
        ),
        (
            document(allow("*", "arn:aws:s*:::b")),
            "identity",
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (document(allow(Principal="*")), "identity", "Policy document should not specify a principal."),
        (
            document(allow(Sid="a"), allow(Sid="a")),
            "identity",
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (document(allow(Effect="Maybe")), "identity", "Syntax errors in policy."),
        (document(allow(Condition={"Nope": {"a:b": "c"}})), "identity", "Syntax errors in policy."),
        (
            document(allow(Principal="*", Condition={"Nope": {"a:b": "c"}})),
            "resource",
            "Invalid Condition type : Nope.",
        ),
        (document(allow(NotAction="*")), "identity", "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "identity", "Syntax errors in policy."),
        (document(allow("sts:AssumeRole")), "trust", "Has prohibited field Resource"),
        (document({"Effect": "Allow", "Action": "sts:AssumeRole"}), "trust", "Missing required field Principal"),
        (
            document({"Effect": "Allow", "Principal": "*", "Action": "s3:x"}),
            "trust",
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            document({"Effect": "Allow", "Principal": {"AWS": "ann"}, "Action": "sts:AssumeRole"}),
            "trust",
            'Invalid principal in policy: "AWS":"ann"',
        ),
        (
            document({"Effect": "Allow", "Principal": {"Service": "x"}, "Action": "sts:AssumeRole"}),
            "trust",
            'Invalid principal in policy: "SERVICE":"x"',
        ),
    ],
)
def test_malformed_documents(text: str, kind: str, message: str) -> None:
    with pytest.raises(PolicyError) as told:
        parse(text, kind)
    assert str(told.value) == message


def _trusts(**change: Any) -> dict[str, Any]:
    """A statement of a trust policy; what ``change`` makes None is left out."""
    whole = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", **change}
    return {name: value for name, value in whole.items() if value is not None}


_NEGATED = _trusts(Principal=None, NotPrincipal={"AWS": "*"})


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        ([], "Could not parse the policy: Statement is empty!"),
        ([_trusts(Effect=None)], "Missing required field Effect"),
        ([_trusts(Effect="Perhaps")], "Invalid effect: Perhaps"),
        ([_trusts(Action=None)], "Missing required field Action"),
        ([_trusts(Principal=None)], "Missing required field Principal"),
        ([_trusts(Principal={})], "Missing required field Principal cannot be empty!"),
        ([_trusts(NotResource="*")], "AssumeRole policy must not contain resources."),
        ([_NEGATED], "Allow with NotPrincipal is not allowed."),
        ([_trusts(), {**_NEGATED, "Effect": "Deny"}], "AssumeRole policy must not contain NotPrincipal field."),
        ([{**_NEGATED, "Effect": "Deny"}, _NEGATED], "Allow with NotPrincipal is not allowed."),
    ],
)
def test_trust_policies_are_refused_in_words_of_their_own(statements: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(PolicyError) as told:
        parse(document(*statements), "trust")
    assert str(told.value) == message


def test_a_trust_policy_names_a_version_there_is() -> None:
    parse(document(_trusts(), version="2008-10-17"), "trust")
    with pytest.raises(PolicyError, match="must contain a valid version string"):
        parse(document(_trusts(), version="2013-10-17"), "trust")


VERSION = "Policy document must be version 2012-10-17 or greater."
LEGACY = "The policy failed legacy parsing"
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."


@pytest.mark.parametrize(
    ("statement", "version", "message"),
    [
        # of several faults AWS names: the grammar, the version, the older parser's, and only then the rest
        ({"Effect": "maybe", "Action": "nonsense"}, None, "Syntax errors in policy."),
        (allow("nonsense", Condition={"DateEquals": {"aws:CurrentTime": {}}}), None, "Syntax errors in policy."),
        (allow("nonsense", Effect="ALLOW"), None, VERSION),
        (allow("nonsense", "nonsense", Effect="ALLOW"), "2012-10-17", LEGACY),
        (allow("nonsense", Condition={"DateLessThan": {"aws:CurrentTime": "soon"}}), "2012-10-17", LEGACY),
        (allow("nonsense", Condition={"DateLessThan": {"aws:CurrentTime": "\u00b2"}}), "2012-10-17", LEGACY),
        (allow("nonsense", "arn:aws:ecs::x"), "2012-10-17", LEGACY),
        (allow("nonsense", "nonsense"), "2012-10-17", 'Resource nonsense must be in ARN format or "*".'),
        ({"Effect": "Allow", "Action": "nonsense"}, "2012-10-17", VENDOR),
        (
            {"Effect": "Allow", "Action": "ecs:*", "Resource": []},
            "2012-10-17",
            "Policy statement must contain resources.",
        ),
        # what looks like an ARN is read as one
        (allow("*", "arm:moon"), "2012-10-17", 'Partition "moon" is not valid for resource "arn:moon:*:*:*:*".'),
        (
            allow("*", "aws:ecs:x:y:z:q:r"),
            "2012-10-17",
            'Partition "ecs" is not valid for resource "arn:ecs:x:y:z:q:r".',
        ),
        (
            allow("*", "arn:aws:s3:eu-west-1::b"),
            "2012-10-17",
            "Resource arn:aws:s3:eu-west-1::b can not contain region information.",
        ),
        (allow("e c s:Run"), "2012-10-17", "Vendor e c s is not valid"),
    ],
)
def test_which_of_several_faults_is_named(statement: Any, version: str | None, message: str) -> None:
    text = json.dumps(({"Version": version} if version else {}) | {"Statement": statement})
    with pytest.raises(PolicyError) as told:
        parse(text, "managed")
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("date", "good"),
    [
        ("2026-11-26T04:30:00Z", True),
        ("2026-11-26t4:30:00.123456789+13", True),
        ("2026-11", True),
        ("7T", True),
        ("-292275054", True),
        ("-292275055", False),
        (str(2**63 - 1), True),
        (str(2**63), False),
        ("2026-13", False),
        ("2026-11-26T24:00", False),
        ("2026-11-26T04:30:00.1234567890Z", False),
        ("${aws:CurrentTime}", False),
    ],
)
def test_dates_that_conditions_compare_with(date: str, good: bool) -> None:
    text = document(allow(Condition={"ForAnyValue:DateGreaterThanIfExists": {"aws:CurrentTime": [date]}}))
    if good:
        parse(text)
        return
    with pytest.raises(PolicyError, match=LEGACY):
        parse(text)


@pytest.mark.parametrize(
    "statement",
    [
        allow("ecs:run-task now"),
        allow("execute-api.v2:Invoke"),
        allow("*", "arn:aws:something"),
        allow("*", ["*", None]),
        allow(Condition={"StringEquals": {"colour": "blue"}}),
        allow(Condition={"StringEquals": {"aws:PrincipalTag/a": []}}),
        allow(Condition={"Nope": {}}),
    ],
)
def test_odd_statements_that_aws_takes(statement: Any) -> None:
    parse(document(statement), "managed")
