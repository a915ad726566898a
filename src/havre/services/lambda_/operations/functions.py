"""Functions: made, shown, listed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.kernel.function import Code, FunctionLogs
from havre.kernel.resource import Kind, scoped
from havre.services.lambda_ import downloads, package, queries, sealed_code, sealing, signing
from havre.services.lambda_.capacity_queries import usable
from havre.services.lambda_.conditions import settings, tag_conditions
from havre.services.lambda_.configuring import MEMBERS, check_architecture, configured, default_group, of_package
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, invalid
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.limits import check_code
from havre.services.lambda_.paging import page
from havre.services.lambda_.republishing import publish_to
from havre.services.lambda_.resources import (
    ALIAS,
    EVENT_INVOKE,
    FUNCTION,
    LATEST,
    PROVISIONED,
    URL,
    VERSION,
    Configuration,
    FunctionR,
    FunctionSpec,
    Readiness,
    VersionR,
    qualified,
)
from havre.services.lambda_.rules.managed import LEAST_MEMORY
from havre.services.lambda_.rules.values import merged_tags
from havre.store.ports import Transaction

_CREATE = (
    f"FunctionName Code Publish PublishTo PackageType Tags CodeSigningConfigArn Architectures TenancyConfig {MEMBERS}"
)
_OWNED: tuple[Kind[Any, Any], ...] = (VERSION, ALIAS, URL, EVENT_INVOKE, PROVISIONED)
"""What goes with its function."""


def operations(facilities: Facilities) -> LambdaOperations:
    ops = LambdaOperations()
    ops.on("CreateFunction", _CREATE, conditions=_new_conditions, in_vpc=True)(partial(create_function, facilities))
    ops.on("GetFunction", "FunctionName Qualifier")(partial(get_function, facilities))
    ops.on("GetFunctionConfiguration", "FunctionName Qualifier")(get_function_configuration)
    ops.on("ListFunctions", "FunctionVersion MasterRegion Marker MaxItems", resources=None)(list_functions)
    ops.on("DeleteFunction", "FunctionName Qualifier")(delete_function)
    return ops


def _new_conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    return {**settings(request), **tag_conditions(request.get("Tags") or {})}


async def create_function(facilities: Facilities, call: Call, request: Request) -> Answer:
    name = _new_name(call, request["FunctionName"])
    arn = queries.function_arn(call.account, call.region, name)
    if call.store.get(FUNCTION, call.account, call.region, name) is not None:
        raise conflict(f"Function already exist: {name}")
    spec = await _new_spec(facilities, call, request, name)
    version_revision = call.world.uuid()

    def change(tx: Transaction) -> FunctionR | VersionR:
        if tx.get(FUNCTION, call.account, call.region, name) is not None:
            raise conflict(f"Function already exist: {name}")
        check_code(tx, call.account, call.region, spec.config.code.size)
        usable(tx, spec.config)
        made = tx.create(
            FUNCTION,
            account=call.account,
            region=call.region,
            name=name,
            arn=arn,
            spec=spec,
            status=Readiness(),
        )
        return publish_to(tx, made, version_revision, request)

    return await sealing.shown(call, await call.store.transact(change))


async def _new_spec(facilities: Facilities, call: Call, request: Request, name: str) -> FunctionSpec:
    """Checked, and its code kept. Raises ApiError."""
    tags = merged_tags({}, request.get("Tags") or {})
    if tags:
        whole = queries.function_arn(call.account, call.region, name)
        await call.authorize("lambda:TagResource", [whole], tag_conditions(tags))
    kind = request.get("PackageType") or "Zip"
    code = await package.fetch(call, request["Code"], kind, "creating")
    code = await sealed_code.seal(call, code, request["Code"].get("SourceKMSKeyArn") or "", name)
    empty = of_package(_empty(facilities, request, name), code)
    config = await configured(call, request, empty, name)
    code_signing = request.get("CodeSigningConfigArn") or ""
    if code_signing and kind == "Image":
        raise invalid("Code signing is not supported for functions created with container images.")
    signing.check_code(call.store, code_signing, name)
    await package.keep(facilities, code)
    world = call.world
    return FunctionSpec(name, world.uuid(), config, world.uuid(), call.now, tags=tags, code_signing=code_signing)


def _empty(facilities: Facilities, request: Request, name: str) -> Configuration:
    """What a new function begins with. Raises ApiError for an architecture that no machine here has."""
    empty = Configuration(
        "", Code(""), FunctionLogs(default_group(name)), per_tenant=bool(request.get("TenancyConfig"))
    )
    if request.get("CapacityProviderConfig"):
        empty = replace(empty, memory=LEAST_MEMORY, logs=replace(empty.logs, format="JSON"))
    able = facilities.architectures
    if request.get("Architectures"):
        return replace(empty, architecture=check_architecture(request["Architectures"], able))
    return empty if empty.architecture in able else replace(empty, architecture=able[0])


def _new_name(call: Call, text: str) -> str:
    said = queries.named(call.account, call.region, text)
    if said.qualifier:
        raise invalid("The function name of a new function has no qualifier.")
    if said.account != call.account:
        raise ApiError("AccessDeniedException", "Functions of another account cannot be created.", 403)
    return said.name


async def get_function(facilities: Facilities, call: Call, request: Request) -> Answer:
    found, record, shown = _asked(call, request)
    spec = found.spec
    return {
        "Configuration": await sealing.shown(call, record, qualifier=shown),
        "Code": await _location(facilities, call, record.spec.config),
        **(await _shown_tags(call, found)),
        "Concurrency": None if spec.reserved is None else {"ReservedConcurrentExecutions": spec.reserved},
    }


async def _shown_tags(call: Call, function: FunctionR) -> Mapping[str, Any]:
    """For those who may list them: others are told so."""
    if not function.spec.tags:
        return {}
    try:
        await call.authorize("lambda:ListTags", [function.meta.arn], {})
    except ApiError as refusal:
        return {"TagsError": {"ErrorCode": "AccessDeniedException", "Message": refusal.message}}
    return {"Tags": dict(function.spec.tags)}


async def get_function_configuration(call: Call, request: Request) -> Answer:
    _, record, shown = _asked(call, request)
    return await sealing.shown(call, record, qualifier=shown)


def _asked(call: Call, request: Request) -> tuple[FunctionR, FunctionR | VersionR, str]:
    """The function, the record of the version that was asked for, and the qualifier to be shown. Of an alias it is the
    version that takes most."""
    resolved = queries.resolve(
        call.store, call.account, call.region, request["FunctionName"], request.get("Qualifier", "")
    )
    return resolved.function, queries.record(call.store, resolved.function, resolved.version), resolved.qualifier


async def _location(facilities: Facilities, call: Call, config: Configuration) -> dict[str, Any]:
    code = config.code
    if code.kind == "image":
        repository = config.image_uri.partition("@")[0]
        repository = repository if ":" not in repository.rpartition("/")[2] else repository.rpartition(":")[0]
        resolved = f"{repository}@{code.digest}"
        return {"RepositoryType": "ECR", "ImageUri": config.image_uri, "ResolvedImageUri": resolved}
    if code.kind == "directory":
        return {"RepositoryType": package.HOT_RELOAD, "Location": f"file://{code.path}"}
    told = {"RepositoryType": "S3"}
    if not code.sealed:
        return {**told, "Location": downloads.link(call.site, facilities.secret, code.digest, call.now)}
    told["SourceKMSKeyArn"] = config.code_key
    try:
        key = await sealed_code.shown_key(facilities, call, code)
    except ApiError as refusal:
        return {**told, "Error": {"ErrorCode": refusal.code, "Message": refusal.message}}
    return {**told, "Location": downloads.link(call.site, facilities.secret, code.sealed, call.now, key)}


async def list_functions(call: Call, request: Request) -> Answer:
    every = call.store.list(FUNCTION, call.account, call.region)
    if request.get("MasterRegion"):
        every = ()  # replicas of Lambda@Edge, which there is none of
    found: list[FunctionR | VersionR] = []
    whole = request.get("FunctionVersion") == "ALL"
    for function in every:
        found.append(function)
        if whole:
            found += queries.versions(call.store, function)
    shown, marker = page(call, request, found, lambda r: qualified(r.spec.function, r.spec.number))
    return {
        "Functions": [
            await sealing.shown(call, r, qualifier=r.spec.number if whole else "", listed=True) for r in shown
        ],
        "NextMarker": marker,
    }


async def delete_function(call: Call, request: Request) -> Answer:
    said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    if said.qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if said.qualifier and not queries.is_version(said.qualifier):
        raise invalid("Deletion of aliases is not currently supported.")

    def change(tx: Transaction) -> None:
        found = queries.function(tx, said.account, said.region, said.name)
        if said.qualifier:
            _remove_version(tx, found, said.qualifier)
            return
        for kind in _OWNED:
            for owned in tx.find(kind, "function", scoped(said.account, said.region, said.name)):
                tx.remove(owned)
        tx.remove(found)

    await call.store.transact(change)
    return {"StatusCode": 204}


def _remove_version(tx: Transaction, function: FunctionR, number: str) -> None:
    """No error for one that is not there."""
    m = function.meta
    record = tx.get(VERSION, m.account, m.region, qualified(m.name, number))
    if record is None:
        return
    pointing = [
        a.spec.alias for a in queries.aliases(tx, function) if number == a.spec.version or number in a.spec.weights
    ]
    if pointing:
        raise conflict(f"Unable to delete version because the following aliases reference it: [{', '.join(pointing)}]")
    kinds: tuple[Kind[Any, Any], ...] = (EVENT_INVOKE, PROVISIONED)
    for kind in kinds:
        owned = tx.get(kind, m.account, m.region, qualified(m.name, number))
        if owned is not None:
            tx.remove(owned)
    tx.remove(record)
    if number in function.spec.policies:
        policies = {q: p for q, p in function.spec.policies.items() if q != number}
        tx.update(function, spec=replace(function.spec, policies=policies))
