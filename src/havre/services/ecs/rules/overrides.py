"""What RunTask changes of a task definition, for one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.errors import not_built
from havre.services.ecs.rules import fargate
from havre.services.ecs.rules.common import ROLE, client, invalid
from havre.services.ecs.rules.containers import environment_files, sizes

Json = Mapping[str, Any]


def overrides(given: Json | None, body: Json, launch: str) -> Json:
    """RunTask's overrides, checked. What Havre cannot override is refused. Raises InvalidParameterException and
    ClientException."""
    given = given or {}
    names = {c["name"] for c in body["containerDefinitions"]}
    for each in given.get("containerOverrides", ()):
        if each.get("name") not in names:
            raise invalid(f"Override for container named {each.get('name')} is not a container in the TaskDefinition.")
        if each.get("resourceRequirements"):
            raise not_built("ecs", "overrides.containerOverrides.resourceRequirements")
        environment_files(each["name"], each)
        if not all(e.get("name") for e in each.get("environment", ())):
            raise invalid("Environment variable names must not be null or empty.")
    for container in body["containerDefinitions"]:
        sizes(container["name"], overridden(container, given))
    if given.get("inferenceAcceleratorOverrides"):
        raise not_built("ecs", "overrides.inferenceAcceleratorOverrides")
    _task_level(given, body, launch)
    return given


def _task_level(given: Json, body: Json, launch: str) -> None:
    for member in ("taskRoleArn", "executionRoleArn"):
        if given.get(member) and not ROLE.fullmatch(given[member]):
            raise client("Role is not valid")
    cpu, memory = fargate.sizes(given.get("cpu") or body.get("cpu"), given.get("memory") or body.get("memory"))
    if launch == "FARGATE":
        fargate.check_size(cpu, memory)
        fargate.check_disk(given)
    elif given.get("ephemeralStorage"):
        raise client("ephemeralStorage is only supported by Fargate.")


def overridden(given: Json, overrides: Json) -> dict[str, Any]:
    """A container definition with what RunTask overrides of it."""
    made = dict(given)
    for change in overrides.get("containerOverrides", ()):
        if change.get("name") != given["name"]:
            continue
        for member in ("command", "cpu", "memory", "memoryReservation", "environmentFiles"):
            if member in change:
                made[member] = change[member]
        if change.get("environment"):
            names = {e.get("name") for e in change["environment"]}
            made["environment"] = [e for e in given["environment"] if e.get("name") not in names]
            made["environment"] += change["environment"]
    return made
