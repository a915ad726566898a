"""AddPermission and RemovePermission: statements of the queue's policy, by their labels; and tags."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.sqs import policy, queries
from havre.services.sqs.errors import bad_value, missing
from havre.services.sqs.resources import Queue, QueueSpec
from havre.services.sqs.tags import checked
from havre.store.ports import Transaction

ops = Operations()
ACTIONS = frozenset(
    (
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    )
)
MOST_ACTIONS = 7
MOST_STATEMENTS = 20
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}").fullmatch
_ACCOUNT = re.compile(r"\d{12}").fullmatch
replace = msgspec.structs.replace


async def _change(call: Call, request: Request, change: Callable[[Queue], QueueSpec]) -> None:
    def write(tx: Transaction) -> None:
        queue = queries.own(call, request, tx)
        spec = change(queue)
        if spec != queue.spec:
            tx.update(queue, spec=spec)

    await call.store.transact(write)


@ops("AddPermission", resources=queries.of_url, conditions=queries.tags_of)
async def add_permission(call: Call, request: Request) -> Answer:
    label, accounts, actions = request["Label"], request["AWSAccountIds"], request["Actions"]
    _check(label, accounts, actions)

    def change(queue: Queue) -> QueueSpec:
        found = policy.statements(queue.spec.policy)
        if any(each.get("Sid") == label for each in found):
            raise bad_value("Label", label, "Already exists.")
        if len(found) >= MOST_STATEMENTS:
            raise ApiError(
                "OverLimit", f"{len(found)} statements were found, maximum allowed is {MOST_STATEMENTS}.", 403
            )
        arn = queue.meta.arn
        found = [*found, policy.permission(label, accounts, actions, arn)]
        return replace(queue.spec, policy=policy.document(queue.spec.policy, arn, found), modified=call.now)

    await _change(call, request, change)
    return None


def _check(label: str, accounts: list[str], actions: list[str]) -> None:
    if not _LABEL(label):
        raise bad_value(
            "Label", label, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    if not accounts:
        raise missing("AWSAccountId")
    if not actions:
        raise missing("ActionName")
    for account in accounts:
        if not _ACCOUNT(account):
            raise bad_value("PrincipalId", account, "Unable to verify.")
    if len(actions) > MOST_ACTIONS:
        raise bad_value(
            "ActionName", len(actions), f"{len(actions)} actions were found, maximum allowed is {MOST_ACTIONS}."
        )
    for action in actions:
        if action not in ACTIONS:
            told = f"Only the queue owner is allowed to invoke this action, or it is not one: {sorted(ACTIONS)} are."
            raise bad_value("ActionName", action, told)


@ops("RemovePermission", resources=queries.of_url, conditions=queries.tags_of)
async def remove_permission(call: Call, request: Request) -> Answer:
    label = request["Label"]

    def change(queue: Queue) -> QueueSpec:
        found = policy.statements(queue.spec.policy)
        left = [each for each in found if each.get("Sid") != label]
        if len(left) == len(found):
            raise bad_value("Label", label, "can't find label.")
        made = policy.document(queue.spec.policy, queue.meta.arn, left)
        return replace(queue.spec, policy=made, modified=call.now)

    await _change(call, request, change)
    return None


@ops("TagQueue", resources=queries.of_url, conditions=queries.tags_of)
async def tag_queue(call: Call, request: Request) -> Answer:
    await _change(call, request, lambda queue: replace(queue.spec, tags=checked(queue.spec.tags, request["Tags"])))
    return None


@ops("UntagQueue", resources=queries.of_url, conditions=queries.tags_of)
async def untag_queue(call: Call, request: Request) -> Answer:
    keys = request["TagKeys"]
    await _change(
        call,
        request,
        lambda queue: replace(queue.spec, tags={k: v for k, v in queue.spec.tags.items() if k not in keys}),
    )
    return None


@ops("ListQueueTags", resources=queries.of_url, conditions=queries.tags_of)
async def list_queue_tags(call: Call, request: Request) -> Answer:
    return {"Tags": queries.own(call, request).spec.tags or None}
