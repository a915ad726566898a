"""What functions on capacity providers, and capacity providers, may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.managed.scaling import LEAST, Bounds
from havre.services.lambda_.capacity import ManagedUse, TargetPolicy
from havre.services.lambda_.errors import absent, invalid
from havre.services.lambda_.resources import Configuration

PROVIDERS = 1000
VERSIONS = 100
"""Of one provider."""
RUNTIMES = (
    "python3.13", "python3.14", "python3.15", "nodejs22.x", "nodejs24.x", "nodejs26.x", "java21", "java25", "dotnet8",
    "dotnet10", "provided.al2023",
)  # fmt: skip
LEAST_MEMORY, MOST_MEMORY = 2048, 32768
_PER_VCPU = {"python": 16, "nodejs": 64, "java": 32, "dotnet": 32}
_USUAL_PER_VCPU = 16
_MOST_PER_VCPU = 64
_CPU = "LambdaCapacityProviderAverageCPUUtilization"


def usual_concurrency(runtime: str, cpus: float) -> int:
    """Of one environment that says no other."""
    family = runtime.rstrip("0123456789.x")
    return max(1, int(_PER_VCPU.get(family, _USUAL_PER_VCPU) * cpus))


def check_function(config: Configuration, used: ManagedUse) -> None:
    """Raises ApiError."""
    cpus = used.cpus(config.memory)
    if not LEAST_MEMORY <= config.memory <= MOST_MEMORY:
        raise invalid(
            f"MemorySize of a function with a capacity provider must be between {LEAST_MEMORY} and {MOST_MEMORY} MB."
        )
    if cpus < 1:
        raise invalid(
            f"A function with a capacity provider needs at least 1 vCPU: {config.memory} MB at "
            f"{used.ratio:g} GiB per vCPU are {cpus:.2f}."
        )
    if used.concurrency > _MOST_PER_VCPU * cpus:
        raise invalid(
            f"PerExecutionEnvironmentMaxConcurrency must be at most {_MOST_PER_VCPU} per vCPU: {used.concurrency} is more "
            f"than {int(_MOST_PER_VCPU * cpus)}."
        )
    if config.package == "Zip" and config.runtime not in RUNTIMES:
        raise invalid(
            f"The runtime {config.runtime} is not supported for functions with a capacity provider. Supported runtimes: "
            f"{', '.join(RUNTIMES)}."
        )
    _check_settings(config)


def _check_settings(config: Configuration) -> None:
    """What cannot be together. Raises ApiError."""
    if config.logs.format == "Text":
        raise invalid(
            'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the '
            'LogFormat to "JSON" and try again.'
        )
    for name, given in (
        ("SnapStart", config.snap_start),
        ("VpcConfig", config.network is not None),
        ("TenancyConfig", config.per_tenant),
    ):
        if given:
            raise invalid(f"{name} is not supported for functions with a capacity provider.")
    if config.code.kind == "directory":
        raise absent("code from a directory for a function with a capacity provider")


def bounds(given: Mapping[str, Any]) -> Bounds:
    """Of a FunctionScalingConfig: what it does not say is as usual. Raises ApiError."""
    least, most = given.get("MinExecutionEnvironments"), given.get("MaxExecutionEnvironments")
    least = (0 if most == 0 else LEAST) if least is None else least
    if least == 0 and most != 0:
        raise invalid("MinExecutionEnvironments can be 0 only when MaxExecutionEnvironments is 0 as well.")
    if most is not None and least > most:
        raise invalid(
            f"MinExecutionEnvironments ({least}) must be less than or equal to MaxExecutionEnvironments ({most})."
        )
    return Bounds(least, most)


def policies(mode: str, given: list[Mapping[str, Any]]) -> tuple[TargetPolicy, ...]:
    """Of a CapacityProviderScalingConfig. Raises ApiError."""
    if mode == "Auto":
        if given:
            raise invalid("ScalingPolicies are only supported with ScalingMode Manual.")
        return ()
    if not given:
        raise invalid("ScalingPolicies are required with ScalingMode Manual.")
    metrics = [policy["PredefinedMetricType"] for policy in given]
    if any(metric != _CPU for metric in metrics):
        raise absent("scaling by GPU: there are none in environments")
    if len(metrics) > 1:
        raise invalid(f"There can be one scaling policy for {_CPU}.")
    target = float(given[0]["TargetValue"])
    if target <= 0:
        raise invalid("TargetValue must be greater than 0.")
    return (TargetPolicy(_CPU, target),)
