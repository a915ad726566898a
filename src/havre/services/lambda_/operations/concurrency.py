"""Reserved and provisioned concurrency, and what the account has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.lambda_ import limits, queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, invalid, not_found
from havre.services.lambda_.paging import page
from havre.services.lambda_.queries import Resolved
from havre.services.lambda_.resources import (
    ALIAS,
    LATEST,
    PROVISIONED,
    FunctionR,
    ProvisionedR,
    ProvisionedSpec,
    ProvisionedStatus,
    qualified,
)
from havre.services.lambda_.rules import archives, tenants
from havre.services.lambda_.times import spelled
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()


def _whole(reader: Reader, call: Call, request: Request) -> FunctionR:
    return queries.whole(reader, call.account, call.region, request["FunctionName"])


def provisioned(reader: Reader, function: FunctionR) -> Sequence[ProvisionedR]:
    m = function.meta
    return reader.find(PROVISIONED, "function", scoped(m.account, m.region, m.name))


def _provisioned_sum(reader: Reader, function: FunctionR) -> int:
    return sum(each.spec.count for each in provisioned(reader, function))


def _default_only(function: FunctionR, what: str) -> None:
    """Raises ApiError for functions on capacity providers."""
    if function.spec.config.managed is not None:
        raise invalid(f"{what} is not supported for functions with a capacity provider.")


@ops.on("PutFunctionConcurrency", "FunctionName ReservedConcurrentExecutions")
async def put_function_concurrency(call: Call, request: Request) -> Answer:
    wanted = request["ReservedConcurrentExecutions"]

    def change(tx: Transaction) -> None:
        found = queries.whole(tx, call.account, call.region, request["FunctionName"], missing=LATEST)
        _default_only(found, "Reserved Concurrency")
        m = found.meta
        now = limits.usage(tx, m.account, m.region)
        limits.check_reservation(now, found, _provisioned_sum(tx, found), wanted)
        tx.update(found, spec=replace(found.spec, reserved=wanted))

    await call.store.transact(change)
    return {"ReservedConcurrentExecutions": wanted}


@ops.on("GetFunctionConcurrency", "FunctionName")
async def get_function_concurrency(call: Call, request: Request) -> Answer:
    return {"ReservedConcurrentExecutions": _whole(call.store, call, request).spec.reserved}


@ops.on("DeleteFunctionConcurrency", "FunctionName")
async def delete_function_concurrency(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _whole(tx, call, request)
        tx.update(found, spec=replace(found.spec, reserved=None))

    await call.store.transact(change)
    return {}


@ops.on("GetAccountSettings", resources=None)
async def get_account_settings(call: Call, request: Request) -> Answer:
    used = limits.usage(call.store, call.account, call.region)
    return {
        "AccountLimit": {
            "TotalCodeSize": limits.CODE,
            "CodeSizeUnzipped": archives.UNZIPPED,
            "CodeSizeZipped": archives.ZIPPED,
            "ConcurrentExecutions": limits.CONCURRENCY,
            "UnreservedConcurrentExecutions": used.unreserved,
        },
        "AccountUsage": {"TotalCodeSize": used.code, "FunctionCount": used.functions},
    }


# Provisioned concurrency


def _published(reader: Reader, call: Call, request: Request, refusal: str) -> Resolved:
    """A version or an alias. Raises ApiError."""
    said = queries.named(call.account, call.region, request["FunctionName"], request["Qualifier"])
    if said.qualifier == LATEST:
        raise invalid(refusal)
    if not queries.is_version(said.qualifier):
        name = qualified(said.name, said.qualifier)
        if reader.get(ALIAS, said.account, said.region, name) is None:
            arn = queries.function_arn(said.account, said.region, said.name, said.qualifier)
            raise not_found(f"Cannot find alias arn: {arn}")
    return queries.resolve(reader, call.account, call.region, request["FunctionName"], request["Qualifier"])


def _config(reader: Reader, found: Resolved) -> ProvisionedR | None:
    m = found.function.meta
    return reader.get(PROVISIONED, m.account, m.region, qualified(m.name, found.qualifier))


def _check_overlap(reader: Reader, found: Resolved) -> None:
    """A version has provisioned environments by itself or by an alias, not by both."""
    taken = {each.spec.qualifier for each in provisioned(reader, found.function)}
    if found.alias is not None:
        if found.version == LATEST:
            raise invalid("Alias pointing to $LATEST cannot be used for Provisioned Concurrency configuration.")
        if found.version in taken:
            raise conflict(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
        return
    for alias in queries.aliases(reader, found.function):
        if alias.spec.alias in taken and found.version in (alias.spec.version, *alias.spec.weights):
            raise conflict("Version is pointed by a Provisioned Concurrency alias")


@ops.on("PutProvisionedConcurrencyConfig", "FunctionName Qualifier ProvisionedConcurrentExecutions")
async def put_provisioned_concurrency_config(call: Call, request: Request) -> Answer:
    wanted, token = request["ProvisionedConcurrentExecutions"], call.world.uuid()
    refusal = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."

    def change(tx: Transaction) -> ProvisionedR:
        found = _published(tx, call, request, refusal)
        m = found.function.meta
        _default_only(found.function, "Provisioned Concurrency")
        tenants.refuse(found.function.spec.config, "Provisioned Concurrency")
        _check_overlap(tx, found)
        if any(queries.record(tx, found.function, version).spec.config.snap_start for version, _ in found.shares):
            raise invalid("Provisioned Concurrency Configs cannot be applied to function versions with SnapStart.")
        old = _config(tx, found)
        before = old.spec.count if old is not None else 0
        others = _provisioned_sum(tx, found.function) - before
        limits.check_provisioned(limits.usage(tx, m.account, m.region), found.function, others, before, wanted)
        spec = ProvisionedSpec(m.name, found.qualifier, wanted, call.now, token)
        if old is not None:
            return tx.update(old, spec=spec)
        return tx.create(
            PROVISIONED,
            account=m.account,
            region=m.region,
            name=qualified(m.name, found.qualifier),
            arn=found.arn,
            spec=spec,
            status=ProvisionedStatus(),
        )

    return _shown(await call.store.transact(change))


def _shown(config: ProvisionedR) -> dict[str, Any]:
    """IN_PROGRESS until as many are there as were asked for; FAILED when there is a reason why not."""
    spec, status = config.spec, config.status
    known = status.token == spec.token
    state = "IN_PROGRESS"
    if known and status.reason:
        state = "FAILED"
    elif known and status.available >= spec.count:
        state = "READY"
    return {
        "RequestedProvisionedConcurrentExecutions": spec.count,
        "AllocatedProvisionedConcurrentExecutions": min(status.allocated, spec.count),
        "AvailableProvisionedConcurrentExecutions": min(status.available, spec.count),
        "Status": state,
        "StatusReason": (status.reason or None) if known else None,
        "LastModified": spelled(spec.modified),
    }


_NAMED = "The function resource provided must be an alias or a published version."


@ops.on("GetProvisionedConcurrencyConfig", "FunctionName Qualifier")
async def get_provisioned_concurrency_config(call: Call, request: Request) -> Answer:
    config = _config(call.store, _published(call.store, call, request, _NAMED))
    if config is None:
        raise ApiError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
        )
    return _shown(config)


@ops.on("ListProvisionedConcurrencyConfigs", "FunctionName Marker MaxItems")
async def list_provisioned_concurrency_configs(call: Call, request: Request) -> Answer:
    found = queries.function(call.store, call.account, call.region, request["FunctionName"])
    shown, marker = page(call, request, provisioned(call.store, found), lambda c: c.spec.qualifier)
    items: list[Mapping[str, Any]] = [{"FunctionArn": each.meta.arn, **_shown(each)} for each in shown]
    return {"ProvisionedConcurrencyConfigs": items, "NextMarker": marker}


@ops.on("DeleteProvisionedConcurrencyConfig", "FunctionName Qualifier")
async def delete_provisioned_concurrency_config(call: Call, request: Request) -> Answer:
    """No error for one that is not there."""

    def change(tx: Transaction) -> None:
        config = _config(tx, _published(tx, call, request, _NAMED))
        if config is not None:
            tx.remove(config)

    await call.store.transact(change)
    return {}
