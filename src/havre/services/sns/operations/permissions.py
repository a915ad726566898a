"""AddPermission and RemovePermission: statements of a topic's policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.sns import attributes, names, present, queries
from havre.services.sns.errors import invalid
from havre.services.sns.names import of_topic
from havre.store.ports import Transaction

ops = Operations()
_ACTIONS = {
    name.lower(): name
    for name in (
        "Publish", "RemovePermission", "SetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic",
        "GetTopicAttributes", "AddPermission", "Subscribe",
    )
}  # fmt: skip
Statements = list[dict[str, Any]]


@ops("AddPermission", resources=of_topic())
async def add_permission(call: Call, request: Request) -> Answer:
    label, accounts = request["Label"], request["AWSAccountId"]
    if not accounts or not request["ActionName"]:
        raise invalid("AWSAccountId" if not accounts else "ActionName")
    for account in accounts:
        if len(account) != 12 or not account.isdigit():
            raise invalid("PrincipalId is not a 12-digit account number")
    unknown = [name for name in request["ActionName"] if name.lower() not in _ACTIONS]
    if unknown:
        raise invalid(f"Policy statement action out of service scope! {unknown[0]}")
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]},
        "Action": [f"SNS:{_ACTIONS[name.lower()]}" for name in request["ActionName"]],
        "Resource": request["TopicArn"],
    }

    def add(statements: Statements) -> Statements:
        if any(each.get("Sid") == label for each in statements):
            raise invalid("Statement already exists")
        return [*statements, statement]

    return await _change(call, request["TopicArn"], add)


@ops("RemovePermission", resources=of_topic())
async def remove_permission(call: Call, request: Request) -> Answer:
    """A label that is not there is removed already."""

    def remove(statements: Statements) -> Statements:
        return [each for each in statements if each.get("Sid") != request["Label"]]

    return await _change(call, request["TopicArn"], remove)


async def _change(call: Call, arn: str, how: Callable[[Statements], Statements]) -> Answer:
    place = names.topic_place(call, arn)

    def change(tx: Transaction) -> None:
        found = queries.topic(tx, place)
        document = json.loads(found.spec.policy or present.default_policy(found.meta.arn, place.account))
        own = document["Statement"]
        statements = how(own if isinstance(own, list) else [own])
        text = json.dumps({**document, "Statement": statements}) if statements else ""
        if text:
            attributes.policy(text)
        tx.update(found, spec=replace(found.spec, policy=text))

    await call.store.transact(change)
    return None
