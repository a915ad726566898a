"""What an execution role may do: asked when it is given something to do, so that it does not come out at the first event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call
from havre.kernel.arn import Arn
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.roles import PRINCIPAL

TO_SEND = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
    "s3": "s3:PutObject",
}
"""Service of a target's ARN → what sending to it takes."""
NAMES = {
    "dynamodb": "DynamoDB",
    "ec2": "EC2",
    "events": "EventBridge",
    "kinesis": "Kinesis",
    "lambda": "Lambda",
    "s3": "S3",
    "sns": "SNS",
    "sqs": "SQS",
}


async def refused(call: Call, role: str, actions: Sequence[str], arn: str, policy: str = "") -> str:
    """The first of ``actions`` that neither the role's policies nor ``policy``, the resource's own, allow it; "" for none.
    Nothing is refused where nothing is checked."""
    if call.site.auth == "open":
        return ""
    assert call.as_service is not None
    request: dict[str, Any] = {
        "PolicySourceArn": role,
        "ActionNames": list(actions),
        "ResourceArns": [arn],
        "CallerArn": role,
    }
    if arn.startswith("arn:"):
        request["ResourceOwner"] = f"arn:aws:iam::{Arn.parse(arn).account or call.account}:root"
    if policy:
        request["ResourcePolicy"] = policy
    answer = await call.as_service(PRINCIPAL)("iam", "SimulatePrincipalPolicy", request)
    rows: Sequence[Mapping[str, Any]] = answer["EvaluationResults"]
    return next((str(row["EvalActionName"]) for row in rows if row["EvalDecision"] != "allowed"), "")


async def check(call: Call, role: str, actions: Sequence[str], arn: str, policy: str = "") -> None:
    """Raises ApiError."""
    action = await refused(call, role, actions, arn, policy)
    if action:
        service, _, name = action.partition(":")
        raise invalid(f"The provided execution role does not have permissions to call {name} on {NAMES[service]}")


async def check_sending(call: Call, role: str, targets: Sequence[str]) -> None:
    """To destinations, "" for none. What a queue or topic of another account allows is that account's business: the role's
    own policies have to allow it in any case. Raises ApiError."""
    for target in targets:
        if not target:
            continue
        where = Arn.parse(target)
        action = TO_SEND[where.service]
        wanted = f"{target}/*" if action == "s3:PutObject" else target
        theirs = "" if where.account in ("", call.account) else _letting(role, action, wanted)
        if await refused(call, role, [action], wanted, theirs):
            name = action.partition(":")[2]
            raise invalid(f"The function's execution role does not have permissions to call {name} on {target}")


def _letting(role: str, action: str, resource: str) -> str:
    """The policy of a resource that lets the role in: then its own policies alone decide."""
    statement = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
