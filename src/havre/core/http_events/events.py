"""Requests as events."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

_TEXTUAL = ("text/", "application/json", "application/xml", "application/javascript")
"""Forms are none of them: functions get those in base64."""


class Asked(msgspec.Struct, frozen=True):
    """A request. ``path`` as it was sent (percent-encoded), ``query`` without the question mark; names of ``headers`` are
    in lower case; ``at`` in seconds since the epoch. ``base``: what of the path before it chose the API (``/key``, "" for
    nothing); None where the host name did."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str
    at: float
    host: str = ""
    protocol: str = "HTTP/1.1"
    base: str | None = None
    scheme: str = "http"

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


class Place(msgspec.Struct, frozen=True):
    """Where it was sent: ``api`` is the API's or the URL's id, ``account`` who called (anonymous of function URLs).
    ``authorizer`` is the context of who let it in. ``decoded``: paths are told as HTTP APIs tell them, not as they were
    sent (function URLs)."""

    api: str
    account: str
    request_id: str
    route: str = "$default"
    stage: str = "$default"
    path_parameters: Mapping[str, str] = {}
    stage_variables: Mapping[str, str] = {}
    authorizer: Mapping[str, Any] | None = None
    decoded: bool = True


def event_2(asked: Asked, place: Place) -> dict[str, Any]:
    """Payload format 2.0."""
    cookies = [c.strip() for name, value in asked.headers if name == "cookie" for c in value.split(";") if c.strip()]
    body, encoded = _body(asked)
    path = unquote(asked.path) if place.decoded else asked.path
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": place.route,
        "rawPath": path,
        "rawQueryString": asked.query,
        "cookies": cookies or None,
        "headers": {n: v for n, v in _joined(asked.headers).items() if n != "cookie"},
        "queryStringParameters": _joined(parse_qsl(asked.query, keep_blank_values=True)) or None,
        "requestContext": {
            "accountId": place.account,
            "apiId": place.api,
            "authorizer": place.authorizer,
            "domainName": asked.host,
            "domainPrefix": asked.host.partition(".")[0],
            "http": {
                "method": asked.method,
                "path": path,
                "protocol": asked.protocol,
                "sourceIp": asked.source_ip,
                "userAgent": asked.header("user-agent"),
            },
            "requestId": place.request_id,
            "routeKey": place.route,
            "stage": place.stage,
            "time": clf(asked.at),
            "timeEpoch": int(asked.at * 1000),
        },
        "body": body,
        "pathParameters": dict(place.path_parameters) or None,
        "isBase64Encoded": encoded,
        "stageVariables": dict(place.stage_variables) or None,
    }
    return _present(event, "requestContext")


def event_1(asked: Asked, place: Place) -> dict[str, Any]:
    """Payload format 1.0: members that have no value are null."""
    body, encoded = _body(asked)
    query = parse_qsl(asked.query, keep_blank_values=True)
    path = unquote((asked.base or "") + asked.path)
    resource = place.route.partition(" ")[2] or path
    return {
        "version": "1.0",
        "resource": resource,
        "path": path,
        "httpMethod": asked.method,
        "headers": _last(asked.headers),
        "multiValueHeaders": _listed(asked.headers),
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": _listed(query) or None,
        "requestContext": {
            "accountId": place.account,
            "apiId": place.api,
            "authorizer": _authorizer_1(place),
            "domainName": asked.host,
            "domainPrefix": asked.host.partition(".")[0],
            "extendedRequestId": place.request_id,
            "httpMethod": asked.method,
            "identity": _identity_1(asked, place),
            "path": path,
            "protocol": asked.protocol,
            "requestId": place.request_id,
            "requestTime": clf(asked.at),
            "requestTimeEpoch": int(asked.at * 1000),
            "resourceId": place.route,
            "resourcePath": resource,
            "stage": place.stage,
        },
        "pathParameters": dict(place.path_parameters) or None,
        "stageVariables": dict(place.stage_variables) or None,
        "body": body,
        "isBase64Encoded": encoded,
    }


def _authorizer_1(place: Place) -> dict[str, Any]:
    said = place.authorizer or {}
    return dict(said) if said and "iam" not in said else {"claims": None, "scopes": None}


def _identity_1(asked: Asked, place: Place) -> dict[str, Any]:
    """Who asks: IAM's word where the route wants it."""
    iam = (place.authorizer or {}).get("iam") or {}
    return {
        "accessKey": iam.get("accessKey"),
        "accountId": iam.get("accountId"),
        "caller": iam.get("callerId"),
        "cognitoAuthenticationProvider": None,
        "cognitoAuthenticationType": None,
        "cognitoIdentityId": None,
        "cognitoIdentityPoolId": None,
        "principalOrgId": iam.get("principalOrgId"),
        "sourceIp": asked.source_ip,
        "user": iam.get("userId"),
        "userAgent": asked.header("user-agent"),
        "userArn": iam.get("userArn"),
    }


def balancer_event(asked: Asked, target_group: str, *, multiple: bool = False) -> dict[str, Any]:
    """A load balancer's. ``multiple``: headers and parameters with all their values (an attribute of the target group).
    Parameters stay encoded, as the load balancer leaves them."""
    body, encoded = _body(asked)
    pairs = [(n, v) for n, _, v in (part.partition("=") for part in asked.query.split("&") if part)]
    event: dict[str, Any] = {
        "requestContext": {"elb": {"targetGroupArn": target_group}},
        "httpMethod": asked.method,
        "path": asked.path,
    }
    if multiple:
        event |= {"multiValueQueryStringParameters": _listed(pairs), "multiValueHeaders": _listed(asked.headers)}
    else:
        event |= {"queryStringParameters": _last(pairs), "headers": _last(asked.headers)}
    return {**event, "body": body or "", "isBase64Encoded": encoded}


def _body(asked: Asked) -> tuple[str | None, bool]:
    """The body as text where it says that it is some and is, else in base64."""
    if not asked.body:
        return None, False
    kind = asked.header("content-type").lower()
    textual = kind.startswith(_TEXTUAL) or "+json" in kind or "+xml" in kind
    if textual and not asked.header("content-encoding"):
        try:
            return asked.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(asked.body).decode(), True


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name: ",".join(values) for name, values in _listed(pairs).items()}


def _listed(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _last(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return dict(pairs)


def _present(event: dict[str, Any], *nested: str) -> dict[str, Any]:
    """Without what has no value, which format 2.0 leaves out."""
    for name in nested:
        event[name] = _present(event[name])
    return {name: value for name, value in event.items() if value is not None}


def clf(at: float) -> str:
    """A time as the Common Log Format has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
