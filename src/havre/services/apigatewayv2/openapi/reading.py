"""From a document to an API and its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from havre.services.apigatewayv2.errors import absent, bad
from havre.services.apigatewayv2.openapi import names, types

Members = dict[str, Any]
_SILENT = ("passthroughBehavior", "cacheNamespace", "cacheKeyParameters", "contentHandling", "type")


class Wanted(msgspec.Struct):
    """``integrations`` and ``authorizers`` by the document's own names; a route has its integration's in ``Target`` and its
    authorizer's in ``AuthorizerId``, until ids are known."""

    api: Members
    tags: dict[str, str]
    routes: list[Members] = []
    integrations: dict[str, Members] = {}
    authorizers: dict[str, Members] = {}
    warnings: list[str] = []


def read(document: Mapping[str, Any], basepath: str = "ignore") -> Wanted:
    """Raises ApiError for what is no definition of an HTTP API."""
    if not str(document.get("openapi", "")).startswith("3.0"):
        raise bad("Unable to parse API definition: OpenAPI 3.0 is supported")
    info = _object(document, "info")
    if not info.get("title"):
        raise bad("Unable to parse API definition: info.title is required")
    wanted = Wanted(_api(document, info), _tags(document))
    prefix = _prefix(document, basepath)
    for path, item in _object(document, "paths").items():
        if path.startswith("x-"):
            continue
        for method, operation in _operations(path, item):
            wanted.routes.append(_route(wanted, document, _key(path, prefix, method, operation), operation))
    for members in (wanted.api, *wanted.routes, *wanted.integrations.values(), *wanted.authorizers.values()):
        types.check(members)
    return wanted


def _object(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = within.get(name) or {}
    if not isinstance(found, Mapping):
        raise bad(f"Unable to parse API definition: {name} is no object")
    return found


def _api(document: Mapping[str, Any], info: Mapping[str, Any]) -> Members:
    told: Members = {"Name": str(info["title"]), "ProtocolType": "HTTP"}
    for name, member in (("description", "Description"), ("version", "Version")):
        if info.get(name) is not None:
            told[member] = str(info[name])
    cors = _object(document, names.CORS)
    if cors:
        told["CorsConfiguration"] = {m: cors[n] for n, m in names.OF_CORS.items() if cors.get(n) is not None}
    disabled = _object(document, names.ENDPOINT).get("disableExecuteApiEndpoint")
    if disabled is not None:
        told["DisableExecuteApiEndpoint"] = bool(disabled)
    return told


def _tags(document: Mapping[str, Any]) -> dict[str, str]:
    tags = document.get("tags")
    if not isinstance(tags, list):
        return {}
    return {str(t["name"]): str(t[names.TAG_VALUE]) for t in tags if isinstance(t, Mapping) and names.TAG_VALUE in t}


def _prefix(document: Mapping[str, Any], basepath: str) -> str:
    if basepath not in ("ignore", "prepend", "split"):
        raise bad("Invalid basepath: it is ignore, prepend or split")
    if basepath == "split":
        raise absent("ImportApi with basepath split")
    servers = document.get("servers")
    if basepath == "ignore" or not isinstance(servers, list) or not servers or not isinstance(servers[0], Mapping):
        return ""
    return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")


def _operations(path: str, item: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(item, Mapping):
        raise bad(f"Unable to parse API definition: the path {path} is no object")
    for method in (*names.METHODS, names.ANY_METHOD):
        if method in item:
            yield "ANY" if method == names.ANY_METHOD else method.upper(), _object(item, method)


def _key(path: str, prefix: str, method: str, operation: Mapping[str, Any]) -> str:
    if path == names.DEFAULT_PATH or operation.get(names.IS_DEFAULT):
        return "$default"
    return f"{method} {prefix}{path}"


def _route(wanted: Wanted, document: Mapping[str, Any], key: str, operation: Mapping[str, Any]) -> Members:
    route: Members = {"RouteKey": key}
    if operation.get("operationId"):
        route["OperationName"] = str(operation["operationId"])
    given = operation.get(names.INTEGRATION)
    if isinstance(given, Mapping):
        route["Target"] = _integration(wanted, document, key, given)
    else:
        wanted.warnings.append(f"There is no integration for the route {key}.")
    security = operation.get("security", document.get("security"))
    if security:
        route |= _secured(wanted, document, key, security)
    return route


def _integration(wanted: Wanted, document: Mapping[str, Any], key: str, given: Mapping[str, Any]) -> str:
    """The name of the integration; one that several routes refer to is one."""
    name = key
    if "$ref" in given:
        name = str(given["$ref"])
        if name in wanted.integrations:
            return name
        given = _referred(document, name)
    kind = str(given.get("type", "")).upper()
    members: Members = {"IntegrationType": kind}
    for ours, value in given.items():
        if ours in names.OF_INTEGRATIONS:
            if value is not None:
                members[names.OF_INTEGRATIONS[ours]] = value
        elif ours == names.TLS:
            members["TlsConfig"] = {"ServerNameToVerify": _object(given, names.TLS).get("serverNameToVerify", "")}
        elif ours not in _SILENT:
            wanted.warnings.append(f"{ours} is not supported for integrations of HTTP APIs, and is ignored ({key}).")
    members["PayloadFormatVersion"] = str(members.get("PayloadFormatVersion", "1.0"))
    wanted.integrations[name] = members
    return name


def _referred(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    start = f"#/components/{names.INTEGRATIONS}/"
    found = _object(_object(document, "components"), names.INTEGRATIONS).get(name.removeprefix(start))
    if not name.startswith(start) or not isinstance(found, Mapping):
        raise bad(f"Unable to parse API definition: {name} refers to nothing")
    return found


def _secured(wanted: Wanted, document: Mapping[str, Any], key: str, security: Any) -> Members:
    """By the first scheme that API Gateway knows."""
    schemes = _object(_object(document, "components"), "securitySchemes")
    if not isinstance(security, list):
        raise bad("Unable to parse API definition: security is no list")
    asked = {n: s for each in security if isinstance(each, Mapping) for n, s in each.items()}
    if len(asked) > 1:
        wanted.warnings.append(f"A route has one authorizer: the first of {key} is used.")
    for name, scopes in asked.items():
        scheme = schemes.get(name)
        if not isinstance(scheme, Mapping):
            raise bad(f"Unable to parse API definition: there is no security scheme {name}")
        if scheme.get(names.AUTH_TYPE) == names.SIGV4:
            return {"AuthorizationType": "AWS_IAM"}
        if isinstance(scheme.get(names.AUTHORIZER), Mapping):
            kind = _authorizer(wanted, name, scheme[names.AUTHORIZER])
            told: Members = {"AuthorizationType": kind, "AuthorizerId": name}
            return {**told, "AuthorizationScopes": scopes} if kind == "JWT" and scopes else told
        wanted.warnings.append(f"The security scheme {name} has no {names.AUTHORIZER}, and is ignored.")
    return {}


def _authorizer(wanted: Wanted, name: str, given: Mapping[str, Any]) -> str:
    """Its authorization type."""
    kind = str(given.get("type", "")).upper()
    sources = given.get("identitySource") or ()
    if isinstance(sources, str):
        sources = [each.strip() for each in sources.split(",")]
    if not isinstance(sources, list | tuple):
        raise bad("Unable to parse API definition: identitySource is neither a text nor a list")
    members: Members = {"Name": name, "AuthorizerType": kind, "IdentitySource": list(sources)}
    members |= {m: given[n] for n, m in names.OF_AUTHORIZERS.items() if given.get(n) is not None}
    settings = _object(given, "jwtConfiguration")
    if settings:
        members["JwtConfiguration"] = {
            "Issuer": settings.get("issuer") or "",
            "Audience": settings.get("audience") or [],
        }
    if "AuthorizerPayloadFormatVersion" in members:
        members["AuthorizerPayloadFormatVersion"] = str(members["AuthorizerPayloadFormatVersion"])
    if kind not in ("JWT", "REQUEST"):
        raise bad(f"Invalid authorizer type of the security scheme {name}: {kind or 'none'}")
    wanted.authorizers[name] = members
    return "JWT" if kind == "JWT" else "CUSTOM"
