"""Namespaces, dimensions, and what IAM is told of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call, Request
from havre.services.cloudwatch.errors import invalid

Dimensions = tuple[tuple[str, str], ...]


def dimensions(given: Sequence[Mapping[str, Any]] | None, where: str = "Dimensions") -> Dimensions:
    """In the order of names. Raises ApiError where one comes twice."""
    found: dict[str, str] = {}
    for number, each in enumerate(given or (), 1):
        name, value = each["Name"], each["Value"]
        if name in found and found[name] != value:
            raise invalid(f"The parameter {where} must not contain the dimension {name} twice.")
        if name.startswith(":") or not name.isascii() or not value.isascii():
            raise invalid(f"The value {name} for parameter {where}.member.{number}.Name is invalid.")
        found[name] = value
    return tuple(sorted(found.items()))


def shown(pairs: Dimensions) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs]


def conditions(call: Call, request: Request) -> Mapping[str, str]:
    return {"cloudwatch:namespace": request["Namespace"]} if "Namespace" in request else {}


def alarm_arn(call: Call, name: str) -> str:
    return call.arn(f"alarm:{name}", "cloudwatch")


def of_alarm(call: Call, request: Request) -> Sequence[str]:
    return (alarm_arn(call, request["AlarmName"]),)


def of_alarms(call: Call, request: Request) -> Sequence[str]:
    return [alarm_arn(call, name) for name in request["AlarmNames"]] or [alarm_arn(call, "*")]


def of_described(call: Call, request: Request) -> Sequence[str]:
    named = request.get("AlarmNames") or [request.get("AlarmName", "*")]
    return [alarm_arn(call, name) for name in named]


def dashboard_arn(call: Call, name: str) -> str:
    """Dashboards belong to no region."""
    return f"arn:aws:cloudwatch::{call.account}:dashboard/{name}"


def parsed(arn: str) -> tuple[str, str, str, str]:
    """Kind (alarm or dashboard, "" for anything else), account, region and name."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[:3] != ["arn", "aws", "cloudwatch"]:
        return "", "", "", ""
    for kind, mark in (("alarm", ":"), ("dashboard", "/")):
        if parts[5].startswith(kind + mark):
            return kind, parts[4], parts[3], parts[5][len(kind) + 1 :]
    return "", "", "", ""


def alarm_name(given: str) -> str:
    """Of an alarm that is named by its name or its ARN."""
    kind, _, _, name = parsed(given)
    return name if kind == "alarm" else given
