"""Policies that decide by the tags of what is asked about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.running_gateway import Running, code

from havre.control import nodes
from havre.services import ecs, elbv2, events, sns


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    made = Running(besides=(ecs.service(), elbv2.service(), events.service(), sns.service()), kinds=nodes.KINDS)
    yield made
    made.close()


Make = Callable[[Any, str, str], str]
Ask = Callable[[Any, str], Any]


def _tags(team: str, lower: bool = False) -> list[dict[str, str]]:
    return [{"key": "team", "value": team}] if lower else [{"Key": "team", "Value": team}]


def cluster(client: Any, name: str, team: str) -> str:
    arn: str = client.create_cluster(clusterName=name, tags=_tags(team, lower=True))["cluster"]["clusterArn"]
    return arn


def definition(client: Any, name: str, team: str) -> str:
    container = {"name": "c", "image": "i", "memory": 8}
    made = client.register_task_definition(family=name, containerDefinitions=[container], tags=_tags(team, lower=True))
    arn: str = made["taskDefinition"]["taskDefinitionArn"]
    return arn


def role(client: Any, name: str, team: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    made = client.create_role(RoleName=name, Path="/of/", AssumeRolePolicyDocument=trust, Tags=_tags(team))
    arn: str = made["Role"]["Arn"]
    return arn


def topic(client: Any, name: str, team: str) -> str:
    arn: str = client.create_topic(Name=name, Tags=_tags(team))["TopicArn"]
    return arn


def rule(client: Any, name: str, team: str) -> str:
    made = client.put_rule(Name=name, ScheduleExpression="rate(1 day)", Tags=_tags(team))
    arn: str = made["RuleArn"]
    return arn


def group(client: Any, name: str, team: str) -> str:
    made = client.create_target_group(Name=name, TargetType="lambda", Tags=_tags(team))
    arn: str = made["TargetGroups"][0]["TargetGroupArn"]
    return arn


CASES: list[tuple[str, str, str, Make, Ask]] = [
    ("ecs", "ecs:DescribeClusters", "ecs", cluster, lambda c, arn: c.describe_clusters(clusters=[arn])),
    ("ecs", "ecs:DescribeClusters", "aws", cluster, lambda c, arn: c.describe_clusters(clusters=[arn])),
    ("ecs", "ecs:RunTask", "aws", definition, lambda c, arn: c.run_task(taskDefinition=arn)),
    ("iam", "iam:GetRole", "iam", role, lambda c, arn: c.get_role(RoleName=arn.rpartition("/")[2])),
    ("sns", "sns:GetTopicAttributes", "aws", topic, lambda c, arn: c.get_topic_attributes(TopicArn=arn)),
    ("events", "events:DescribeRule", "aws", rule, lambda c, arn: c.describe_rule(Name=arn.rpartition("/")[2])),
    (
        "elbv2",
        "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing",
        group,
        lambda c, arn: c.modify_target_group(TargetGroupArn=arn, HealthCheckEnabled=False),
    ),
]
REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}


@pytest.mark.parametrize(("service", "action", "prefix", "make", "ask"), CASES)
def test_only_what_has_the_teams_tag(
    running: Running, service: str, action: str, prefix: str, make: Make, ask: Ask
) -> None:
    user = f"{service}-{prefix}-{make.__name__}"
    iam = running.client("iam")
    iam.create_user(UserName=user)
    may = {
        "Effect": "Allow",
        "Action": action,
        "Resource": "*",
        "Condition": {"StringEquals": {f"{prefix}:ResourceTag/team": "blue"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": may})
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)
    theirs = running.client(service, iam.create_access_key(UserName=user)["AccessKey"])
    own = running.client(service)
    blue, red = (make(own, f"{make.__name__}-{prefix}-{team}", team) for team in ("blue", "red"))
    assert code(lambda: ask(theirs, blue)) not in REFUSED
    assert code(lambda: ask(theirs, red)) in REFUSED
    assert code(lambda: ask(theirs, red + "gone")) in REFUSED
