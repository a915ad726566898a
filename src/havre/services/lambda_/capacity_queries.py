"""From the name or ARN of a capacity provider to its record, and to what runs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Call
from havre.core.managed.scaling import Bounds
from havre.kernel.arn import Arn, arn
from havre.kernel.errors import ApiError
from havre.services.lambda_.capacity import ManagedUse
from havre.services.lambda_.errors import conflict, invalid, not_found
from havre.services.lambda_.queries import function_arn
from havre.services.lambda_.resources import CAPACITY, FUNCTION, VERSION, CapacityR, Configuration, FunctionR, VersionR
from havre.services.lambda_.rules import managed as rules
from havre.store.ports import Reader


def provider_arn(account: str, region: str, name: str) -> str:
    return arn("lambda", region, account, f"capacity-provider:{name}")


def provider(reader: Reader, account: str, region: str, text: str) -> CapacityR:
    """By its name or ARN. Raises ApiError."""
    whole = text if text.startswith("arn:") else provider_arn(account, region, text)
    parsed = Arn.parse(whole)
    found = None
    if (parsed.account, parsed.region) == (account, region):
        found = reader.get(CAPACITY, account, region, parsed.name)
    if found is None:
        raise not_found(f"Capacity provider not found: {whole}")
    return found


def on_provider(reader: Reader, whole: str) -> Sequence[FunctionR | VersionR]:
    """Functions (``$LATEST``) and versions that are configured to use it."""
    return [*reader.find(FUNCTION, "provider", whole), *reader.find(VERSION, "provider", whole)]


def usable(reader: Reader, config: Configuration) -> None:
    """Raises ApiError unless the provider of a function, if it has one, takes functions."""
    if config.managed is None:
        return
    parsed = Arn.parse(config.managed.provider)
    found = provider(reader, parsed.account, parsed.region, config.managed.provider)
    if found.meta.deleting is not None or found.status.state == "Failed":
        raise conflict(
            f"The capacity provider {found.meta.arn} is being deleted, or has failed: it takes no functions."
        )


def check_versions(reader: Reader, whole: str) -> None:
    """Raises ApiError when no version more fits."""
    if reader.count(VERSION, "provider", whole) >= rules.VERSIONS:
        raise ApiError(
            "FunctionVersionsPerCapacityProviderLimitExceededException",
            f"The maximum number of function versions per capacity provider ({rules.VERSIONS}) has been reached.",
        )


async def use(call: Call, given: Mapping[str, Any], config: Configuration, old: Configuration) -> ManagedUse | None:
    """CapacityProviderConfig of a function that becomes ``config``. Raises ApiError."""
    wanted = given.get("LambdaManagedInstancesCapacityProviderConfig")
    if not wanted:
        return old.managed
    if old.role and old.managed is None:
        raise invalid("CapacityProviderConfig isn't supported for Lambda Default functions.")
    whole = wanted["CapacityProviderArn"]
    await call.authorize("lambda:PassCapacityProvider", [whole], {})
    found = provider(call.store, call.account, call.region, whole)
    spec = found.spec
    if spec.architecture != config.architecture:
        raise invalid(
            f"The function's architecture {config.architecture} is not that of the capacity provider: {spec.architecture}."
        )
    ratio = float(wanted.get("ExecutionEnvironmentMemoryGiBPerVCpu") or 2.0)
    cpus = ManagedUse("", spec.network, 1, ratio).cpus(config.memory)
    concurrency = wanted.get("PerExecutionEnvironmentMaxConcurrency") or rules.usual_concurrency(config.runtime, cpus)
    used = ManagedUse(found.meta.arn, spec.network, concurrency, ratio)
    usable(call.store, Configuration("", config.code, config.logs, managed=used))
    return used


def bounds_of(record: VersionR) -> Bounds:
    """Environments that a version may have."""
    return record.spec.scaling or Bounds()


def version_arn(record: FunctionR | VersionR) -> str:
    m = record.meta
    return function_arn(m.account, m.region, record.spec.function, record.spec.number)
