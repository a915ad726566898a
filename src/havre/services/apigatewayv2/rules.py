"""What API Gateway takes, and what it makes of what was left out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from havre.core import http_routes, parameter_mapping
from havre.services.apigatewayv2 import subtypes
from havre.services.apigatewayv2.errors import absent, bad
from havre.services.apigatewayv2.links import listener_parts

FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?\Z")
_INVOCATION = re.compile(r"arn:aws[\w-]*:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(.+)/invocations\Z")
_STAGE = re.compile(r"(\$default|[A-Za-z0-9_-]{1,128})\Z")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+\Z")
_IDENTITY = re.compile(r"\$(request\.(header|querystring)|context|stageVariables)\.[\w.-]+\Z")
_TOKEN = re.compile(r"\$request\.(header|querystring)\.[\w.-]+\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}\Z")
_GROUP = re.compile(r"arn:aws:logs:([a-z0-9-]+):(\d{12}):log-group:([.\-_/#A-Za-z0-9]{1,512})\Z")
TIMEOUT, LONGEST = 30_000, 30_000
MOST_SCOPES, MOST_AUDIENCES = 10, 50
DISCOVERY = "/.well-known/openid-configuration"
"""Of OpenID Connect, below an issuer's URL."""


def function_arn(uri: str) -> str:
    """The function of an integration's or an authorizer's URI; "" when it names none."""
    inside = _INVOCATION.match(uri)
    arn = inside.group(1) if inside else uri
    return arn if FUNCTION.match(arn) else ""


def api(members: Mapping[str, Any]) -> None:
    if members.get("ProtocolType", "HTTP") != "HTTP":
        raise absent("WebSocket APIs")
    cors = members.get("CorsConfiguration") or {}
    if cors.get("AllowCredentials") and "*" in (cors.get("AllowOrigins") or ()):
        raise bad("Failed to set CORS configuration: Allow credentials is not supported with wildcard origins")
    for member, usual in (
        ("RouteSelectionExpression", "$request.method $request.path"),
        ("ApiKeySelectionExpression", "$request.header.x-api-key"),
        ("IpAddressType", "ipv4"),
    ):
        if members.get(member) not in (None, usual):
            raise absent(f"{member} {members[member]}")


def route(members: Mapping[str, Any]) -> None:
    why = http_routes.fault(members["RouteKey"])
    if why:
        raise bad(why)
    authorization = members.get("AuthorizationType", "NONE")
    if authorization in ("JWT", "CUSTOM") and not members.get("AuthorizerId"):
        raise bad(unfit(authorization))
    scopes = members.get("AuthorizationScopes") or ()
    if scopes and authorization != "JWT":
        raise bad("AuthorizationScopes need the authorization type JWT")
    if len(scopes) > MOST_SCOPES or any(not _SCOPE.match(scope) for scope in scopes):
        raise bad(f"AuthorizationScopes are at most {MOST_SCOPES} texts without spaces and quotation marks")
    target = members.get("Target")
    if target is not None and not target.startswith("integrations/"):
        raise bad("Invalid target: it has to be integrations/ with the id of an integration")


def unfit(authorization: str) -> str:
    """A route without an authorizer of its kind."""
    needed = "JWT requires a valid JWT" if authorization == "JWT" else "CUSTOM or COGNITO_USER_POOLS requires a valid"
    return f"Invalid authorizer ID specified. Setting the authorization type to {needed} authorizer."


def integration(members: Mapping[str, Any], region: str) -> dict[str, Any]:
    """With what AWS fills in."""
    kind, uri = members["IntegrationType"], members.get("IntegrationUri") or ""
    if kind not in ("AWS_PROXY", "HTTP_PROXY"):
        raise bad(
            "Currently, an API with a protocol type of HTTP may only be associated with proxy integrations (AWS_PROXY, "
            "HTTP_PROXY)"
        )
    linked = _linked(members)
    mapped = members.get("RequestParameters") or {}
    if members.get("IntegrationSubtype"):
        _service(members, mapped, region)
    elif why := parameter_mapping.fault(mapped):
        raise bad(why)
    for status, mapping in (members.get("ResponseParameters") or {}).items():
        if not (status.isdecimal() and 200 <= int(status) <= 599):
            raise bad(f"Invalid selection key for response parameters: {status}")
        if why := parameter_mapping.fault(mapping, response=True):
            raise bad(why)
    if members.get("IntegrationSubtype"):
        return _filled(members)
    if kind == "AWS_PROXY":
        _lambda(members, uri)
    elif not linked and not uri.startswith(("http://", "https://")):
        raise bad("HttpProxy integration should have a valid IntegrationUri")
    elif not members.get("IntegrationMethod"):
        raise bad("HTTP integrations need an IntegrationMethod")
    return _filled(members)


def _linked(members: Mapping[str, Any]) -> bool:
    """Whether an integration goes by a VPC link."""
    if members.get("ConnectionType", "INTERNET") == "INTERNET":
        for member in ("ConnectionId", "TlsConfig"):
            if members.get(member):
                raise bad(f"{member} is supported for the connection type VPC_LINK only")
        return False
    if members["IntegrationType"] != "HTTP_PROXY":
        raise bad("VPC_LINK is supported for integrations of the type HTTP_PROXY only")
    if not members.get("ConnectionId"):
        raise bad("VpcLink ID is required for private integrations")
    listener_parts(members.get("IntegrationUri") or "")
    return True


def _filled(members: Mapping[str, Any]) -> dict[str, Any]:
    given = {"ConnectionType": "INTERNET", "PayloadFormatVersion": "1.0", "TimeoutInMillis": TIMEOUT}
    if not members.get("IntegrationSubtype"):
        given["IntegrationMethod"] = "POST"
    return {**given, **members}


def _service(members: Mapping[str, Any], parameters: Mapping[str, str], region: str) -> None:
    if members["IntegrationType"] != "AWS_PROXY" or members.get("IntegrationUri"):
        raise bad("IntegrationSubtype is for integrations of the type AWS_PROXY without an IntegrationUri")
    if not members.get("CredentialsArn"):
        raise bad("CredentialsArn is required for integrations with an IntegrationSubtype")
    if members.get("PayloadFormatVersion", "1.0") != "1.0":
        raise bad("PayloadFormatVersion should be 1.0 for integrations with an IntegrationSubtype")
    subtypes.check(members["IntegrationSubtype"], parameters, region)


def _lambda(members: Mapping[str, Any], uri: str) -> None:
    if not function_arn(uri):
        raise bad("Invalid function ARN or invalid uri")
    if members.get("PayloadFormatVersion") is None:
        raise bad("PayloadFormatVersion is a required parameter for integration with protocol type HTTP")
    if members["PayloadFormatVersion"] not in ("1.0", "2.0"):
        raise bad("PayloadFormatVersion should be 1.0 or 2.0")


def authorizer(members: Mapping[str, Any]) -> dict[str, Any]:
    if members["AuthorizerType"] == "JWT":
        return _jwt(members)
    if members.get("JwtConfiguration"):
        raise bad("JwtConfiguration needs the authorizer type JWT")
    uri = members.get("AuthorizerUri") or ""
    if not function_arn(uri):
        raise bad("Invalid Authorizer URI: it has to name a function")
    version = members.get("AuthorizerPayloadFormatVersion")
    if version not in ("1.0", "2.0"):
        raise bad("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizers: 1.0 or 2.0")
    if members.get("EnableSimpleResponses") and version == "1.0":
        raise bad("EnableSimpleResponses needs the payload format 2.0")
    for source in members.get("IdentitySource") or ():
        if not _IDENTITY.match(source):
            raise bad(f"Invalid mapping expression specified: {source}")
    return {"AuthorizerResultTtlInSeconds": 300 if members.get("IdentitySource") else 0, **members}


def _jwt(members: Mapping[str, Any]) -> dict[str, Any]:
    theirs = ("AuthorizerUri", "AuthorizerCredentialsArn", "AuthorizerPayloadFormatVersion", "EnableSimpleResponses")
    for member in (*theirs, "AuthorizerResultTtlInSeconds"):
        if members.get(member):
            raise bad(f"{member} is not supported for JWT authorizers")
    sources: Any = members.get("IdentitySource") or ()
    if len(sources) != 1 or not _TOKEN.match(sources[0]):
        raise bad("JWT authorizers need one IdentitySource: $request.header.NAME or $request.querystring.NAME")
    settings = members.get("JwtConfiguration") or {}
    if not settings.get("Issuer"):
        raise bad("JwtConfiguration.Issuer is required for JWT authorizers")
    if not 1 <= len(settings.get("Audience") or ()) <= MOST_AUDIENCES:
        raise bad(f"JwtConfiguration.Audience needs 1 to {MOST_AUDIENCES} entries")
    return dict(members)


def access_log(account: str, region: str, settings: Mapping[str, Any]) -> str:
    """The name of the log group that a stage's access log goes to."""
    arn, format = settings.get("DestinationArn") or "", settings.get("Format") or ""
    found = _GROUP.match(arn)
    if found is None:
        raise bad("Access Log destination must be the ARN of a CloudWatch Logs log group, without ':*' at its end")
    if found[1] != region or found[2] != account:
        raise bad("Access Log destination must be a log group of the API's own account and Region")
    if not format:
        raise bad("Access Log format is required when a destination is specified")
    if "\n" in format.rstrip("\n") or "\r" in format:
        raise bad(
            "Access Log format must be single line, new line character is allowed only at end of the format: " + format
        )
    if "$context.requestId" not in format and "$context.extendedRequestId" not in format:
        raise bad("Access Log format must include at least $context.requestId")
    return str(found[3])


def stage(name: str, members: Mapping[str, Any]) -> None:
    if not _STAGE.match(name):
        raise bad("Stage name only allows a-zA-Z0-9_- characters and $default")
    for variable in members.get("StageVariables") or {}:
        if not _VARIABLE.match(variable):
            raise bad(f"Invalid stage variable name: {variable}")
    settings = [members.get("DefaultRouteSettings") or {}, *(members.get("RouteSettings") or {}).values()]
    for each in settings:
        if each.get("DataTraceEnabled") or each.get("LoggingLevel") not in (None, "OFF"):
            raise bad("Execution logs are not supported on protocolType HTTP")
