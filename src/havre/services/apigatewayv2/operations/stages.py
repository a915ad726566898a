"""Stages and deployments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.apigatewayv2 import present, rules, store
from havre.services.apigatewayv2.declare import ApiOperations
from havre.services.apigatewayv2.errors import bad, conflict, not_found
from havre.services.apigatewayv2.operations.domains import check_unmapped
from havre.services.apigatewayv2.paging import page
from havre.services.apigatewayv2.resources import DEPLOYMENT, STAGE, PartSpec
from havre.store.ports import Transaction

ops = ApiOperations()
_STAGE = "AccessLogSettings AutoDeploy DefaultRouteSettings DeploymentId Description RouteSettings StageVariables"
_STAGES, _ONE_STAGE = "/apis/{ApiId}/stages", "/apis/{ApiId}/stages/{StageName}"
_DEPLOYMENTS, _ONE = "/apis/{ApiId}/deployments", "/apis/{ApiId}/deployments/{DeploymentId}"


def _given(request: Request) -> dict[str, Any]:
    known = _STAGE.split()
    given = {key: value for key, value in request.items() if key in known and value is not None}
    settings = given.get("AccessLogSettings")
    if settings is not None and not any(settings.values()):
        given["AccessLogSettings"] = ""
    return given


async def _check_log(call: Call, members: Mapping[str, Any]) -> None:
    """The log group has to be there, and whoever turns a log on may do so. Raises ApiError."""
    settings = members.get("AccessLogSettings")
    if not settings:
        return
    group = rules.access_log(call.account, call.region, settings)
    try:
        await call.authorize("logs:CreateLogDelivery", ("*",), {})
    except ApiError:
        raise bad("Insufficient permissions to enable logging") from None
    assert call.as_service is not None
    logs = call.as_service("delivery.logs.amazonaws.com")
    found = await logs("logs", "DescribeLogGroups", {"logGroupNamePrefix": group})
    if not any(each["logGroupName"] == group for each in found.get("logGroups") or ()):
        raise bad(f"Access Log destination {settings['DestinationArn']} does not exist")


@ops.on("CreateStage", _STAGES, f"StageName Tags {_STAGE}")
async def create_stage(call: Call, request: Request) -> Answer:
    name, members = request["StageName"], {"AutoDeploy": False, **_given(request)}
    rules.stage(name, members)
    members = store.merged(members, {})
    await _check_log(call, members)

    def change(tx: Transaction) -> Mapping[str, Any]:
        found = store.api(call, request["ApiId"], tx)
        if tx.get(STAGE, call.account, call.region, store.name(found.spec.id, name)) is not None:
            raise conflict("Stage already exists")
        _check_deployment(tx, call, found.spec.id, members)
        spec = PartSpec(found.spec.id, name, members, tags=dict(request.get("Tags") or {}))
        store.create(tx, call, STAGE, spec)
        store.redeploy(tx, call, found)
        return present.part(STAGE, store.part(call, STAGE, found.spec.id, name, tx))

    return await call.store.transact(change)


def _check_deployment(tx: Transaction, call: Call, api: str, members: Mapping[str, Any]) -> None:
    id = members.get("DeploymentId")
    if id and tx.get(DEPLOYMENT, call.account, call.region, store.name(api, id)) is None:
        raise not_found(f"Invalid Deployment identifier specified {id}")


@ops.on("GetStage", _ONE_STAGE)
async def get_stage(call: Call, request: Request) -> Answer:
    return present.part(STAGE, store.part(call, STAGE, request["ApiId"], request["StageName"]))


@ops.on("GetStages", _STAGES, "MaxResults NextToken")
async def get_stages(call: Call, request: Request) -> Answer:
    shown, token = page(call, request, store.parts(call.store, STAGE, store.api(call, request["ApiId"])))
    return {"Items": [present.part(STAGE, each) for each in shown], "NextToken": token}


@ops.on("UpdateStage", _ONE_STAGE, _STAGE)
async def update_stage(call: Call, request: Request) -> Answer:
    store.part(call, STAGE, request["ApiId"], request["StageName"])
    await _check_log(call, _given(request))

    def change(tx: Transaction) -> Mapping[str, Any]:
        seen = store.part(call, STAGE, request["ApiId"], request["StageName"], tx)
        if request.get("DeploymentId") and request.get("AutoDeploy", seen.spec.members.get("AutoDeploy")):
            raise bad("DeploymentId cannot be set on a stage with AutoDeploy enabled")
        members = store.merged(seen.spec.members, _given(request))
        rules.stage(seen.spec.id, members)
        _check_deployment(tx, call, seen.spec.api, members)
        tx.update(seen, spec=replace(seen.spec, members=members))
        if members.get("AutoDeploy") and not seen.spec.members.get("AutoDeploy"):
            store.redeploy(tx, call, store.api(call, seen.spec.api, tx))
        return present.part(STAGE, store.part(call, STAGE, seen.spec.api, seen.spec.id, tx))

    return await call.store.transact(change)


@ops.on("DeleteStage", _ONE_STAGE)
async def delete_stage(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        check_unmapped(tx, call, request["ApiId"], request["StageName"])
        tx.remove(store.part(call, STAGE, request["ApiId"], request["StageName"], tx))

    await call.store.transact(change)
    return None


@ops.on("DeleteAccessLogSettings", f"{_ONE_STAGE}/accesslogsettings")
async def delete_access_log_settings(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen = store.part(call, STAGE, request["ApiId"], request["StageName"], tx)
        members = {k: v for k, v in seen.spec.members.items() if k != "AccessLogSettings"}
        tx.update(seen, spec=replace(seen.spec, members=members))

    await call.store.transact(change)
    return None


@ops.on("DeleteRouteSettings", "/apis/{ApiId}/stages/{StageName}/routesettings/{RouteKey}")
async def delete_route_settings(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen = store.part(call, STAGE, request["ApiId"], request["StageName"], tx)
        settings = dict(seen.spec.members.get("RouteSettings") or {})
        if settings.pop(request["RouteKey"], None) is None:
            raise not_found("Unable to find Route by key " + request["RouteKey"] + " within the provided RouteSettings")
        tx.update(seen, spec=replace(seen.spec, members={**seen.spec.members, "RouteSettings": settings}))

    await call.store.transact(change)
    return None


@ops.on("CreateDeployment", _DEPLOYMENTS, "Description StageName")
async def create_deployment(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> Mapping[str, Any]:
        found = store.api(call, request["ApiId"], tx)
        made = store.deploy(tx, call, found, request.get("Description") or "")
        if request.get("StageName"):
            stage = store.part(call, STAGE, found.spec.id, request["StageName"], tx)
            if stage.spec.members.get("AutoDeploy"):
                raise bad("Deployments cannot be created for stages with AutoDeploy enabled")
            tx.update(stage, spec=replace(stage.spec, members={**stage.spec.members, "DeploymentId": made.spec.id}))
        return present.part(DEPLOYMENT, made)

    return await call.store.transact(change)


@ops.on("GetDeployment", _ONE)
async def get_deployment(call: Call, request: Request) -> Answer:
    return present.part(DEPLOYMENT, store.part(call, DEPLOYMENT, request["ApiId"], request["DeploymentId"]))


@ops.on("GetDeployments", _DEPLOYMENTS, "MaxResults NextToken")
async def get_deployments(call: Call, request: Request) -> Answer:
    shown, token = page(call, request, store.parts(call.store, DEPLOYMENT, store.api(call, request["ApiId"])))
    return {"Items": [present.part(DEPLOYMENT, each) for each in shown], "NextToken": token}


@ops.on("UpdateDeployment", _ONE, "Description")
async def update_deployment(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> Mapping[str, Any]:
        seen = store.part(call, DEPLOYMENT, request["ApiId"], request["DeploymentId"], tx)
        members = {**seen.spec.members, "Description": request.get("Description") or ""}
        return present.part(DEPLOYMENT, tx.update(seen, spec=replace(seen.spec, members=members)))

    return await call.store.transact(change)


@ops.on("DeleteDeployment", _ONE)
async def delete_deployment(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        seen = store.part(call, DEPLOYMENT, request["ApiId"], request["DeploymentId"], tx)
        for stage in store.parts(tx, STAGE, store.api(call, request["ApiId"], tx)):
            if stage.spec.members.get("DeploymentId") == seen.spec.id:
                raise bad("Active stages pointing to this deployment must be moved or deleted")
        tx.remove(seen)

    await call.store.transact(change)
    return None
