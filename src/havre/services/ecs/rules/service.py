"""What a service may ask for: checks and defaults. Pure. Messages are AWS's where AWS's are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.kernel.errors import not_built
from havre.services.ecs.resources import Target
from havre.services.ecs.rules.common import NAME, invalid

Json = Mapping[str, Any]
STRATEGIES = ("REPLICA", "DAEMON")
LARGEST = 5000
NO_COUNT = (
    "The daemon scheduling strategy does not support a desired count for services. "
    "Remove the desired count value and try again"
)
_REFUSED = (
    "serviceRegistries",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
    "role",
)
_REFUSED_DEPLOYMENT = ("lifecycleHooks", "linearConfiguration", "canaryConfiguration", "bakeTimeInMinutes")
_THRESHOLDS = ("COUNT", "BOUNDED_PERCENT", "UNBOUNDED_PERCENT")


def name(given: str) -> str:
    if not NAME.fullmatch(given):
        raise invalid("Invalid service name. Up to 255 letters (uppercase and lowercase), numbers, underscores, and "
                      "hyphens are allowed.")  # fmt: skip
    return given


def built(request: Json, operation: str) -> None:
    """Refuse by name what Havre does not do for services."""
    for member in _REFUSED:
        if request.get(member):
            raise not_built("ecs", f"{operation} {member}")
    if (request.get("serviceConnectConfiguration") or {}).get("enabled"):
        raise not_built("ecs", f"{operation} serviceConnectConfiguration")
    controller = (request.get("deploymentController") or {}).get("type", "ECS")
    if controller not in ("ECS", "CODE_DEPLOY", "EXTERNAL"):
        raise invalid(f"Invalid deployment controller type: {controller}.")
    if controller != "ECS":
        raise not_built("ecs", f"{operation} deploymentController {controller}")


def scheduling(given: str | None) -> str:
    if given is not None and given not in STRATEGIES:
        raise invalid(f"Invalid scheduling strategy: {given}. Valid values are: {', '.join(STRATEGIES)}.")
    return given or "REPLICA"


def count(given: int | None, strategy: str, before: int | None = None) -> int:
    if strategy == "DAEMON":
        if given is not None:
            raise invalid(NO_COUNT)
        return 0
    if given is None:
        if before is None:
            raise invalid("The desired count must be specified when the scheduling strategy is REPLICA.")
        return before
    if not 0 <= given <= LARGEST:
        raise invalid(f"The desired count must be between 0 and {LARGEST}.")
    return given


def grace(given: int | None, balanced: bool, before: int = 0) -> int:
    if given is None:
        return before if balanced else 0
    if not balanced:
        raise invalid("Health check grace period is only valid for services configured to use load balancers")
    if not 0 <= given <= 2_147_483_647:
        raise invalid("The health check grace period must be between 0 and 2147483647 seconds.")
    return given


def configuration(given: Json | None, strategy: str, operation: str, before: Json | None = None) -> Json:
    """deploymentConfiguration with what is not given taken from before, or by default."""
    given = given or {}
    daemon = strategy == "DAEMON"
    made = dict(
        before
        or {
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "maximumPercent": 100 if daemon else 200,
            "minimumHealthyPercent": 0 if daemon else 100,
            "strategy": "ROLLING",
            "bakeTimeInMinutes": 0,
        }
    )
    for member in _REFUSED_DEPLOYMENT:
        if given.get(member):
            raise not_built("ecs", f"{operation} deploymentConfiguration.{member}")
    if (given.get("earlySuccessCriteria") or {}).get("enable"):
        raise not_built("ecs", f"{operation} deploymentConfiguration.earlySuccessCriteria")
    if given.get("strategy", "ROLLING") != "ROLLING":
        raise not_built("ecs", f"{operation} deploymentConfiguration.strategy {given['strategy']}")
    if (given.get("alarms") or {}).get("enable"):
        raise not_built("ecs", f"{operation} deploymentConfiguration.alarms")
    made.update({m: given[m] for m in ("maximumPercent", "minimumHealthyPercent") if given.get(m) is not None})
    if given.get("deploymentCircuitBreaker") is not None:
        made["deploymentCircuitBreaker"] = _breaker(given["deploymentCircuitBreaker"])
    _percents(made["minimumHealthyPercent"], made["maximumPercent"], daemon)
    return made


def _percents(minimum: int, maximum: int, daemon: bool) -> None:
    if not 0 <= minimum <= 100:
        raise invalid("The minimumHealthyPercent on a deployment configuration must be between 0 and 100.")
    if daemon:
        if maximum > 100:
            raise invalid(
                "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment "
                "configuration. Change the maximumPercent value to 100, and try again"
            )
        if minimum == 100:
            raise invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
        return
    if maximum < 100 or maximum > 100_000:
        raise invalid("The maximumPercent on a deployment configuration must be at least 100.")
    if minimum == maximum == 100:
        raise invalid("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")


def _breaker(given: Json) -> Json:
    made: dict[str, Any] = {"enable": given["enable"], "rollback": given["rollback"]}
    if given.get("resetOnHealthyTask") is not None:
        made["resetOnHealthyTask"] = given["resetOnHealthyTask"]
    limit = given.get("thresholdConfiguration")
    if limit is not None:
        kind, value = limit.get("type"), limit.get("value", 0)
        if kind not in _THRESHOLDS:
            raise invalid(f"Invalid threshold type: {kind}. Valid values are: {', '.join(_THRESHOLDS)}.")
        if value < 1 or (kind == "BOUNDED_PERCENT" and value > 100):
            raise invalid("The threshold of the deployment circuit breaker must be positive, and a bounded percentage "
                          "at most 100.")  # fmt: skip
        made["thresholdConfiguration"] = {"type": kind, "value": value}
    return made


def targets(given: Sequence[Json] | None, body: Json, operation: str) -> tuple[Target, ...]:
    """The load balancers of a service, each with a port of a container that the definition has."""
    if len(given or ()) > 5:
        raise invalid("load balancers can have at most 5 items.")
    made = []
    for each in given or ():
        if each.get("loadBalancerName"):
            raise not_built("ecs", f"{operation} loadBalancers.loadBalancerName (Classic Load Balancers)")
        if each.get("advancedConfiguration"):
            raise not_built("ecs", f"{operation} loadBalancers.advancedConfiguration")
        if not each.get("targetGroupArn"):
            raise invalid("Both targetGroupArn and loadBalancerName cannot be empty.")
        made.append(_target(each, body))
    if len({(t.group, t.container, t.port) for t in made}) < len(made):
        raise invalid("Duplicate load balancers are not allowed.")
    return tuple(made)


def _target(each: Json, body: Json) -> Target:
    wanted: str = each.get("containerName") or ""
    port: int = each.get("containerPort") or 0
    container = next((c for c in body["containerDefinitions"] if c["name"] == wanted), None)
    if container is None:
        raise invalid(f"The container {wanted} does not exist in the task definition.")
    ports = [p["containerPort"] for p in container["portMappings"] if p["protocol"] == "tcp"]
    if port not in ports:
        raise invalid(f"The container {wanted} did not have a container port {port} defined.")
    return Target(each["targetGroupArn"], wanted, port)


def group_type(group: str, kind: str, body: Json) -> None:
    """awsvpc tasks are registered by their address, others by their instance."""
    mode = body.get("networkMode", "bridge")
    if kind != ("ip" if mode == "awsvpc" else "instance"):
        raise invalid(
            f"The provided target group {group} has target type {kind}, which is incompatible with the {mode} network "
            "mode specified in the task definition."
        )
