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
