"""Launch types, capacity providers, and where awsvpc tasks go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.placement import QueryError, parse
from havre.kernel.errors import not_built
from havre.services.ecs.resources import Launch, Subnets
from havre.services.ecs.rules import fargate
from havre.services.ecs.rules.common import client, invalid

PROVIDERS = ("FARGATE", "FARGATE_SPOT")
LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
Json = Mapping[str, Any]


def strategy(given: Sequence[Json], providers: Sequence[str]) -> tuple[Json, ...]:
    """A capacity provider strategy, completed. ``providers`` are those of the cluster."""
    if len(given) > 20:
        raise invalid("A capacity provider strategy can have at most 20 capacity providers.")
    made = []
    for each in given:
        name, base, weight = each["capacityProvider"], each.get("base", 0), each.get("weight", 0)
        if name not in providers:
            raise invalid(
                f"The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
            )
        if not 0 <= weight <= 1000 or not 0 <= base <= 100_000:
            raise invalid("The base must be between 0 and 100000 and the weight between 0 and 1000.")
        made.append({"capacityProvider": name, "weight": weight, "base": base})
    if made and all(not m["weight"] for m in made):
        raise invalid("At least one capacity provider of a strategy must have a weight above 0.")
    if sum(1 for m in made if m["base"]) > 1:
        raise invalid("Only one capacity provider of a strategy can have a base.")
    return tuple(made)


def launch_type(
    request: Json, cluster_providers: Sequence[str], default: Sequence[Json]
) -> tuple[str, tuple[tuple[str, int, int], ...]]:
    """EC2 or FARGATE, and the (name, base, weight) of each capacity provider."""
    wanted, given = request.get("launchType"), request.get("capacityProviderStrategy") or ()
    if wanted and given:
        raise invalid("Specifying both a launch type and capacity provider strategy is not supported. "
                      "Remove one and try again.")  # fmt: skip
    if wanted is not None and wanted not in LAUNCH_TYPES:
        raise invalid(f"Invalid launch type: {wanted}.")
    if wanted in ("EXTERNAL", "MANAGED_INSTANCES"):
        raise not_built("ecs", f"launch type {wanted}")
    chosen = tuple(default) if not wanted else ()
    if given:
        chosen = strategy(given, cluster_providers or PROVIDERS)
    if chosen:
        return "FARGATE", tuple((c["capacityProvider"], c["base"], c["weight"]) for c in chosen)
    return wanted or "EC2", ()


def compatible(body: Json, launch: str) -> None:
    """Whether the definition may run there. Raises InvalidParameterException as AWS does."""
    wanted = body.get("requiresCompatibilities") or body["compatibilities"]
    if launch not in wanted:
        raise invalid(f"Task definition does not support launch_type {launch}.")


def subnets(body: Json, given: Json | None) -> Subnets | None:
    """The awsvpcConfiguration that a definition needs, or must not have."""
    config = (given or {}).get("awsvpcConfiguration")
    if body.get("networkMode") != "awsvpc":
        if config:
            raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
        return None
    if not config:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not 1 <= len(config["subnets"]) <= 16:
        raise invalid("subnets can have between 1 and 16 items.")
    if len(config.get("securityGroups") or ()) > 5:
        raise invalid("securityGroups can have at most 5 items.")
    public = config.get("assignPublicIp", "DISABLED")
    if public not in ("ENABLED", "DISABLED"):
        raise invalid(f"Invalid assignPublicIp: {public}.")
    return Subnets(tuple(config["subnets"]), tuple(config.get("securityGroups") or ()), public == "ENABLED")


def constraints(given: Sequence[Json] | None, launch: str) -> tuple[tuple[str, str], ...]:
    if given and launch == "FARGATE":
        raise client("Placement constraints are not supported with FARGATE launch type.")
    if len(given or ()) > 10:
        raise invalid("placementConstraints can have at most 10 items.")
    made = []
    for each in given or ():
        kind, expression = each.get("type"), each.get("expression", "")
        if kind not in ("distinctInstance", "memberOf"):
            raise invalid(f"Invalid placement constraint type: {kind}.")
        if kind == "distinctInstance" and expression:
            raise invalid("Expressions are not supported for constraint type distinctInstance.")
        if kind == "memberOf":
            try:
                parse(expression)
            except QueryError as error:
                raise invalid(f"Invalid expression in placement constraint: {error}") from None
        made.append((str(kind), expression))
    return tuple(made)


def strategies(given: Sequence[Json] | None, launch: str) -> tuple[tuple[str, str], ...]:
    if given and launch == "FARGATE":
        raise client("Placement strategies are not supported with FARGATE launch type.")
    if len(given or ()) > 5:
        raise invalid("placementStrategy can have at most 5 items.")
    made = []
    for each in given or ():
        kind, field = each.get("type"), each.get("field", "")
        if kind not in ("random", "spread", "binpack"):
            raise invalid(f"Invalid placement strategy type: {kind}.")
        if kind == "binpack" and field.lower() not in ("cpu", "memory"):
            raise invalid(f"Invalid field for placement strategy binpack: {field}. Valid values are CPU and MEMORY.")
        if kind == "spread" and not (field in ("instanceId", "host") or field.startswith("attribute:")):
            raise invalid(f"Invalid field for placement strategy spread: {field}.")
        if kind == "random" and field:
            raise invalid("Placement strategy random takes no field.")
        made.append((str(kind), field))
    return tuple(made)


def launch(
    request: Json, definition: str, body: Json, kind: str, providers: tuple[tuple[str, int, int], ...]
) -> Launch:
    """What RunTask and CreateService ask for alike; ``definition`` is the key of ``body``'s. Raises
    InvalidParameterException, ClientException."""
    compatible(body, kind)
    return Launch(
        kind,
        definition,
        subnets(body, request.get("networkConfiguration")),
        providers,
        fargate.wanted_platform(request.get("platformVersion"), kind),
        constraints(request.get("placementConstraints"), kind),
        strategies(request.get("placementStrategy"), kind),
    )
