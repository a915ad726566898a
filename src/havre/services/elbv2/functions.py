"""Functions as targets: registered by their ARN, invoked by the server for whatever load balancer asks."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.asgi import as_asked, read, send
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Call
from havre.core.http_events import Asked, BadAnswer, HttpAnswer, balancer_answer, balancer_event
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.elbv2 import attributes
from havre.services.elbv2.errors import validation
from havre.services.elbv2.network import PRINCIPAL
from havre.services.elbv2.resources import TARGET_GROUP, Target, TargetGroupR
from havre.store.ports import Store

HEADER = "x-havre-target-group"
"""Set by the proxy, whatever a client sent."""
MOST = 1 << 20
"""Bytes of a request's body, and of an answer."""
_FUNCTION = re.compile(r"arn:aws[\w-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?\Z")
_STATUS = {
    413: "413 Request Entity Too Large",
    502: "502 Bad Gateway",
    503: "503 Service Temporarily Unavailable",
}


async def resolve(call: Call, group: TargetGroupR, given: Sequence[Any]) -> Target:
    """The one target of a group. Raises ValidationError, TooManyTargets, AccessDenied, InvalidTarget."""
    ids = {each["Id"] for each in given}
    held = {target.id for target in group.spec.targets}
    if len(ids) > 1 or (held and held != ids):
        raise ApiError(
            "TooManyTargets", f"The maximum number of targets per target group '{group.meta.arn}' has been reached"
        )
    id = ids.pop()
    if not _FUNCTION.match(id):
        raise validation(f"The Lambda function ARN '{id}' is not valid")
    if any(each.get("Port") or each.get("AvailabilityZone") for each in given):
        raise validation("Port and Availability Zone cannot be specified for target groups with target type 'lambda'")
    assert call.as_service is not None
    try:
        await call.as_service(PRINCIPAL, group.meta.arn)(
            "lambda", "Invoke", {"FunctionName": id, "InvocationType": "DryRun"}
        )
    except ApiError as refusal:
        if refusal.code == "ResourceNotFoundException":
            raise ApiError("InvalidTarget", f"The Lambda function '{id}' does not exist") from refusal
        if not refusal.code.startswith("AccessDenied"):  # of a function with tenant isolation, say
            why = f"The Lambda function '{id}' cannot be invoked by a load balancer: {refusal.message}"
            raise ApiError("InvalidTarget", why) from refusal
        words = (
            f"elasticloadbalancing principal does not have permission to invoke {id} from target group {group.meta.arn}"
        )
        raise ApiError("AccessDenied", words, 403) from refusal
    return Target(id, 0)


def health(target: Target) -> dict[str, Any]:
    words = "Health checks are not enabled for this target group"
    told = {"State": "unavailable", "Reason": "Target.HealthCheckDisabled", "Description": words}
    return {"Target": {"Id": target.id}, "TargetHealth": told}


class FunctionTargets:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps

    async def asgi(self, scope: Any, receive: Any, send_: Any) -> None:
        body = await read(receive, MOST)
        asked = as_asked(scope, body or b"", self._deps.world.now())
        group = _group(self._deps.store, asked.header(HEADER))
        if body is None:
            answer = _own(413)
        elif group is None or not group.spec.targets:
            answer = _own(503)
        else:
            kept = tuple(each for each in asked.headers if each[0] not in (HEADER, "connection", "content-length"))
            answer = await self._answer(group, replace(asked, headers=kept))
        await send(send_, answer, asked.method == "HEAD")

    async def _answer(self, group: TargetGroupR, asked: Asked) -> HttpAnswer:
        multiple = attributes.value(
            attributes.FUNCTION_GROUP, group.spec.attributes, "lambda.multi_value_headers.enabled"
        )
        several = multiple == "true"
        event = balancer_event(asked, group.meta.arn, multiple=several)
        function = group.spec.targets[0].id
        where = Arn.parse(function)
        aws = self._deps.aws_for(where.account, where.region, PRINCIPAL, group.meta.arn)
        try:
            told = await aws("lambda", "Invoke", {"FunctionName": function, "Payload": json.dumps(event).encode()})
            payload = bytes(told.get("Payload") or b"")
            if told.get("FunctionError") or len(payload) > MOST:
                return _own(502)
            return balancer_answer(payload, multiple=several)
        except (ApiError, Permanent, BadAnswer):
            return _own(502)
        except Temporary:
            return _own(503)


def _group(store: Store, arn: str) -> TargetGroupR | None:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        return None
    return store.get(TARGET_GROUP, parsed.account, parsed.region, parsed.name)


def _own(status: int) -> HttpAnswer:
    """A page of the load balancer's own."""
    title = _STATUS[status]
    lines = ("<html>", f"<head><title>{title}</title></head>", "<body>", f"<center><h1>{title}</h1></center>")
    page = "\r\n".join((*lines, "</body>", "</html>", ""))
    return HttpAnswer(status, (("server", "awselb/2.0"), ("content-type", "text/html")), page.encode())
