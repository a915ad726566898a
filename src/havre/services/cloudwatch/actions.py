"""What alarms do: which ARNs can be actions, and how what they get is carried there.

Topics and functions are called as CloudWatch for the alarm's sake, so that their policies decide. The policy that a topic
has by itself lets in what acts for its own account, as on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.control.deliveries import Parcel, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.core.delivery import RetryPolicy
from havre.kernel.errors import ApiError, not_built
from havre.services.cloudwatch import history
from havre.services.cloudwatch.errors import validation
from havre.services.cloudwatch.resources import Notice

PRINCIPAL, OF_FUNCTIONS = "cloudwatch.amazonaws.com", "lambda.alarms.cloudwatch.amazonaws.com"
POLICY = RetryPolicy(at_once=1, growing=8, late=40, least=1.0, most=60.0, age=3600.0)
"""How often, and how long, an action that fails for a while is tried again."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Notice).decode


def check(region: str, arns: tuple[str, ...]) -> None:
    """Raises ApiError for what is no action, or none that is built."""
    for arn in arns:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
            raise validation(f"Invalid arn syntax: {arn}")
        service = parts[2] if parts[2] != "automate" else "ec2"
        if service == "autoscaling" and parts[5].startswith("scalingPolicy:") and ":resource/ecs/" in parts[5]:
            continue  # Application Auto Scaling looks at the alarms that name its policies
        if service not in ("sns", "lambda"):
            raise not_built("cloudwatch", f"alarm actions of {service} ({arn})")
        if service == "sns" and parts[3] != region:
            raise validation(f"Invalid region {parts[3]} specified. Only {region} is supported.")
        if service == "sns" and parts[5].endswith(".fifo"):
            raise not_built("cloudwatch", f"alarm actions that are FIFO topics ({arn})")
        if service == "lambda" and not parts[5].startswith("function:"):
            raise validation(f"Invalid arn syntax: {arn}")


def packed(notice: Notice) -> bytes:
    return _encode(notice)


class Courier:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    async def carry(self, parcel: Parcel) -> None:
        notice = _decode(parcel.spec.parcel)
        account, region = parcel.meta.account, parcel.meta.region
        try:
            await self._carry(notice, account, region)
        except ApiError as refusal:
            failed = temporary(refusal)
            if failed is refusal:
                await self._note(notice, account, region, refusal)
            raise failed from refusal
        await self._note(notice, account, region, None)

    async def _carry(self, notice: Notice, account: str, region: str) -> None:
        if not notice.action:
            aws = self._deps.aws_for(account, region, PRINCIPAL)
            await aws("events", "PutEvents", {"Entries": [json.loads(notice.text)]})
            return
        _, _, service, there, owner, _ = notice.action.split(":", 5)
        if service == "autoscaling":
            return
        if service == "sns":
            request = {"TopicArn": notice.action, "Message": notice.text, "Subject": notice.subject}
            await (await self._publisher(notice, owner, there))("sns", "Publish", request)
            return
        aws = self._deps.aws_for(owner or account, there or region, OF_FUNCTIONS, notice.alarm)
        payload = notice.text.encode()
        await aws("lambda", "Invoke", {"FunctionName": notice.action, "InvocationType": "Event", "Payload": payload})

    async def _publisher(self, notice: Notice, account: str, region: str) -> Aws:
        freely = self._deps.aws_for(account, region, PRINCIPAL)
        found = await freely("sns", "GetTopicAttributes", {"TopicArn": notice.action})
        policy = str((found.get("Attributes") or {}).get("Policy") or "{}")
        if lets_in_owner(policy, notice.alarm.split(":")[4]):
            return freely
        return self._deps.aws_for(account, region, PRINCIPAL, notice.alarm)

    async def _note(self, notice: Notice, account: str, region: str, refusal: ApiError | None) -> None:
        if not notice.action:
            return
        done = "Successfully executed" if refusal is None else "Failed to execute"
        data: dict[str, Any] = {
            "version": "1.0",
            "actionState": "Succeeded" if refusal is None else "Failed",
            "notificationResource": notice.action,
        }
        if refusal is not None:
            data["error"] = f"{refusal.code}: {refusal.message}"[:1000]
        item = history.Item(notice.name, notice.type, "Action", f"{done} action {notice.action}"[:255], data)
        await history.note(self._deps.journal, account, region, self._deps.world.now(), item)

    async def bury(self, parcel: Parcel) -> None:
        """Alarms have no dead-letter queue; the log has what failed."""


def lets_in_owner(policy: str, account: str) -> bool:
    """Whether a topic's policy has the statement that AWS gives it: whoever acts for its own account may publish."""
    try:
        document = json.loads(policy)
    except ValueError:
        return False
    statements = document.get("Statement") or []
    return any(_lets_in(each, account) for each in (statements if isinstance(statements, list) else [statements]))


def _lets_in(statement: Mapping[str, Any], account: str) -> bool:
    everybody = statement.get("Principal") in ("*", {"AWS": "*"})
    actions = statement.get("Action") or []
    named = {str(each).lower() for each in ([actions] if isinstance(actions, str) else actions)}
    owner = {"StringEquals": {"AWS:SourceOwner": account}}
    publishes = bool(named & {"sns:publish", "sns:*", "*"})
    return statement.get("Effect") == "Allow" and everybody and publishes and statement.get("Condition") == owner
