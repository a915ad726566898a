"""First-class integrations: a route that calls an operation of another service of AWS, by the integration's role."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from havre.control.operation import Aws
from havre.core import parameter_mapping
from havre.core.http_events import HttpAnswer
from havre.core.parameter_mapping import Known
from havre.kernel.errors import ApiError
from havre.services.apigatewayv2.subtypes import SUBTYPES, Subtype

Params = Mapping[str, str]


async def call(aws: Aws, integration: Mapping[str, Any], known: Known) -> HttpAnswer:
    """The service's own answer, refusals included, in the protocol that it speaks. Raises Temporary; ApiError for what IAM
    does not let through."""
    subtype = SUBTYPES[integration["IntegrationSubtype"]]
    given = {n: parameter_mapping.value(v, known) for n, v in integration["RequestParameters"].items()}
    params = {n: v for n, v in given.items() if v is not None and n != "Region"}
    try:
        missing = [name for name in subtype.required if not params.get(name)]
        if missing:
            raise ApiError("BadRequestException", f"The request has no value for {', '.join(missing)}.", 400)
        answer = await aws(subtype.service, subtype.operation, _REQUESTS[subtype.operation](params))
    except ApiError as error:
        if error.code in ("AccessDenied", "AccessDeniedException"):
            raise
        return _error(subtype, error)
    return _answer(subtype, answer)


# --- requests


def _put_events(params: Params) -> dict[str, Any]:
    entry: dict[str, Any] = {n: v for n, v in params.items() if n not in ("Resources", "Time")}
    if "Resources" in params:
        entry["Resources"] = _json(params, "Resources")
    if "Time" in params:
        entry["Time"] = _time(params["Time"])
    return {"Entries": [entry]}


def _put_record(params: Params) -> dict[str, Any]:
    return {**params, "Data": params["Data"].encode()}


def _message(params: Params) -> dict[str, Any]:
    """Numbers, lists and objects come as texts."""
    numbers = ("DelaySeconds", "MaxNumberOfMessages", "VisibilityTimeout", "WaitTimeSeconds")
    structured = ("MessageAttributes", "MessageSystemAttributes", "MessageAttributeNames", "AttributeNames")
    told: dict[str, Any] = {}
    for name, text in params.items():
        if name in numbers:
            told[name] = _number(name, text)
        else:
            told[name] = _json(params, name) if name in structured else text
    return told


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _bad(name) from None


def _json(params: Params, name: str) -> Any:
    try:
        return json.loads(params[name])
    except (ValueError, RecursionError):
        raise _bad(name) from None


def _time(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise _bad("Time") from None


def _bad(name: str) -> ApiError:
    return ApiError("BadRequestException", f"The value of {name} is malformed.", 400)


_REQUESTS: dict[str, Callable[[Params], dict[str, Any]]] = {
    "PutEvents": _put_events,
    "PutRecord": _put_record,
    "SendMessage": _message,
    "ReceiveMessage": _message,
    "DeleteMessage": _message,
    "PurgeQueue": _message,
}


# --- answers: SQS's in XML, as API Gateway speaks to it


def _answer(subtype: Subtype, answer: Mapping[str, Any]) -> HttpAnswer:
    if subtype.service != "sqs":
        return HttpAnswer(200, (("content-type", "application/x-amz-json-1.1"),), msgspec.json.encode(answer))
    name = subtype.operation
    inside = _elements(answer)
    result = f"<{name}Result>{inside}</{name}Result>" if inside else ""
    return _xml(200, f'<{name}Response xmlns="{_NAMESPACE}">{result}</{name}Response>')


def _error(subtype: Subtype, error: ApiError) -> HttpAnswer:
    status = error.status or 400
    if subtype.service != "sqs":
        body = msgspec.json.encode({"__type": error.code, "message": error.message})
        return HttpAnswer(status, (("content-type", "application/x-amz-json-1.1"),), body)
    told = {"Error": {"Type": "Sender", "Code": error.code, "Message": error.message}}
    return _xml(status, f'<ErrorResponse xmlns="{_NAMESPACE}">{_elements(told)}</ErrorResponse>')


_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_SINGULAR: dict[str, str] = {"Messages": "Message", "Attributes": "Attribute", "MessageAttributes": "MessageAttribute"}
_MAPS = ("Attribute", "MessageAttribute")


def _elements(values: Mapping[str, Any]) -> str:
    return "".join(_element(_SINGULAR.get(n, n), value) for n, value in values.items() if value is not None)


def _element(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return "".join(_element(name, each) for each in value)
    if not isinstance(value, Mapping):
        return f"<{name}>{escape(str(value))}</{name}>"
    if name in _MAPS:
        return "".join(f"<{name}>{_elements({'Name': n, 'Value': v})}</{name}>" for n, v in value.items())
    return f"<{name}>{_elements(value)}</{name}>"


def _xml(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status, (("content-type", "text/xml"),), f'<?xml version="1.0"?>{text}'.encode())
