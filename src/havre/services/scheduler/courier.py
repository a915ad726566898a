"""Invokes targets by the role that the schedule names."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec

from havre.control.dead_letters import attributes, send_letter
from havre.control.deliveries import Parcel, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.roles import Roles
from havre.control.targets import Handover, hand_over
from havre.kernel.errors import ApiError
from havre.services.scheduler import universal
from havre.services.scheduler.resources import Invocation

PRINCIPAL = "scheduler.amazonaws.com"


class Courier:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)
        self._decode = msgspec.msgpack.Decoder(Invocation).decode

    async def carry(self, parcel: Parcel) -> None:
        invocation = self._decode(parcel.spec.parcel)
        try:
            await self._invoke(parcel, invocation)
        except ApiError as error:
            raise temporary(error) from error

    async def _invoke(self, parcel: Parcel, invocation: Invocation) -> None:
        arn, role = str(invocation.target["Arn"]), str(invocation.target["RoleArn"])
        own = parcel.meta
        any_of_aws = universal.is_universal(arn)
        account, region = (own.account, own.region) if any_of_aws else (arn.split(":")[4], arn.split(":")[3])
        aws = await self._roles.acting(role, account, region, _session(invocation))
        text = _input(parcel, invocation)
        if any_of_aws:
            await aws(*universal.call(arn, json.loads(text)))
            return
        name = invocation.schedule.rpartition("/")[2]
        at = self._deps.world.now()
        await hand_over(
            aws, Handover(invocation.target, text, invocation.id, f"scheduler/{name}", self._deps.site.endpoint, at)
        )

    async def bury(self, parcel: Parcel) -> None:
        """To the dead-letter queue, by the same role, with what AWS tells there about why."""
        invocation = self._decode(parcel.spec.parcel)
        queue = (invocation.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        _, _, _, region, account, _ = queue.split(":", 5)
        role = str(invocation.target["RoleArn"])
        try:
            aws = await self._roles.acting(role, account, region, _session(invocation))
        except ApiError as error:
            raise temporary(error) from error
        about = {
            "SCHEDULE_ARN": invocation.schedule,
            "SCHEDULED_TIME": timestamp(invocation.at),
            "EXECUTION_ID": invocation.id,
            "IS_PAYLOAD_TRUNCATED": "false",
        }
        told = attributes(parcel.status, invocation.target, about)
        await send_letter(aws, self._deps.site.endpoint, queue, _input(parcel, invocation), told)


def _session(invocation: Invocation) -> str:
    return f"scheduler-{invocation.schedule.rpartition('/')[2]}"


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _input(parcel: Parcel, invocation: Invocation) -> str:
    """What the target gets; without an Input, what AWS makes up for one."""
    meta, target = parcel.meta, invocation.target
    text = target.get("Input")
    if not text:
        if universal.is_universal(target["Arn"]):
            return "{}"
        event = {
            "version": "0",
            "id": invocation.id,
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": meta.account,
            "time": timestamp(invocation.at),
            "region": meta.region,
            "resources": [invocation.schedule],
            "detail": "{}",
        }
        return "{}" if target.get("EventBridgeParameters") else json.dumps(event, separators=(",", ":"))
    known = {
        "<aws.scheduler.schedule-arn>": invocation.schedule,
        "<aws.scheduler.scheduled-time>": timestamp(invocation.at),
        "<aws.scheduler.execution-id>": invocation.id,
        "<aws.scheduler.attempt-number>": str(parcel.status.failed + 1),
    }
    for name, value in known.items():
        text = text.replace(name, value)
    return str(text)
