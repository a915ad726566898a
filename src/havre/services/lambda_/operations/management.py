"""When runtimes are updated, what becomes of loops; and capacity providers, of which there is none.

Functions run on this installation's own machines: capacity providers cannot be made, so none is ever found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.services.lambda_ import queries
from havre.services.lambda_.declare import LambdaOperations, function_arns
from havre.services.lambda_.errors import absent, invalid, not_found
from havre.services.lambda_.resources import FunctionR, VersionR
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()


def _record(reader: Reader, call: Call, request: Request) -> FunctionR | VersionR:
    found = queries.resolve(reader, call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    if found.alias is not None:
        raise invalid("Runtime management is not supported for aliases. Please specify a function or a version.")
    return queries.record(reader, found.function, found.version)


@ops.on("PutRuntimeManagementConfig", "FunctionName Qualifier UpdateRuntimeOn RuntimeVersionArn")
async def put_runtime_management_config(call: Call, request: Request) -> Answer:
    if request["UpdateRuntimeOn"] == "Manual" or request.get("RuntimeVersionArn"):
        raise absent("UpdateRuntimeOn Manual: versions of runtimes are not kept")

    def change(tx: Transaction) -> str:
        record: Any = _record(tx, call, request)
        if record.spec.config.package == "Image":
            raise invalid("Runtime management is not supported for functions created with container images.")
        tx.update(record, spec=replace(record.spec, update_runtime_on=request["UpdateRuntimeOn"]))
        return function_arns(call, request)[0]

    return {"UpdateRuntimeOn": request["UpdateRuntimeOn"], "FunctionArn": await call.store.transact(change)}


@ops.on("GetRuntimeManagementConfig", "FunctionName Qualifier")
async def get_runtime_management_config(call: Call, request: Request) -> Answer:
    record = _record(call.store, call, request)
    return {"UpdateRuntimeOn": record.spec.update_runtime_on, "FunctionArn": function_arns(call, request)[0]}


@ops.on("PutFunctionRecursionConfig", "FunctionName RecursiveLoop")
async def put_function_recursion_config(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.function(tx, call.account, call.region, request["FunctionName"])
        tx.update(found, spec=replace(found.spec, recursive_loop=request["RecursiveLoop"]))

    await call.store.transact(change)
    return {"RecursiveLoop": request["RecursiveLoop"]}


@ops.on("GetFunctionRecursionConfig", "FunctionName")
async def get_function_recursion_config(call: Call, request: Request) -> Answer:
    found = queries.function(call.store, call.account, call.region, request["FunctionName"])
    return {"RecursiveLoop": found.spec.recursive_loop}


@ops.on("PutFunctionScalingConfig", "FunctionName Qualifier FunctionScalingConfig")
async def put_function_scaling_config(call: Call, request: Request) -> Answer:
    _record(call.store, call, request)
    raise invalid("FunctionScalingConfig is only supported for functions with a capacity provider.")


@ops.on("GetFunctionScalingConfig", "FunctionName Qualifier")
async def get_function_scaling_config(call: Call, request: Request) -> Answer:
    _record(call.store, call, request)
    raise invalid("FunctionScalingConfig is only supported for functions with a capacity provider.")


def _provider_arns(call: Call, request: Request) -> Sequence[str]:
    name = request["CapacityProviderName"]
    return (name if name.startswith("arn:") else call.arn(f"capacity-provider:{name}", "lambda"),)


@ops.on("CreateCapacityProvider", "CapacityProviderName VpcConfig PermissionsConfig", resources=_provider_arns)
async def create_capacity_provider(call: Call, request: Request) -> Answer:
    raise absent("capacity providers: functions run on the machines of this installation")


@ops.on("ListCapacityProviders", "State Marker MaxItems", resources=None)
async def list_capacity_providers(call: Call, request: Request) -> Answer:
    return {"CapacityProviders": []}


async def _no_provider(call: Call, request: Request) -> Answer:
    raise not_found(f"Capacity provider not found: {_provider_arns(call, request)[0]}")


_ONE = "CapacityProviderName"
ops.on("GetCapacityProvider", _ONE, resources=_provider_arns)(_no_provider)
ops.on("DeleteCapacityProvider", _ONE, resources=_provider_arns)(_no_provider)
ops.on("ListFunctionVersionsByCapacityProvider", f"{_ONE} Marker MaxItems", resources=_provider_arns)(_no_provider)
ops.on(
    "UpdateCapacityProvider",
    f"{_ONE} CapacityProviderScalingConfig PropagateTags TelemetryConfig",
    resources=_provider_arns,
)(_no_provider)
