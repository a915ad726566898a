"""When runtimes are updated, and what becomes of loops."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.services.lambda_ import queries
from havre.services.lambda_.declare import LambdaOperations, function_arns
from havre.services.lambda_.errors import absent, invalid
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
