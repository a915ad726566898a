"""Universal targets: ``arn:aws:scheduler:::aws-sdk:service:action`` names any operation of any service. Pure."""

from __future__ import annotations

import re
from typing import Any

_FORM = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9]+):([A-Za-z][A-Za-z0-9]+)\Z")
_READS = re.compile(
    r"(get|describe|list|poll|receive|search|scan|query|select|read|lookup|discover|validate|batchGet)[A-Z]"
)
_NAMES = {
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "elasticloadbalancingv2": "elbv2",
    "sfn": "stepfunctions",
}
"""AWS's SDK names of services → botocore's."""
_LOWER = frozenset({"ecs", "ecr", "logs", "eks"})
"""Services whose members begin with a lower-case letter: inputs spell them with a capital one."""
_BLOBS = frozenset({"Payload", "Data", "Record"})


def is_universal(arn: str) -> bool:
    return _FORM.match(arn) is not None


def reads(arn: str) -> bool:
    """Whether the action only reads: Scheduler takes none of those."""
    found = _FORM.match(arn)
    return found is not None and _READS.match(found[2]) is not None


def action(arn: str) -> str:
    return arn.rpartition(":")[2]


def call(arn: str, given: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Service, operation and request, by botocore's names."""
    found = _FORM.match(arn)
    assert found is not None
    service = _NAMES.get(found[1], found[1])
    operation = found[2][:1].upper() + found[2][1:]
    request = _lowered(given) if service in _LOWER else given
    return service, operation, {k: _blob(k, v) for k, v in request.items()}


def _blob(name: str, value: Any) -> Any:
    return value.encode() if name in _BLOBS and isinstance(value, str) else value


def _lowered(value: Any) -> Any:
    """Names within maps that users name themselves (tags, environments) do not begin with a capital letter as a rule."""
    if isinstance(value, dict):
        return {k[:1].lower() + k[1:]: _lowered(v) for k, v in value.items()}
    return [_lowered(v) for v in value] if isinstance(value, list) else value
