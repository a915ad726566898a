"""Carries events to targets: as the service for the rule's sake, or by the target's role."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.dead_letters import attributes, send_letter
from havre.control.deliveries import Parcel, temporary
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.roles import Roles
from havre.control.targets import Handover, hand_over, kind
from havre.core.event_input import JsonPath, Template
from havre.core.event_input.paths import MISSING
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.events import metering
from havre.services.events.matching import timestamp
from havre.services.events.resources import Shipment

PRINCIPAL = "events.amazonaws.com"
MOST_HOPS = 8
"""So often an event is passed on from bus to bus: rules that send it in a circle end there."""

_CODES = (
    ("AccessDenied", "NO_PERMISSIONS"), ("AuthorizationError", "NO_PERMISSIONS"), ("KMSAccess", "NO_PERMISSIONS"),
    ("NotFound", "NO_RESOURCE"), ("NonExistent", "NO_RESOURCE"), ("DoesNotExist", "NO_RESOURCE"),
    ("Throttl", "THROTTLING"), ("TooManyRequests", "THROTTLING"), ("LimitExceeded", "RESOURCE_LIMIT_EXCEEDED"),
    ("Invalid", "INVALID_PARAMETER"), ("Validation", "INVALID_PARAMETER"), ("SERVICE_ERROR", "ERROR_FROM_TARGET"),
)  # fmt: skip
"""What is in a target's code, and what dead letters have for it."""


class Courier:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._roles = Roles(deps, PRINCIPAL)
        self._decode = msgspec.msgpack.Decoder(Shipment).decode

    async def carry(self, parcel: Parcel) -> None:
        shipment = self._decode(parcel.spec.parcel)
        if kind(shipment.target["Arn"]) == "events" and shipment.hops >= MOST_HOPS:
            raise Permanent("LOOP: the event was passed on from bus to bus too often")
        try:
            await hand_over(await self._aws(shipment), self._handover(parcel, shipment))
        except ApiError as error:
            raise temporary(error) from error
        metering.count(self._deps.metrics, shipment.rule, metering.INVOKED)

    async def _aws(self, shipment: Shipment) -> Aws:
        arn = str(shipment.target["Arn"])
        _, _, _, region, account, _ = arn.split(":", 5)
        which, role = kind(arn), shipment.target.get("RoleArn")
        of_aws = which == "events" and str(shipment.event["source"]).startswith("aws.")
        if role and which in ("ecs", "kinesis", "events", "lambda", "sqs", "sns"):
            session = f"events-{shipment.rule.rpartition('/')[2]}"
            acting = await self._roles.acting(role, account, region, session)
            if not of_aws:
                return acting
        if which == "logs" or (of_aws and role):
            return self._deps.aws_for(account, region, PRINCIPAL)
        return self._deps.aws_for(account, region, PRINCIPAL, shipment.rule)

    def _handover(self, parcel: Parcel, shipment: Shipment) -> Handover:
        event = dict(shipment.event)
        path = (shipment.target.get("KinesisParameters") or {}).get("PartitionKeyPath")
        partition = JsonPath(path).find(event) if path else MISSING
        return Handover(
            shipment.target,
            self._input(shipment),
            f"{shipment.event['id']}"[:64],
            f"events-rule/{shipment.rule.rpartition('/')[2]}",
            self._deps.site.endpoint,
            self._deps.world.now(),
            {
                **event,
                "at": shipment.taken,
                "trace": f"Havre-Hops={shipment.hops + 1}",
                "partition": None if partition is MISSING else partition,
            },
        )

    def _input(self, shipment: Shipment) -> str:
        """What the target gets."""
        target, event = shipment.target, shipment.event
        if target.get("Input"):
            return str(target["Input"])
        if target.get("InputPath"):
            found = JsonPath(target["InputPath"]).find(event)
            return _text({} if found is MISSING else found)
        transformer = target.get("InputTransformer")
        if transformer is None:
            return _text(event)
        template = Template(transformer["InputTemplate"], transformer.get("InputPathsMap") or {})
        return template.fill(event, _reserved(shipment))

    async def bury(self, parcel: Parcel) -> None:
        """To the target's dead-letter queue, with what AWS tells there about why."""
        shipment = self._decode(parcel.spec.parcel)
        if parcel.status.burials == 0:
            metering.count(self._deps.metrics, shipment.rule, metering.INVOKED)
            metering.count(self._deps.metrics, shipment.rule, metering.FAILED)
        queue = (shipment.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        _, _, _, region, account, _ = queue.split(":", 5)
        aws = self._deps.aws_for(account, region, PRINCIPAL, shipment.rule)
        status = replace(parcel.status, code=_code(parcel.status.code))
        told = attributes(status, shipment.target, {"RULE_ARN": shipment.rule})
        try:
            await send_letter(aws, self._deps.site.endpoint, queue, _text(shipment.event), told)
        except (ApiError, Permanent, Temporary):
            metering.count(self._deps.metrics, shipment.rule, metering.NOT_SENT_TO_DLQ)
            raise
        metering.count(self._deps.metrics, shipment.rule, metering.SENT_TO_DLQ)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _code(code: str) -> str:
    """What EventBridge calls a target's refusal, of what has this code."""
    return next((ours for said, ours in _CODES if said in code), code if code.isupper() else "ERROR_FROM_TARGET")


def _reserved(shipment: Shipment) -> dict[str, Any]:
    return {
        "aws.events.rule-arn": shipment.rule,
        "aws.events.rule-name": shipment.rule.rpartition("/")[2],
        "aws.events.event.ingestion-time": timestamp(shipment.taken),
        "aws.events.event": {
            "detailType" if name == "detail-type" else name: value
            for name, value in shipment.event.items()
            if name != "detail"
        },
        "aws.events.event.json": shipment.event,
    }
