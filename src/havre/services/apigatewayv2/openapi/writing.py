"""From an API and its parts to a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.services.apigatewayv2.openapi import names

Members = Mapping[str, Any]


def write(api: Members, tags: Mapping[str, str], parts: Mapping[str, Mapping[str, Members]], extended: bool) -> Members:
    """``parts``: routes, integrations and authorizers by their ids. ``extended``: with API Gateway's extensions."""
    document: dict[str, Any] = {"openapi": "3.0.1", "info": _info(api)}
    if tags and extended:
        document["tags"] = [{"name": n, names.TAG_VALUE: v} for n, v in sorted(tags.items())]
    paths: dict[str, Any] = {}
    for route in sorted(parts["routes"].values(), key=lambda each: str(each["RouteKey"])):
        method, _, path = route["RouteKey"].partition(" ")
        operation = _operation(route, parts, extended)
        if not path:
            paths.setdefault(names.DEFAULT_PATH, {})[names.ANY_METHOD] = {**operation, names.IS_DEFAULT: True}
        else:
            name = names.ANY_METHOD if method == "ANY" else method.lower()
            paths.setdefault(path, {})[name] = operation
    document["paths"] = paths
    schemes = _schemes(parts)
    if schemes and extended:
        document["components"] = {"securitySchemes": schemes}
    if extended:
        document |= _extensions(api)
    return document


def _info(api: Members) -> dict[str, Any]:
    told = {"title": api["Name"], "version": api.get("Version") or "1.0"}
    return {**told, "description": api["Description"]} if api.get("Description") else told


def _extensions(api: Members) -> dict[str, Any]:
    told: dict[str, Any] = {}
    cors = api.get("CorsConfiguration")
    if cors:
        told[names.CORS] = {n: cors[m] for n, m in names.OF_CORS.items() if cors.get(m) is not None}
    if api.get("DisableExecuteApiEndpoint"):
        told[names.ENDPOINT] = {"disableExecuteApiEndpoint": True}
    return {**told, names.VERSION: "1.0"}


def _operation(route: Members, parts: Mapping[str, Mapping[str, Members]], extended: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if route.get("OperationName"):
        told["operationId"] = route["OperationName"]
    told["responses"] = {"default": {"description": f"Default response for {route['RouteKey']}"}}
    kind = route.get("AuthorizationType", "NONE")
    if extended and kind == "AWS_IAM":
        told["security"] = [{"sigv4": []}]
    elif extended and kind != "NONE" and route.get("AuthorizerId") in parts["authorizers"]:
        name = parts["authorizers"][route["AuthorizerId"]]["Name"]
        told["security"] = [{name: list(route.get("AuthorizationScopes") or ())}]
    integration = parts["integrations"].get(str(route.get("Target", "")).partition("/")[2])
    if extended and integration is not None:
        told[names.INTEGRATION] = _integration(integration)
    return told


def _integration(members: Members) -> dict[str, Any]:
    told: dict[str, Any] = {n: members[m] for n, m in names.OF_INTEGRATIONS.items() if members.get(m) is not None}
    tls = members.get("TlsConfig")
    if tls is not None:
        told[names.TLS] = {"serverNameToVerify": tls.get("ServerNameToVerify", "")}
    return {**told, "type": str(members["IntegrationType"]).lower()}


def _schemes(parts: Mapping[str, Mapping[str, Members]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if any(route.get("AuthorizationType") == "AWS_IAM" for route in parts["routes"].values()):
        found["sigv4"] = {"type": "apiKey", "name": "Authorization", "in": "header", names.AUTH_TYPE: names.SIGV4}
    for members in parts["authorizers"].values():
        told: dict[str, Any] = {"type": str(members["AuthorizerType"]).lower()}
        if members.get("IdentitySource"):
            told["identitySource"] = ",".join(members["IdentitySource"])
        told |= {n: members[m] for n, m in names.OF_AUTHORIZERS.items() if members.get(m) is not None}
        settings = members.get("JwtConfiguration")
        if settings:
            told["jwtConfiguration"] = {"issuer": settings["Issuer"], "audience": list(settings["Audience"])}
            scheme: dict[str, Any] = {"type": "oauth2", "flows": {}}
        else:
            scheme = {"type": "apiKey", "name": "Authorization", "in": "header"}
        found[members["Name"]] = {**scheme, names.AUTHORIZER: told}
    return found
