"""Code signing configurations, and which functions have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.arn import arn
from havre.kernel.resource import NoStatus
from havre.services.lambda_ import queries, signing
from havre.services.lambda_.conditions import Conditions, tag_conditions
from havre.services.lambda_.declare import LambdaOperations, function_arns
from havre.services.lambda_.errors import conflict, invalid, not_found
from havre.services.lambda_.paging import page
from havre.services.lambda_.resources import CODE_SIGNING, FUNCTION, CodeSigningR, CodeSigningSpec
from havre.services.lambda_.rules.values import merged_tags
from havre.services.lambda_.times import spelled
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_MEMBERS = "Description AllowedPublishers CodeSigningPolicies"


def _arns(call: Call, request: Request) -> Sequence[str]:
    return (request["CodeSigningConfigArn"],)


def _get(reader: Reader, request: Request) -> CodeSigningR:
    found = signing.find(reader, request["CodeSigningConfigArn"])
    if found is None:
        raise not_found(f"The Lambda code signing configuration {request['CodeSigningConfigArn']} can not be found.")
    return found


def _policy(request: Request, old: str) -> str:
    return str((request.get("CodeSigningPolicies") or {}).get("UntrustedArtifactOnDeployment") or old)


def _new_conditions(call: Call, request: Request) -> Conditions:
    return tag_conditions(request.get("Tags") or {})


@ops.on("CreateCodeSigningConfig", f"{_MEMBERS} Tags", resources=None, conditions=_new_conditions)
async def create_code_signing_config(call: Call, request: Request) -> Answer:
    id = f"csc-{call.world.hex(17)}"
    spec = CodeSigningSpec(
        id,
        tuple(request["AllowedPublishers"]["SigningProfileVersionArns"]),
        call.now,
        request.get("Description") or "",
        _policy(request, "Warn"),
        merged_tags({}, request.get("Tags") or {}),
    )
    made = await call.store.transact(
        lambda tx: tx.create(
            CODE_SIGNING,
            account=call.account,
            region=call.region,
            name=id,
            arn=arn("lambda", call.region, call.account, f"code-signing-config:{id}"),
            spec=spec,
            status=NoStatus(),
        )
    )
    return {"CodeSigningConfig": _shown(made)}


def _shown(found: CodeSigningR) -> dict[str, Any]:
    spec = found.spec
    return {
        "CodeSigningConfigId": spec.id,
        "CodeSigningConfigArn": found.meta.arn,
        "Description": spec.description,
        "AllowedPublishers": {"SigningProfileVersionArns": list(spec.publishers)},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": spec.policy},
        "LastModified": spelled(spec.modified),
    }


@ops.on("GetCodeSigningConfig", "CodeSigningConfigArn", resources=_arns)
async def get_code_signing_config(call: Call, request: Request) -> Answer:
    return {"CodeSigningConfig": _shown(_get(call.store, request))}


@ops.on("UpdateCodeSigningConfig", f"CodeSigningConfigArn {_MEMBERS}", resources=_arns)
async def update_code_signing_config(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> CodeSigningR:
        found = _get(tx, request)
        given = request.get("AllowedPublishers")
        publishers = tuple(given["SigningProfileVersionArns"]) if given else found.spec.publishers
        spec = replace(
            found.spec,
            publishers=publishers,
            description=request.get("Description", found.spec.description),
            policy=_policy(request, found.spec.policy),
            modified=call.now,
        )
        return tx.update(found, spec=spec)

    return {"CodeSigningConfig": _shown(await call.store.transact(change))}


@ops.on("DeleteCodeSigningConfig", "CodeSigningConfigArn", resources=_arns)
async def delete_code_signing_config(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _get(tx, request)
        if tx.count(FUNCTION, "code_signing", found.meta.arn):
            raise conflict(
                f"The code signing configuration {found.meta.arn} is in use by functions and cannot be deleted."
            )
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops.on("ListCodeSigningConfigs", "Marker MaxItems", resources=None)
async def list_code_signing_configs(call: Call, request: Request) -> Answer:
    found = call.store.list(CODE_SIGNING, call.account, call.region)
    shown, marker = page(call, request, found, lambda c: c.spec.id)
    return {"CodeSigningConfigs": [_shown(each) for each in shown], "NextMarker": marker}


@ops.on("ListFunctionsByCodeSigningConfig", "CodeSigningConfigArn Marker MaxItems", resources=_arns)
async def list_functions_by_code_signing_config(call: Call, request: Request) -> Answer:
    found = call.store.find(FUNCTION, "code_signing", _get(call.store, request).meta.arn)
    shown, marker = page(call, request, found, lambda f: f.meta.name)
    return {"FunctionArns": [each.meta.arn for each in shown], "NextMarker": marker}


def _put_arns(call: Call, request: Request) -> Sequence[str]:
    return (*function_arns(call, request), request["CodeSigningConfigArn"])


def _put_conditions(call: Call, request: Request) -> Conditions:
    return {"lambda:CodeSigningConfigArn": request["CodeSigningConfigArn"]}


@ops.on(
    "PutFunctionCodeSigningConfig",
    "CodeSigningConfigArn FunctionName",
    resources=_put_arns,
    conditions=_put_conditions,
)
async def put_function_code_signing_config(call: Call, request: Request) -> Answer:
    """It is looked at when code is deployed next."""
    config = request["CodeSigningConfigArn"]

    def change(tx: Transaction) -> str:
        if signing.find(tx, config) is None:
            raise signing.no_config(config)
        function = queries.function(tx, call.account, call.region, request["FunctionName"])
        if function.spec.config.package == "Image":
            raise invalid("Code signing is not supported for functions created with container images.")
        tx.update(function, spec=replace(function.spec, code_signing=config))
        return function.meta.name

    return {"CodeSigningConfigArn": config, "FunctionName": await call.store.transact(change)}


@ops.on("GetFunctionCodeSigningConfig", "FunctionName")
async def get_function_code_signing_config(call: Call, request: Request) -> Answer:
    """Without a configuration nothing at all, and no error: as AWS does it."""
    function = queries.function(call.store, call.account, call.region, request["FunctionName"])
    config = function.spec.code_signing
    return {"CodeSigningConfigArn": config, "FunctionName": function.meta.name} if config else {}


@ops.on("DeleteFunctionCodeSigningConfig", "FunctionName")
async def delete_function_code_signing_config(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        function = queries.function(tx, call.account, call.region, request["FunctionName"])
        tx.update(function, spec=replace(function.spec, code_signing=""))

    await call.store.transact(change)
    return {}
