"""What an execution role may do: asked when it is given something to do, so that it does not come out at the first event."""

from __future__ import annotations

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
    """To destinations, "" for none. A queue or topic of another account, whose policy may allow it, is not looked at.
    Raises ApiError."""
    for target in targets:
        if not target or Arn.parse(target).account not in ("", call.account):
            continue
        action = TO_SEND[Arn.parse(target).service]
        wanted = f"{target}/*" if action == "s3:PutObject" else target
        if await refused(call, role, [action], wanted):
            name = action.partition(":")[2]
            raise invalid(f"The function's execution role does not have permissions to call {name} on {target}")
