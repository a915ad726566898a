"""Records in AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.control.operation import Call
from havre.kernel.resource import Kind, NoStatus
from havre.services.apigatewayv2.resources import (
    AUTHORIZER,
    DEPLOYMENT,
    INTEGRATION,
    ROUTE,
    STAGE,
    Api,
    Part,
    PartSpec,
)

IDS: dict[str, str] = {
    ROUTE.name: "RouteId",
    INTEGRATION.name: "IntegrationId",
    AUTHORIZER.name: "AuthorizerId",
    DEPLOYMENT.name: "DeploymentId",
    STAGE.name: "StageName",
}


def api(call: Call, found: Api) -> dict[str, Any]:
    members = dict(found.spec.members)
    if members.get("CorsConfiguration"):
        members["CorsConfiguration"] = {"AllowCredentials": False, **members["CorsConfiguration"]}
    return {
        **members,
        "ApiId": found.spec.id,
        "ApiEndpoint": endpoint(call, found.spec.id),
        "CreatedDate": found.meta.created,
        "Tags": dict(found.spec.tags),
    }


def endpoint(call: Call, id: str) -> str:
    return f"{call.site.scheme}://{id}.execute-api.{call.region}.localhost:{call.site.port}"


def part(kind: Kind[PartSpec, NoStatus], found: Part) -> dict[str, Any]:
    members = {k: v for k, v in found.spec.members.items() if not k.startswith("apigateway.")}
    told: dict[str, Any] = {**members, IDS[kind.name]: found.spec.id}
    if kind in (ROUTE, INTEGRATION, STAGE):
        told["ApiGatewayManaged"] = found.spec.managed or None
    if kind is DEPLOYMENT:
        told |= {"DeploymentStatus": "DEPLOYED", "CreatedDate": found.meta.created}
    if kind is STAGE:
        told |= {
            "DefaultRouteSettings": {"DetailedMetricsEnabled": False, **(members.get("DefaultRouteSettings") or {})},
            "RouteSettings": members.get("RouteSettings") or {},
            "StageVariables": members.get("StageVariables") or {},
            "CreatedDate": found.meta.created,
            "LastUpdatedDate": found.meta.updated,
            "Tags": dict(found.spec.tags),
        }
    return told
