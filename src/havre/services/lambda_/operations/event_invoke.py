"""How asynchronous invocations are tried again, and where their outcome goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.lambda_ import grants, queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import invalid, not_found
from havre.services.lambda_.names import FunctionName
from havre.services.lambda_.paging import page
from havre.services.lambda_.queries import Resolved
from havre.services.lambda_.resources import (
    EVENT_INVOKE,
    FUNCTION,
    LATEST,
    EventInvokeR,
    EventInvokeSpec,
    qualified,
)
from havre.services.lambda_.rules import destinations
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_MEMBERS = "FunctionName Qualifier MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig"
_SETTINGS = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


def _named(call: Call, request: Request) -> FunctionName:
    said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    return said._replace(qualifier=said.qualifier or LATEST)


def _resolved(reader: Reader, call: Call, request: Request) -> Resolved:
    try:
        return queries.resolve(reader, call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    except ApiError as error:
        if error.code == "ResourceNotFoundException":
            raise not_found("The function doesn't exist.") from None
        raise


def _find(reader: Reader, said: FunctionName) -> EventInvokeR | None:
    return reader.get(EVENT_INVOKE, said.account, said.region, qualified(said.name, said.qualifier))


def _get(reader: Reader, said: FunctionName) -> EventInvokeR:
    found = _find(reader, said)
    if found is None:
        arn = queries.function_arn(said.account, said.region, said.name, said.qualifier)
        raise not_found(f"The function {arn} doesn't have an EventInvokeConfig")
    return found


def _says_something(setting: Any) -> bool:
    """A DestinationConfig without a member says nothing; one whose OnFailure is empty does."""
    if isinstance(setting, Mapping):
        return any(value is not None for value in setting.values())
    return setting is not None


def _given(reader: Reader, call: Call, request: Request) -> dict[str, Any]:
    """The fields that the request brings. Raises ApiError when there are none."""
    if not any(_says_something(request.get(member)) for member in _SETTINGS):
        raise invalid("You must specify at least one of error handling or destination setting.")
    found = _resolved(reader, call, request)
    changes: dict[str, Any] = {"modified": call.now}
    if request.get("MaximumRetryAttempts") is not None:
        changes["retries"] = request["MaximumRetryAttempts"]
    if request.get("MaximumEventAgeInSeconds") is not None:
        changes["age"] = request["MaximumEventAgeInSeconds"]
    if request.get("DestinationConfig") is not None:
        success, failure = destinations.asynchronous(request["DestinationConfig"], found.function.meta.arn)
        config = queries.record(reader, found.function, found.version).spec.config
        if config.durable is not None and (success or failure):
            raise invalid("Durable functions do not support destinations: EventBridge is told of their executions.")
        for target in (success, failure):
            _check_function(reader, target)
        changes["on_success"], changes["on_failure"] = success, failure
    return changes


def _check_function(reader: Reader, target: str) -> None:
    if target and Arn.parse(target).service == "lambda":
        parsed = Arn.parse(target)
        name = parsed.name.partition(":")[0]
        if reader.get(FUNCTION, parsed.account, parsed.region, name) is None:
            raise invalid(f"The destination ARN {target} is invalid.")


async def _check_grants(call: Call, request: Request) -> None:
    """Whether the role may send to the destinations. Raises ApiError."""
    if not request.get("DestinationConfig"):
        return
    fields = _given(call.store, call, request)
    found = _resolved(call.store, call, request)
    role = queries.record(call.store, found.function, found.version).spec.config.role
    await grants.check_sending(call, role, (fields["on_success"], fields["on_failure"]))


@ops.on("PutFunctionEventInvokeConfig", _MEMBERS)
async def put_function_event_invoke_config(call: Call, request: Request) -> Answer:
    """In place of what was there."""
    await _check_grants(call, request)

    def change(tx: Transaction) -> EventInvokeR:
        fields = _given(tx, call, request)
        said = _named(call, request)
        spec = EventInvokeSpec(said.name, said.qualifier, **fields)
        old = _find(tx, said)
        if old is not None:
            return tx.update(old, spec=spec)
        return tx.create(
            EVENT_INVOKE,
            account=said.account,
            region=said.region,
            name=qualified(said.name, said.qualifier),
            arn=queries.function_arn(said.account, said.region, said.name, said.qualifier),
            spec=spec,
            status=NoStatus(),
        )

    return _shown(await call.store.transact(change))


@ops.on("UpdateFunctionEventInvokeConfig", _MEMBERS)
async def update_function_event_invoke_config(call: Call, request: Request) -> Answer:
    await _check_grants(call, request)

    def change(tx: Transaction) -> EventInvokeR:
        fields = _given(tx, call, request)
        old = _get(tx, _named(call, request))
        return tx.update(old, spec=replace(old.spec, **fields))

    return _shown(await call.store.transact(change))


@ops.on("GetFunctionEventInvokeConfig", "FunctionName Qualifier")
async def get_function_event_invoke_config(call: Call, request: Request) -> Answer:
    return _shown(_get(call.store, _named(call, request)))


@ops.on("DeleteFunctionEventInvokeConfig", "FunctionName Qualifier")
async def delete_function_event_invoke_config(call: Call, request: Request) -> Answer:
    await call.store.transact(lambda tx: tx.remove(_get(tx, _named(call, request))))
    return {}


@ops.on("ListFunctionEventInvokeConfigs", "FunctionName Marker MaxItems")
async def list_function_event_invoke_configs(call: Call, request: Request) -> Answer:
    function = _resolved(call.store, call, request).function
    m = function.meta
    found = call.store.find(EVENT_INVOKE, "function", scoped(m.account, m.region, m.name))
    shown, marker = page(call, request, found, lambda c: c.spec.qualifier)
    return {"FunctionEventInvokeConfigs": [_shown(each) for each in shown], "NextMarker": marker}


def _shown(config: EventInvokeR) -> dict[str, Any]:
    spec = config.spec
    return {
        "LastModified": spec.modified,
        "FunctionArn": config.meta.arn,
        "MaximumRetryAttempts": spec.retries,
        "MaximumEventAgeInSeconds": spec.age,
        "DestinationConfig": {
            "OnSuccess": {"Destination": spec.on_success or None},
            "OnFailure": {"Destination": spec.on_failure or None},
        },
    }
