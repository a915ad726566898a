"""Resources → AWS's shapes. Times are milliseconds."""

from __future__ import annotations

from typing import Any

from havre.services.logs.resources import Group, Policy, Stream
from havre.store.ports import Extent


def milliseconds(at: float) -> int:
    return int(at * 1000)


def group(found: Group, stored: int, filters: int) -> dict[str, Any]:
    return {
        "logGroupName": found.meta.name,
        "creationTime": milliseconds(found.meta.created),
        "retentionInDays": found.spec.retention or None,
        "metricFilterCount": filters,
        "arn": f"{found.meta.arn}:*",
        "logGroupArn": found.meta.arn,
        "storedBytes": stored,
        "logGroupClass": found.spec.group_class,
        "deletionProtectionEnabled": found.spec.protected,
    }


def summary(found: Group) -> dict[str, Any]:
    return {
        "logGroupName": found.meta.name,
        "logGroupArn": found.meta.arn,
        "logGroupClass": found.spec.group_class,
    }


def sequence_token(found: Stream) -> str:
    """Tokens are ignored today; clients of old still hand on what they were given."""
    return f"{int(found.spec.journal.rsplit('/', 1)[-1], 16):056d}"


def stream(found: Stream, extent: Extent | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "logStreamName": found.spec.stream,
        "creationTime": milliseconds(found.meta.created),
        "arn": found.meta.arn,
        "uploadSequenceToken": sequence_token(found),
        "storedBytes": 0,  # as on AWS since 2019
    }
    if extent is not None:
        times = (extent.first, extent.last, extent.appended or None)
        shown |= zip(("firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime"), times, strict=True)
    return shown


def policy(found: Policy) -> dict[str, Any]:
    return {
        "policyName": None if found.spec.resource else found.meta.name.removeprefix("account/"),
        "policyDocument": found.spec.document,
        "lastUpdatedTime": milliseconds(found.meta.updated),
        "policyScope": "RESOURCE" if found.spec.resource else "ACCOUNT",
        "resourceArn": found.spec.resource or None,
        "revisionId": found.spec.revision or None,
    }
