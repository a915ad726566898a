"""Function URLs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus, scoped
from havre.services.lambda_ import queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, invalid, not_found, validation
from havre.services.lambda_.names import FunctionName
from havre.services.lambda_.paging import page
from havre.services.lambda_.resources import URL, Cors, UrlR, UrlSpec, qualified
from havre.services.lambda_.rules import tenants
from havre.services.lambda_.times import spelled
from havre.services.lambda_.urls import url, url_id
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_METHODS = ("GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*")
_CORS = (
    ("AllowCredentials", "credentials"),
    ("AllowHeaders", "headers"),
    ("AllowMethods", "methods"),
    ("AllowOrigins", "origins"),
    ("ExposeHeaders", "expose"),
    ("MaxAge", "max_age"),
)


def _conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    """The function, and how its URL lets callers in: as the request wants it, else as it is."""
    said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    keys = {"lambda:FunctionArn": queries.function_arn(said.account, said.region, said.name, said.qualifier)}
    found = call.store.get(URL, said.account, said.region, qualified(said.name, said.qualifier))
    auth = request.get("AuthType") or (found.spec.auth if found is not None else "")
    return {**keys, "lambda:FunctionUrlAuthType": auth} if auth else keys


def _named(call: Call, request: Request) -> FunctionName:
    said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    if said.qualifier == "$LATEST" or said.qualifier.isdecimal():
        pattern = r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)"
        raise validation(said.qualifier, "qualifier", pattern)
    return said


def _get(reader: Reader, said: FunctionName) -> UrlR:
    found = reader.get(URL, said.account, said.region, qualified(said.name, said.qualifier))
    if found is None:
        raise not_found("The resource you requested does not exist.")
    return found


def _check_target(reader: Reader, call: Call, request: Request) -> None:
    """The function, and its alias. Raises ApiError; a URL says not for which tenant it invokes."""
    name, qualifier = request["FunctionName"], request.get("Qualifier", "")
    try:
        found = queries.resolve(reader, call.account, call.region, name, qualifier)
        tenants.refuse(found.function.spec.config, "A function URL")
    except ApiError as error:
        if error.code == "ResourceNotFoundException":
            raise not_found("Function does not exist") from None
        raise


def cors(given: Mapping[str, Any]) -> Cors | None:
    """Raises ApiError."""
    fields: dict[str, Any] = {}
    for member, field in _CORS:
        value = given.get(member)
        if value is not None:
            fields[field] = tuple(value) if isinstance(value, list | tuple) else value
    made = Cors(**fields)
    for method in made.methods or ():
        if method not in _METHODS:
            constraint = f"Member must satisfy enum value set: [{', '.join(_METHODS)}]"
            raise validation(f"[{method}]", "cors.allowMethods", f"Member must satisfy constraint: [{constraint}]")
    if made.credentials and "*" in (made.origins or ()):
        raise invalid("AllowCredentials is not supported if AllowOrigins is *.")
    return None if made == Cors() else made


@ops.on("CreateFunctionUrlConfig", "FunctionName Qualifier AuthType Cors InvokeMode", conditions=_conditions)
async def create_function_url_config(call: Call, request: Request) -> Answer:
    said = _named(call, request)
    arn = queries.function_arn(said.account, said.region, said.name, said.qualifier)
    spec = UrlSpec(
        said.name,
        said.qualifier,
        url_id(said.account, said.region, said.name, said.qualifier),
        request["AuthType"],
        call.now,
        request.get("InvokeMode") or "BUFFERED",
        cors(request.get("Cors") or {}),
    )

    def change(tx: Transaction) -> UrlR:
        _check_target(tx, call, request)
        name = qualified(said.name, said.qualifier)
        if tx.get(URL, said.account, said.region, name) is not None:
            raise conflict(
                f"Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists "
                "for this Lambda function"
            )
        return tx.create(
            URL, account=said.account, region=said.region, name=name, arn=arn, spec=spec, status=NoStatus()
        )

    shown = _shown(call, await call.store.transact(change))
    return {member: value for member, value in shown.items() if member != "LastModifiedTime"}


@ops.on("GetFunctionUrlConfig", "FunctionName Qualifier", conditions=_conditions)
async def get_function_url_config(call: Call, request: Request) -> Answer:
    return _shown(call, _get(call.store, _named(call, request)))


@ops.on("UpdateFunctionUrlConfig", "FunctionName Qualifier AuthType Cors InvokeMode", conditions=_conditions)
async def update_function_url_config(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> UrlR:
        said = _named(call, request)
        _check_target(tx, call, request)
        found = _get(tx, said)
        changes: dict[str, Any] = {"modified": call.now}
        if request.get("AuthType"):
            changes["auth"] = request["AuthType"]
        if request.get("InvokeMode"):
            changes["mode"] = request["InvokeMode"]
        if request.get("Cors") is not None:
            changes["cors"] = cors(request["Cors"])
        return tx.update(found, spec=replace(found.spec, **changes))

    return _shown(call, await call.store.transact(change))


@ops.on("DeleteFunctionUrlConfig", "FunctionName Qualifier", conditions=_conditions)
async def delete_function_url_config(call: Call, request: Request) -> Answer:
    await call.store.transact(lambda tx: tx.remove(_get(tx, _named(call, request))))
    return {}


@ops.on("ListFunctionUrlConfigs", "FunctionName Marker MaxItems")
async def list_function_url_configs(call: Call, request: Request) -> Answer:
    _check_target(call.store, call, request)
    said = queries.named(call.account, call.region, request["FunctionName"])
    found = call.store.find(URL, "function", scoped(said.account, said.region, said.name))
    shown, marker = page(call, request, found, lambda u: u.meta.name)
    return {"FunctionUrlConfigs": [_shown(call, each) for each in shown], "NextMarker": marker}


def _shown(call: Call, found: UrlR) -> dict[str, Any]:
    spec, m = found.spec, found.meta
    return {
        "FunctionUrl": url(call.site, m.region, spec.id),
        "FunctionArn": m.arn,
        "AuthType": spec.auth,
        "Cors": None if spec.cors is None else _shown_cors(spec.cors),
        "CreationTime": spelled(m.created),
        "LastModifiedTime": spelled(spec.modified),
        "InvokeMode": spec.mode,
    }


def _shown_cors(given: Cors) -> dict[str, Any]:
    values = ((member, getattr(given, field)) for member, field in _CORS)
    return {member: list(value) if isinstance(value, tuple) else value for member, value in values}
