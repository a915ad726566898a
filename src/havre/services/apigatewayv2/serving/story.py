"""What becomes of one request, and the ``$context`` variables by which access logs tell it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from havre.core.http_events import Asked, HttpAnswer, Place, clf
from havre.core.parameter_mapping import Known
from havre.services.apigatewayv2.resources import Api, Part
from havre.services.apigatewayv2.serving.verdict import Verdict

VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)")
_TYPES = {
    401: "UNAUTHORIZED",
    403: "ACCESS_DENIED",
    404: "ROUTE_NOT_FOUND",
    413: "REQUEST_TOO_LARGE",
    429: "THROTTLED",
    500: "DEFAULT_5XX",
    503: "INTEGRATION_FAILURE",
}
_OF_ANSWERS = frozenset(("dataProcessed", "responseLatency", "responseLength", "status"))
_CALLER = {
    "accountId": "accountId",
    "caller": "callerId",
    "user": "userId",
    "userArn": "userArn",
    "principalOrgId": "principalOrgId",
}
"""``$context.identity`` by the names of ``requestContext.authorizer.iam``."""


class Story(msgspec.Struct):
    """``refusal``: the gateway's own answer, which no integration gave. ``integration_status`` is what the integration's
    service answered (Lambda), ``status`` what the function or the server did; latencies in seconds. ``mapped``: a domain
    name's API mapping has found the stage already."""

    api: Api
    asked: Asked
    id: str
    stage: Part | None = None
    path: str = "/"
    mapped: bool = False
    place: Place | None = None
    verdict: Verdict | None = None
    refusal: HttpAnswer | None = None
    integration_status: int | None = None
    status: int | None = None
    error: str = ""
    latency: float | None = None


def line(format: str, values: Mapping[str, Any]) -> str:
    """A log's line: variables that have no value are a hyphen."""
    return VARIABLE.sub(lambda found: _text(values.get(found[1])), format).rstrip("\n")


def variables(story: Story, answer: HttpAnswer, took: float) -> dict[str, Any]:
    """``took``: seconds until the answer was there."""
    asked, stage = story.asked, story.stage
    latency = None if story.latency is None else int(story.latency * 1000)
    told: dict[str, Any] = {
        "accountId": story.api.meta.account,
        "apiId": story.api.spec.id,
        "customDomain.basePathMatched": (asked.base or "").lstrip("/") or None,
        "dataProcessed": len(asked.body) + len(answer.body),
        "domainName": asked.host,
        "domainPrefix": asked.host.partition(".")[0],
        "extendedRequestId": story.id,
        "httpMethod": asked.method,
        "identity.sourceIp": asked.source_ip,
        "identity.userAgent": asked.header("user-agent") or None,
        "integration.error": story.error or None,
        "integration.integrationStatus": story.integration_status,
        "integration.latency": latency,
        "integration.status": story.status,
        "integrationErrorMessage": story.error or None,
        "integrationLatency": latency,
        "integrationStatus": story.integration_status,
        "path": (asked.base or "") + asked.path,
        "protocol": asked.protocol,
        "requestId": story.id,
        "requestTime": clf(asked.at),
        "requestTimeEpoch": int(asked.at * 1000),
        "responseLatency": int(took * 1000),
        "responseLength": len(answer.body),
        "routeKey": story.place.route if story.place is not None else None,
        "stage": stage.spec.id if stage is not None else None,
        "status": answer.status,
    }
    return {**told, **_refused(story), **_authorized(story)}


def known(story: Story, place: Place) -> Known:
    """What parameter mappings may look at."""
    told = variables(story, HttpAnswer(0, (), b""), 0.0)
    context = {n: v for n, v in told.items() if n not in _OF_ANSWERS}
    return Known(story.asked, story.path, place.path_parameters, place.stage_variables, context)


def _refused(story: Story) -> dict[str, Any]:
    if story.refusal is None:
        return {}
    message = json.loads(story.refusal.body)["message"]
    kind = _TYPES.get(story.refusal.status)
    return {"error.message": message, "error.messageString": json.dumps(message), "error.responseType": kind}


def _authorized(story: Story) -> dict[str, Any]:
    verdict = story.verdict
    if verdict is None:
        return {}
    if verdict.status != 200:
        return {"authorizer.error": verdict.error or None}
    if verdict.kind == "iam":
        return {f"identity.{name}": verdict.context[ours] for name, ours in _CALLER.items()}
    claims = verdict.context["claims"] if verdict.kind == "jwt" else {}
    given = verdict.context if verdict.kind == "lambda" else {}
    return {f"authorizer.{k}": v for k, v in given.items()} | {f"authorizer.claims.{k}": v for k, v in claims.items()}


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("\r", " ").replace("\n", " ")
