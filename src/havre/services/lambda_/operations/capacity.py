"""Capacity providers: made, shown, changed, listed, deleted; and what runs on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.control.roles import assumable, may_pass
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.services.lambda_.capacity import CapacitySpec, CapacityStatus
from havre.services.lambda_.capacity_queries import on_provider, provider, provider_arn, version_arn
from havre.services.lambda_.conditions import tag_conditions
from havre.services.lambda_.configuring import check_architecture
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import conflict, invalid
from havre.services.lambda_.facilities import Facilities
from havre.services.lambda_.networks import provider_network
from havre.services.lambda_.paging import page
from havre.services.lambda_.resources import CAPACITY, CapacityR
from havre.services.lambda_.roles import PRINCIPAL
from havre.services.lambda_.rules import managed as rules
from havre.services.lambda_.rules.values import merged_tags
from havre.services.lambda_.times import spelled
from havre.store.ports import Transaction

_ONE = "CapacityProviderName"
_CHANGEABLE = "CapacityProviderScalingConfig PropagateTags TelemetryConfig"


def operations(facilities: Facilities) -> LambdaOperations:
    ops = LambdaOperations()
    ops.on(
        "CreateCapacityProvider",
        f"{_ONE} VpcConfig PermissionsConfig InstanceRequirements Tags {_CHANGEABLE}",
        resources=_arns,
        conditions=lambda call, request: tag_conditions(request.get("Tags") or {}),
    )(partial(create_capacity_provider, facilities))
    ops.on("GetCapacityProvider", _ONE, resources=_arns)(get_capacity_provider)
    ops.on("UpdateCapacityProvider", f"{_ONE} {_CHANGEABLE}", resources=_arns)(update_capacity_provider)
    ops.on("DeleteCapacityProvider", _ONE, resources=_arns)(delete_capacity_provider)
    ops.on("ListCapacityProviders", "State Marker MaxItems", resources=None)(list_capacity_providers)
    ops.on("ListFunctionVersionsByCapacityProvider", f"{_ONE} Marker MaxItems", resources=_arns)(
        list_function_versions_by_capacity_provider
    )
    return ops


def _arns(call: Call, request: Request) -> Sequence[str]:
    name = request[_ONE]
    return (name if name.startswith("arn:") else provider_arn(call.account, call.region, name),)


async def create_capacity_provider(facilities: Facilities, call: Call, request: Request) -> Answer:
    parsed = Arn.parse(_arns(call, request)[0])
    if (parsed.account, parsed.region) != (call.account, call.region):
        raise invalid("A capacity provider is made in the caller's own account and region.")
    name, whole = parsed.name, provider_arn(call.account, call.region, parsed.name)
    if call.store.get(CAPACITY, call.account, call.region, name) is not None:
        raise _taken(whole)
    spec = await _new_spec(facilities, call, request, name)

    def change(tx: Transaction) -> CapacityR:
        if tx.get(CAPACITY, call.account, call.region, name) is not None:
            raise _taken(whole)
        if len(tx.list(CAPACITY, call.account, call.region)) >= rules.PROVIDERS:
            raise ApiError(
                "CapacityProviderLimitExceededException",
                f"The maximum number of capacity providers ({rules.PROVIDERS}) has been reached.",
            )
        return tx.create(
            CAPACITY,
            account=call.account,
            region=call.region,
            name=name,
            arn=whole,
            spec=spec,
            status=CapacityStatus(),
        )

    return {"CapacityProvider": _shown(await call.store.transact(change))}


def _taken(whole: str) -> ApiError:
    return conflict(f"Capacity provider already exists: {whole}")


async def _new_spec(facilities: Facilities, call: Call, request: Request, name: str) -> CapacitySpec:
    """Raises ApiError."""
    wanted = request.get("InstanceRequirements") or {}
    allowed, excluded = wanted.get("AllowedInstanceTypes") or (), wanted.get("ExcludedInstanceTypes") or ()
    if allowed and excluded:
        raise invalid("Only one of AllowedInstanceTypes and ExcludedInstanceTypes can be specified.")
    able = facilities.architectures
    architecture = check_architecture(wanted.get("Architectures") or [_usual(able)], able)
    tags = merged_tags({}, request.get("Tags") or {})
    if tags:
        await call.authorize("lambda:TagResource", list(_arns(call, request)), tag_conditions(tags))
    role = request["PermissionsConfig"]["CapacityProviderOperatorRoleArn"]
    await _check_operator(call, role)
    network = await provider_network(call, request["VpcConfig"])
    spec = CapacitySpec(
        name, network, role, call.now, architecture, allowed=tuple(allowed), excluded=tuple(excluded), tags=tags
    )
    return _changed(call, request, spec)


def _usual(able: Sequence[str]) -> str:
    return "x86_64" if "x86_64" in able else able[0]


async def _check_operator(call: Call, role: str) -> None:
    if Arn.parse(role).account != call.account:
        raise ApiError("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
    await may_pass(call, role, PRINCIPAL)
    if not await assumable(call, role, PRINCIPAL):
        raise invalid("The operator role defined for the capacity provider cannot be assumed by Lambda.")


def _changed(call: Call, request: Request, spec: CapacitySpec) -> CapacitySpec:
    """With what can be changed later as well. Raises ApiError."""
    changes: dict[str, Any] = {"modified": call.now}
    if request.get("CapacityProviderScalingConfig"):
        given = request["CapacityProviderScalingConfig"]
        mode = given.get("ScalingMode") or spec.mode
        changes["mode"] = mode
        changes["max_vcpus"] = given.get("MaxVCpuCount") or spec.max_vcpus
        kept = spec.policies if mode == spec.mode and given.get("ScalingPolicies") is None else None
        changes["policies"] = rules.policies(mode, given.get("ScalingPolicies") or []) if kept is None else kept
    if request.get("PropagateTags"):
        changes |= _propagated(request["PropagateTags"])
    if request.get("TelemetryConfig"):
        logging = request["TelemetryConfig"].get("LoggingConfig") or {}
        changes["system_level"] = logging.get("SystemLogLevel") or spec.system_level or "INFO"
        changes["log_group"] = (
            logging.get("LogGroup") or spec.log_group or f"/aws/lambda/capacity-provider/{spec.provider}"
        )
    return replace(spec, **changes)


def _propagated(given: Mapping[str, Any]) -> dict[str, Any]:
    mode, tags = given.get("Mode") or "None", given.get("ExplicitTags") or {}
    if mode == "None" and tags:
        raise invalid("ExplicitTags are only supported with the mode Explicit.")
    if mode == "Explicit" and not tags:
        raise invalid("ExplicitTags are required with the mode Explicit.")
    return {"propagate": mode, "tags_of_resources": merged_tags({}, tags)}


async def get_capacity_provider(call: Call, request: Request) -> Answer:
    return {"CapacityProvider": _shown(provider(call.store, call.account, call.region, request[_ONE]))}


async def update_capacity_provider(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> CapacityR:
        found = provider(tx, call.account, call.region, request[_ONE])
        if _state(found) != "Active":
            raise conflict(
                "The operation cannot be performed at this time. The capacity provider is currently in the following "
                f"state: {_state(found)}"
            )
        return tx.update(found, spec=_changed(call, request, found.spec))

    return {"CapacityProvider": _shown(await call.store.transact(change))}


async def delete_capacity_provider(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> CapacityR:
        found = provider(tx, call.account, call.region, request[_ONE])
        used = [version_arn(record) for record in on_provider(tx, found.meta.arn)]
        if used:
            raise conflict(
                f"The capacity provider {found.meta.arn} is in use by function versions and cannot be deleted: "
                f"{', '.join(used[:5])}{', …' if len(used) > 5 else ''}"
            )
        return found if found.meta.deleting is not None else tx.update(found, deleting=call.now)

    return {"CapacityProvider": _shown(await call.store.transact(change))}


async def list_capacity_providers(call: Call, request: Request) -> Answer:
    wanted = request.get("State")
    every = [r for r in call.store.list(CAPACITY, call.account, call.region) if wanted in (None, _state(r))]
    shown, marker = page(call, request, every, lambda r: r.meta.name)
    return {"CapacityProviders": [_shown(r) for r in shown], "NextMarker": marker}


async def list_function_versions_by_capacity_provider(call: Call, request: Request) -> Answer:
    found = provider(call.store, call.account, call.region, request[_ONE])
    every = sorted(on_provider(call.store, found.meta.arn), key=version_arn)
    shown, marker = page(call, request, every, version_arn)
    return {
        "CapacityProviderArn": found.meta.arn,
        "FunctionVersions": [{"FunctionArn": version_arn(r), "State": r.status.state} for r in shown],
        "NextMarker": marker,
    }


def _state(found: CapacityR) -> str:
    return "Deleting" if found.meta.deleting is not None else found.status.state


def _shown(found: CapacityR) -> dict[str, Any]:
    spec = found.spec
    requirements: dict[str, Any] = {"Architectures": [spec.architecture]}
    if spec.allowed:
        requirements["AllowedInstanceTypes"] = list(spec.allowed)
    if spec.excluded:
        requirements["ExcludedInstanceTypes"] = list(spec.excluded)
    scaling: dict[str, Any] = {"MaxVCpuCount": spec.max_vcpus, "ScalingMode": spec.mode}
    if spec.policies:
        scaling["ScalingPolicies"] = [
            {"PredefinedMetricType": policy.metric, "TargetValue": policy.target} for policy in spec.policies
        ]
    shown: dict[str, Any] = {
        "CapacityProviderArn": found.meta.arn,
        "State": _state(found),
        "VpcConfig": {
            "SubnetIds": list(spec.network.subnets),
            "SecurityGroupIds": list(spec.network.security_groups),
        },
        "PermissionsConfig": {"CapacityProviderOperatorRoleArn": spec.role},
        "InstanceRequirements": requirements,
        "CapacityProviderScalingConfig": scaling,
        "LastModified": spelled(spec.modified),
    }
    if spec.propagate:
        tags = {"ExplicitTags": dict(spec.tags_of_resources)} if spec.tags_of_resources else {}
        shown["PropagateTags"] = {"Mode": spec.propagate, **tags}
    if spec.log_group:
        logging = {"SystemLogLevel": spec.system_level, "LogGroup": spec.log_group}
        shown["TelemetryConfig"] = {"LoggingConfig": logging}
    return shown
