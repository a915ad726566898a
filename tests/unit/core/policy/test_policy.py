"""Decisions by table, and what must hold for any policy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.policy.policy_words import ANN, ROLE, SESSION, allow, deny, document, on_resource

from havre.core.policy import Grants, Question, Who, decide, parse
from havre.core.policy.conditions import Condition
from havre.core.policy.patterns import Template, arn_like, glob


def ask(text: str, action: str, resource: str = "*", context: Any = None, who: Who = ANN) -> str:
    return decide(Question(action, resource, context or {}, who), Grants((parse(text),))).outcome


@pytest.mark.parametrize(
    ("statements", "action", "resource", "outcome"),
    [
        ([allow("ecs:*")], "ecs:RunTask", "*", "allowed"),
        ([allow("ECS:run*")], "ecs:RunTask", "*", "allowed"),
        ([allow("ecs:*")], "ecr:PutImage", "*", "implicitDeny"),
        ([allow("*"), deny("ecs:Delete*")], "ecs:DeleteCluster", "*", "explicitDeny"),
        ([allow("s3:Get?bject")], "s3:GetObject", "*", "allowed"),
        ([allow("s3:*", "arn:aws:s3:::b/*")], "s3:GetObject", "arn:aws:s3:::b/a/b", "allowed"),
        ([allow("s3:*", "arn:aws:s3:::b/*")], "s3:GetObject", "arn:aws:s3:::c/a", "implicitDeny"),
        ([{"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}], "iam:GetUser", "*", "implicitDeny"),
        ([{"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}], "ecs:RunTask", "*", "allowed"),
        (
            [{"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::mine"}, allow()],
            "s3:x",
            "arn:aws:s3:::no",
            "explicitDeny",
        ),
        (
            [{"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::mine"}, allow()],
            "s3:x",
            "arn:aws:s3:::mine",
            "allowed",
        ),
        ([], "s3:x", "*", "implicitDeny"),
    ],
)
def test_actions_and_resources(statements: list[Any], action: str, resource: str, outcome: str) -> None:
    policies = (parse(document(*statements)),) if statements else ()
    assert decide(Question(action, resource, {}, ANN), Grants(policies)).outcome == outcome


def test_variables_stand_for_the_request_and_never_for_patterns() -> None:
    text = document(allow("s3:*", "arn:aws:s3:::home/${aws:username}/*"))
    mine = "arn:aws:s3:::home/ann/x"
    assert ask(text, "s3:Get", mine, {"aws:username": ("ann",)}) == "allowed"
    assert ask(text, "s3:Get", mine, {"aws:username": ("*",)}) == "implicitDeny"
    assert ask(text, "s3:Get", mine, {}) == "implicitDeny"
    assert ask(text, "s3:Get", mine, {"aws:username": ("ann", "bob")}) == "implicitDeny"


def test_variables_with_defaults_escapes_and_the_old_version() -> None:
    default = document(allow("s3:*", "arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}"))
    assert ask(default, "s3:x", "arn:aws:s3:::b/none") == "allowed"
    assert ask(default, "s3:x", "arn:aws:s3:::b/red", {"aws:principaltag/team": ("red",)}) == "allowed"
    star = document(allow("s3:*", "arn:aws:s3:::b/a${*}c${$}${?}"))
    assert ask(star, "s3:x", "arn:aws:s3:::b/a*c$?") == "allowed"
    assert ask(star, "s3:x", "arn:aws:s3:::b/abc$x") == "implicitDeny"
    old = parse(document(allow("s3:*", "arn:aws:s3:::b/${aws:username}"), version=None))
    granted = Grants((old,))
    assert decide(Question("s3:x", "arn:aws:s3:::b/${aws:username}", {}, ANN), granted).allowed
    assert not decide(Question("s3:x", "arn:aws:s3:::b/ann", {"aws:username": ("ann",)}, ANN), granted).allowed


def test_not_resource_with_an_unknown_variable_does_not_apply() -> None:
    text = document(allow(), {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::${aws:username}"})
    assert ask(text, "s3:x", "arn:aws:s3:::other") == "allowed"


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "holds"),
    [
        ("StringEquals", ["a", "b"], ("b",), True),
        ("StringEquals", ["a"], ("A",), False),
        ("StringEqualsIgnoreCase", ["a"], ("A",), True),
        ("StringNotEquals", ["a", "b"], ("b",), False),
        ("StringNotEquals", ["a"], ("c",), True),
        ("StringNotEquals", ["a"], None, True),
        ("StringNotEqualsIgnoreCase", ["a"], ("A",), False),
        ("StringLike", ["a*c"], ("abbc",), True),
        ("StringNotLike", ["a*"], ("b",), True),
        ("StringEquals", ["a"], None, False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], ("b",), False),
        ("NumericEquals", ["5"], ("5.0",), True),
        ("NumericNotEquals", ["5"], ("6",), True),
        ("NumericLessThan", ["5"], ("4",), True),
        ("NumericLessThan", ["5"], ("5",), False),
        ("NumericLessThanEquals", ["5"], ("5",), True),
        ("NumericGreaterThan", ["5"], ("6",), True),
        ("NumericGreaterThanEquals", ["5"], ("x",), False),
        ("DateLessThan", ["2026-01-01T00:00:00Z"], ("2025-12-31T23:59:59Z",), True),
        ("DateGreaterThan", ["2026-01-01"], ("1780000000",), True),
        ("DateEquals", ["1767225600"], ("2026-01-01T00:00:00Z",), True),
        ("DateNotEquals", ["2026-01-01T00:00:00Z"], ("2026-01-02T00:00:00Z",), True),
        ("Bool", ["true"], ("True",), True),
        ("Bool", ["false"], ("true",), False),
        ("BinaryEquals", ["QmluYXJ5"], ("QmluYXJ5",), True),
        ("IpAddress", ["10.0.0.0/8"], ("10.1.2.3",), True),
        ("IpAddress", ["10.0.0.0/8"], ("11.1.2.3",), False),
        ("NotIpAddress", ["10.0.0.0/8"], ("11.1.2.3",), True),
        ("IpAddress", ["2001:db8::/32"], ("2001:db8::1",), True),
        ("ArnLike", ["arn:aws:iam::*:role/r*"], ("arn:aws:iam::1:role/rx",), True),
        ("ArnEquals", ["arn:aws:*:role/r"], ("arn:aws:iam::1:role/r",), False),
        ("ArnNotLike", ["arn:aws:iam::*:role/*"], ("arn:aws:iam::1:user/x",), True),
        ("Null", ["true"], None, True),
        ("Null", ["false"], ("x",), True),
        ("Null", ["true"], ("x",), False),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a"], ("a", "b"), False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAnyValue:StringEquals", ["a"], ("c", "a"), True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ("a", "b"), True),
        ("ForAllValues:StringNotEquals", ["a"], ("b", "c"), True),
        ("ForAnyValue:StringLike", ["team-*"], ("x", "team-1"), True),
    ],
)
def test_conditions(operator: str, wanted: list[str], given: Any, holds: bool) -> None:
    context = {} if given is None else {"k:x": given}
    assert Condition(operator, "K:X", wanted, True).holds(context) is holds


def test_all_conditions_have_to_hold() -> None:
    text = document(allow(Condition={"StringEquals": {"a:b": "1"}, "Bool": {"aws:SecureTransport": True}}))
    both = {"a:b": ("1",), "aws:securetransport": ("true",)}
    assert ask(text, "s3:x", context=both) == "allowed"
    assert ask(text, "s3:x", context={"a:b": ("1",)}) == "implicitDeny"


def test_a_resource_policy_in_the_same_account() -> None:
    def outcome(policy: str, who: Who, grants: Grants = Grants()) -> tuple[str, str]:
        found = decide(Question("ecr:Get", "arn:x:y:::r", {}, who), grants, parse(policy, "resource"), "111111111111")
        return found.outcome, found.layer

    user = document(on_resource("Allow", {"AWS": ANN.arn}))
    account = document(on_resource("Allow", {"AWS": "arn:aws:iam::111111111111:root"}))
    assert outcome(user, ANN) == ("allowed", "")
    assert outcome(account, ANN) == ("implicitDeny", "identity")
    assert outcome(account, ANN, Grants((parse(document(allow())),))) == ("allowed", "")
    assert outcome(document(on_resource("Deny", "*")), ANN, Grants((parse(document(allow())),))) == (
        "explicitDeny",
        "resource",
    )
    not_ann = document(
        {"Effect": "Deny", "NotPrincipal": {"AWS": [ANN.arn, ANN.account]}, "Action": "*", "Resource": "*"},
        on_resource("Allow", "*"),
    )
    assert outcome(not_ann, ANN)[0] == "allowed"
    assert outcome(not_ann, Who("IAMUser", "111111111111", ANN.arn + "2"))[0] == "explicitDeny"


def test_another_accounts_resource_needs_a_yes_from_both_sides() -> None:
    grants = Grants((parse(document(allow())),))
    them = parse(document(on_resource("Allow", {"AWS": "111111111111"})), "resource")
    question = Question("ecr:Get", "arn:x", {}, ANN)
    assert decide(question, grants, them, "222222222222").allowed
    assert not decide(question, Grants(), them, "222222222222").allowed
    assert decide(question, grants, None, "222222222222").layer == "resource"


def test_boundaries_and_session_policies_take_away() -> None:
    everything, reads = parse(document(allow())), parse(document(allow("s3:Get*")))
    put, get = (Question(a, "*", {}, SESSION) for a in ("s3:Put", "s3:Get"))
    assert decide(put, Grants((everything,), boundary=reads)).layer == "boundary"
    assert decide(put, Grants((everything,), session=(reads,))).layer == "session"
    assert decide(get, Grants((everything,), reads, (reads,))).allowed
    assert not decide(get, Grants((), reads, (everything,))).allowed
    to_role = parse(document(on_resource("Allow", {"AWS": ROLE})), "resource")
    to_session = parse(document(on_resource("Allow", {"AWS": SESSION.arn})), "resource")
    bounded = Grants((), boundary=reads)
    assert not decide(put, bounded, to_role, "111111111111").allowed
    assert decide(put, bounded, to_session, "111111111111").allowed


def test_trust_is_needed_whatever_the_caller_may() -> None:
    grants = Grants((parse(document(allow())),))
    question = Question("sts:AssumeRole", ROLE, {}, ANN)

    def trusting(principal: Any) -> Any:
        return parse(document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}), "trust")

    ecs = trusting({"Service": "ecs-tasks.amazonaws.com"})
    assert not decide(question, grants, ecs, "111111111111", trust=True).allowed
    service = Who("AWSService", "111111111111", "", service="ecs-tasks.amazonaws.com")
    assert decide(Question("sts:AssumeRole", ROLE, {}, service), Grants(), ecs, "111111111111", trust=True).allowed
    account = trusting({"AWS": "111111111111"})
    assert decide(question, grants, account, "111111111111", trust=True).allowed
    assert not decide(question, Grants(), account, "111111111111", trust=True).allowed
    assert decide(question, Grants(), trusting({"AWS": ANN.arn}), "111111111111", trust=True).allowed


# What must hold for any policy

words = st.sampled_from(["ecs:Run*", "ecs:RunTask", "*", "ecr:*", "ecs:?un*", "s3:Get*"])
arns = st.sampled_from(["*", "arn:aws:ecs:*:1:task/*", "arn:aws:s3:::b", "arn:aws:ecs:eu-west-1:1:task/x"])
statements = st.builds(
    lambda e, a, r, n: {"Effect": e, ("NotAction" if n else "Action"): a, "Resource": r},
    st.sampled_from(["Allow", "Deny"]),
    st.lists(words, min_size=1, max_size=3),
    st.lists(arns, min_size=1, max_size=2),
    st.booleans(),
)
policies = st.lists(statements, min_size=1, max_size=4).map(lambda s: parse(document(*s)))
questions = st.builds(
    lambda a, r: Question(a, r, {}, ANN),
    st.sampled_from(["ecs:RunTask", "ecr:PutImage", "s3:GetObject", "iam:GetUser"]),
    st.sampled_from(["*", "arn:aws:s3:::b", "arn:aws:ecs:eu-west-1:1:task/x"]),
)


@given(st.lists(policies, max_size=4), questions)
def test_a_deny_wins_wherever_it_stands(some: list[Any], question: Question) -> None:
    everything = parse(document(deny()))
    for place in range(len(some) + 1):
        granted = Grants((*some[:place], everything, *some[place:]))
        assert decide(question, granted).outcome == "explicitDeny"


@given(st.lists(policies, max_size=3), policies, questions)
def test_more_allowing_never_takes_away_and_limits_never_give(some: list[Any], other: Any, question: Question) -> None:
    plain = decide(question, Grants(tuple(some)))
    if plain.allowed:
        assert decide(question, Grants((*some, parse(document(allow()))))).allowed
    for limited in (Grants(tuple(some), boundary=other), Grants(tuple(some), session=(other,))):
        assert plain.allowed or not decide(question, limited).allowed


@given(st.permutations(range(3)), st.lists(policies, min_size=3, max_size=3), questions)
def test_order_does_not_matter(order: list[int], some: list[Any], question: Question) -> None:
    shuffled = Grants(tuple(some[i] for i in order))
    assert decide(question, shuffled).outcome == decide(question, Grants(tuple(some))).outcome


def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_globs_match_as_their_definition_says(pattern: str, text: str) -> None:
    assert glob(pattern)(text) is naive(pattern, text)


def test_an_unkind_pattern_takes_no_time() -> None:
    assert not glob("*a" * 200 + "b")("a" * 2000)


@given(st.text(max_size=20))
def test_what_a_variable_brings_matches_itself_only(value: str) -> None:
    expanded = Template("x${k:v}y", True).expand({"k:v": (value,)})
    assert expanded is not None and glob(expanded)(f"x{value}y")
    assert not glob(expanded)(f"x{value}zy")


def test_arn_like_keeps_to_its_parts() -> None:
    assert arn_like("arn:aws:s3:::a*", "arn:aws:s3:::abc:d")
    assert not arn_like("arn:*:a", "arn:aws:s3:::a")
    assert not arn_like("arn:aws:*:::a", "arn:aws:s3:x::a")


def test_everybody_includes_services_in_a_resources_policy() -> None:
    """As queue policies are written that let a topic send: Principal * with a condition on aws:SourceArn."""
    topic = "arn:aws:sns:us-east-1:111111111111:t"
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = parse(document(statement), "resource")
    who = Who("AWSService", "111111111111", "sns.amazonaws.com", service="sns.amazonaws.com")
    for source, allowed in ((topic, True), (topic + "2", False)):
        question = Question("sqs:SendMessage", "arn:aws:sqs:::q", {"aws:sourcearn": (source,)}, who)
        assert decide(question, Grants(), policy, trust=True).allowed is allowed


def test_strangers_are_let_in_by_a_resources_policy_for_everybody_alone() -> None:
    nobody = Who("Anonymous", "", "anonymous")
    question = Question("lambda:InvokeFunctionUrl", "arn:aws:lambda:::function:f", {}, nobody)
    for principal, allowed in (("*", True), ({"AWS": "*"}, True), ({"AWS": "111111111111"}, False)):
        policy = parse(document(on_resource("Allow", principal)), "resource")
        assert decide(question, Grants(), policy, "111111111111").allowed is allowed
    both = parse(document(on_resource("Allow", "*"), on_resource("Deny", "*")), "resource")
    assert not decide(question, Grants(), both, "111111111111").allowed
    assert not decide(question, Grants(), None, "111111111111").allowed
