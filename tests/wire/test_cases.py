"""AWS's own protocol cases, turned round: a client's request parsed gives its parameters, values rendered are read as the
case's response is read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.model import OperationModel, ServiceModel

from havre.kernel.errors import ApiError
from havre.wire import codec, model_files, models
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.routing import Route, Router
from tests.wire import opposite

CASES = Path(__file__).resolve().parents[3] / "shared" / "wire-cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="AWS's protocol cases are not beside this repository")

_LEFT_OUT = {
    # part of a case's name, and why it is left out
    "HostWithPath": "the client's endpoint has a path of its own; Havre answers at the root",
    "QueryPrecedence": "a server puts every parameter into the map: a client's precedence is not seen",
    "QueryParamsStringListMap": "a server puts every parameter into the map, the bound ones too",
    "AwsJson10EndpointTrait": "the case tells no X-Amz-Target, without which json 1.0 names no operation",
    "HttpPayloadWithUnsetUnion": "botocore does not read a union that is absent, ours or the case's",
    "HttpPrefixHeadersResponse": "the map takes every header of the answer, x-amzn-RequestId too",
    "SkipsNull": "botocore does not read the case's response: null is no list",
    "SDKAppliedContentEncoding": "the case tells no body; test_wire_parts has compressed ones",
    "SDKAppendsGzipAndIgnoresHttpProvidedEncoding": "the case tells no body; test_wire_parts has compressed ones",
    "SDKAppendedGzipAfterProvidedEncoding": "the case tells no body; test_wire_parts has compressed ones",
}


class _One:
    """A source of one model."""

    def __init__(self, model: models.ServiceModel) -> None:
        self.model = model

    def service(self, name: str) -> models.ServiceModel:
        return self.model


def _cases(kind: str) -> list[Any]:
    found = []
    for path in sorted((CASES / kind).glob("*.json")):
        for suite in json.loads(path.read_text()):
            for case in suite["cases"]:
                left_out = next((why for part, why in _LEFT_OUT.items() if part in case["id"]), None)
                marks = [pytest.mark.skip(reason=left_out)] if left_out else []
                found.append(pytest.param(suite, case, id=f"{path.stem}-{case['id']}", marks=marks))
    return found


def _models(suite: dict[str, Any], case: dict[str, Any]) -> tuple[models.ServiceModel, OperationModel]:
    """Our model and botocore's of one case."""
    name, given = case["given"]["name"], dict(case["given"])
    if suite["metadata"]["protocol"] == "query" and "output" in given:
        # the cases' responses have it, their models do not tell it
        given["output"] = {"resultWrapper": f"{name}Result", **given["output"]}
    whole = {"metadata": suite["metadata"], "operations": {name: given}, "shapes": suite["shapes"]}
    ours = models.ServiceModel("case", model_files._strip(whole, {}))
    return ours, ServiceModel(whole).operation_model(name)


@pytest.mark.parametrize(("suite", "case"), _cases("input"))
def test_requests_of_cases_parse_to_their_parameters(suite: dict[str, Any], case: dict[str, Any]) -> None:
    ours, theirs = _models(suite, case)
    protocol = suite["metadata"]["protocols"][0]
    request = _request(case["serialized"], protocol)
    route = Router(_One(ours), ["case"]).route(request, None)  # type: ignore[arg-type]
    assert (route.operation, route.protocol) == (theirs.name, protocol)
    parsed = codec.parse(ours, route, request)
    expected = _values(theirs.input_shape, case["params"]) if theirs.input_shape else {}
    assert _said(parsed, theirs.input_shape, case["params"]) == _said(expected, theirs.input_shape, case["params"])


def _request(told: dict[str, Any], protocol: str) -> HttpRequest:
    path, _, query = told["uri"].partition("?")
    body = told.get("body", "")
    headers = {name.lower(): value for name, value in told.get("headers", {}).items()}
    if protocol in ("query", "ec2"):
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
    data = base64.b64decode(body) if protocol.endswith("cbor") else body.encode()
    return HttpRequest(told["method"], path, query, headers, data)


@pytest.mark.parametrize(("suite", "case"), [p for p in _cases("output") if "error" not in p.values[1]])
def test_answers_of_cases_are_read_as_theirs(suite: dict[str, Any], case: dict[str, Any]) -> None:
    ours, theirs = _models(suite, case)
    protocol = suite["metadata"]["protocols"][0]
    answer = _values(theirs.output_shape, case["result"]) if theirs.output_shape else {}
    response = codec.render(ours, Route("case", theirs.name, protocol), answer, "requestid")
    read = _read(theirs.output_shape, protocol, response)
    told = _response(case, protocol)
    silent = protocol in ("query", "ec2") and not told.body  # which botocore cannot read
    reference = case["result"] if silent else _read(theirs.output_shape, protocol, told)
    assert _plain(read) == _plain(reference)


@pytest.mark.parametrize(("suite", "case"), [p for p in _cases("output") if "error" in p.values[1]])
def test_errors_of_cases_are_read_as_theirs(suite: dict[str, Any], case: dict[str, Any]) -> None:
    ours, theirs = _models(suite, case)
    protocol = suite["metadata"]["protocols"][0]
    shape = next(s for s in theirs.error_shapes if case["errorCode"] in (s.name, s.error_code))
    fields = _values(shape, {k: v for k, v in case["error"].items() if k.lower() != "message"})
    error = ApiError(case["errorCode"], case.get("errorMessage", ""), fields=fields)
    response = codec.render_error(ours, Route("case", theirs.name, protocol), error, "requestid")
    expected = _response(case, protocol)
    assert response.status == shape.metadata.get("error", {}).get("httpStatusCode", response.status)
    read = opposite.client_reads(theirs.output_shape, protocol, response)
    assert read["Error"]["Code"] == case["errorCode"]
    assert read["Error"].get("Message", "") == case.get("errorMessage", "")
    theirs_read = _read(shape, protocol, expected) if expected.body else case["error"]
    assert {k: v for k, v in _read(shape, protocol, response).items() if v != ""} == theirs_read


def _response(case: dict[str, Any], protocol: str) -> HttpResponse:
    told = case["response"]
    body = told.get("body") or ""
    data = base64.b64decode(body) if protocol.endswith("cbor") else body.encode()
    return HttpResponse(told["status_code"], list((told.get("headers") or {}).items()), data)


def _read(shape: Any, protocol: str, response: HttpResponse) -> dict[str, Any]:
    read = opposite.client_reads(shape, protocol, response)
    read.pop("ResponseMetadata", None)
    return read


def _values(shape: Any, value: Any) -> Any:
    """A case's values in the terms of ``wire``: blobs are bytes, NaN is a float, null is absent."""
    kind = shape.type_name
    if value is None:
        return None
    if kind == "structure" and not shape.is_document_type:
        return {name: _values(shape.members[name], one) for name, one in value.items() if one is not None}
    if kind == "list":
        return [_values(shape.member, one) for one in value]
    if kind == "map":
        return {key: _values(shape.value, one) for key, one in value.items()}
    if kind == "blob":
        return value.encode()
    if shape.serialization.get("jsonvalue") and shape.serialization.get("location"):
        return json.loads(value)
    return float(value) if kind in ("float", "double", "timestamp") else value


def _said(value: Any, shape: Any, params: dict[str, Any]) -> Any:
    """What a request can say: no empty maps and lists outside of JSON, no idempotency token that was not given."""
    made = {} if shape is None else {n for n, m in shape.members.items() if m.metadata.get("idempotencyToken")}
    if shape is not None:
        # AWS's servers put every parameter into a map of query parameters, its clients' cases name the others alone
        made |= {n for n, m in shape.members.items() if m.type_name == "map" and m.serialization.get("location")}
    top = {key: _plain(one) for key, one in value.items() if key in params or key not in made}
    return {key: one for key, one in top.items() if one not in ({}, [])}


def _plain(value: Any) -> Any:
    """For comparison: NaN equals NaN, and numbers are compared as numbers."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return "NaN" if value != value else round(value, 3) if isinstance(value, float) else value
