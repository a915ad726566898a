"""How many environments a version on a capacity provider has: at least, and at most."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.core.managed.scaling import Bounds
from havre.services.lambda_ import queries
from havre.services.lambda_.capacity_queries import bounds_of, version_arn
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import invalid
from havre.services.lambda_.resources import VersionR
from havre.services.lambda_.rules import managed as rules
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()


def _version(reader: Reader, call: Call, request: Request) -> VersionR:
    """Raises ApiError."""
    found = queries.resolve(reader, call.account, call.region, request["FunctionName"], request["Qualifier"])
    record: Any = queries.record(reader, found.function, found.version)
    if record.spec.config.managed is None:
        raise invalid("FunctionScalingConfig isn't supported for Lambda Default functions.")
    return record  # type: ignore[no-any-return]


@ops.on("PutFunctionScalingConfig", "FunctionName Qualifier FunctionScalingConfig")
async def put_function_scaling_config(call: Call, request: Request) -> Answer:
    given = request.get("FunctionScalingConfig") or {}
    wanted = rules.bounds(given)

    def change(tx: Transaction) -> VersionR:
        found = _version(tx, call, request)
        return tx.update(found, spec=replace(found.spec, scaling=wanted if given else None))

    return {"FunctionState": _next_state(await call.store.transact(change), wanted)}


def _next_state(record: VersionR, wanted: Bounds) -> str:
    now = record.status.state
    if wanted.off:
        return now if now in ("Failed", "Deactivated") else "Deactivating"
    return "Pending" if now in ("Deactivating", "Deactivated") else now


@ops.on("GetFunctionScalingConfig", "FunctionName Qualifier")
async def get_function_scaling_config(call: Call, request: Request) -> Answer:
    found = _version(call.store, call, request)
    applied = found.status.applied
    return {
        "FunctionArn": version_arn(found),
        "AppliedFunctionScalingConfig": None if applied is None else _shown(applied),
        "RequestedFunctionScalingConfig": _shown(bounds_of(found)),
    }


def _shown(bounds: Bounds) -> dict[str, Any]:
    return {"MinExecutionEnvironments": bounds.least, "MaxExecutionEnvironments": bounds.most}
