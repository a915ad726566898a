"""Resources → AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.services.events.names import Place
from havre.services.events.resources import ArchiveRecord, BusRecord, ReplayRecord, RuleRecord
from havre.store.ports import Extent


def bus(place: Place, found: BusRecord | None) -> dict[str, Any]:
    """The default bus may have no record."""
    shown: dict[str, Any] = {"Name": place.name, "Arn": place.arn}
    if found is not None:
        shown |= {
            "Description": found.spec.description or None,
            "Policy": found.spec.policy or None,
            "CreationTime": found.meta.created,
            "LastModifiedTime": found.meta.updated,
        }
    return shown


def rule(found: RuleRecord) -> dict[str, Any]:
    spec = found.spec
    return {
        "Name": spec.rule,
        "Arn": found.meta.arn,
        "EventPattern": spec.pattern or None,
        "State": spec.state,
        "Description": spec.description or None,
        "ScheduleExpression": spec.schedule or None,
        "RoleArn": spec.role or None,
        "EventBusName": spec.bus,
    }


def archive(found: ArchiveRecord, extent: Extent | None, events: int) -> dict[str, Any]:
    spec, meta = found.spec, found.meta
    return {
        "ArchiveName": meta.name,
        "EventSourceArn": Place(meta.account, meta.region, spec.bus).arn,
        "State": "ENABLED",
        "RetentionDays": spec.retention,
        "SizeBytes": extent.bytes if extent is not None else 0,
        "EventCount": events,
        "CreationTime": meta.created,
    }


def replay(found: ReplayRecord) -> dict[str, Any]:
    spec, status = found.spec, found.status
    return {
        "ReplayName": found.meta.name,
        "EventSourceArn": spec.archive,
        "State": status.state,
        "StateReason": status.reason or None,
        "EventStartTime": spec.begin,
        "EventEndTime": spec.end,
        "EventLastReplayedTime": status.at / 1000 if status.at else None,
        "ReplayStartTime": found.meta.created,
        "ReplayEndTime": status.ended,
    }
