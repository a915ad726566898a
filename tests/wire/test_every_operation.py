"""Every operation of every service: botocore's serializer → our parser gives the same values back; our renderer →
botocore's parser likewise; signed and unsigned requests find their operation."""

from __future__ import annotations

from typing import Any

import pytest

from havre.wire import codec
from havre.wire.http import HttpResponse
from havre.wire.models import ModelSource
from havre.wire.routing import Route, Router
from tests.wire import opposite
from tests.wire.values import Maker, Unsayable

_SHADOWED = {
    # of two operations with one method and path, AWS tells which was meant by nothing in the request
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",  # which has a host of its own, s3express-control
}
_PAIRS = [(name, protocol) for name in opposite.SERVICES for protocol in opposite.service(name).metadata["protocols"]]


@pytest.fixture(scope="module")
def models() -> ModelSource:
    return ModelSource(None)


def _ids(pair: tuple[str, str]) -> str:
    return f"{pair[0]}-{pair[1]}"


@pytest.mark.parametrize("pair", _PAIRS, ids=_ids)
@pytest.mark.parametrize("full", [True, False], ids=["full", "required"])
def test_requests_come_back_as_they_were_given(pair: tuple[str, str], full: bool, models: ModelSource) -> None:
    name, protocol = pair
    theirs, ours = opposite.service(name), models.service(name)
    router, unsigned = Router(models, [name]), Router(models, opposite.SERVICES)
    wrong, unsayable = [], []
    for operation_name in theirs.operation_names:
        operation = theirs.operation_model(operation_name)
        try:
            params = _params(operation, full)
        except Unsayable as pattern:
            unsayable.append(f"{operation_name}: {pattern}")
            continue
        request = opposite.client_request(operation, protocol, params)
        route = router.route(request, theirs.signing_name)
        if route.operation == _SHADOWED.get(operation_name):
            continue
        if route.operation != operation_name or route.protocol != protocol:
            wrong.append(f"{operation_name} routed to {route.operation} of {route.protocol}")
            continue
        parsed = codec.parse(ours, route, request)
        if difference := _difference(_said(params, protocol), _said(_asked(params, parsed), protocol)):
            wrong.append(operation_name + difference)
        if name != "s3" and unsigned.route(request, None).operation != operation_name:
            wrong.append(f"{operation_name} unsigned routed to {unsigned.route(request, None)}")
    assert not wrong, "\n".join(wrong[:10])
    assert not unsayable


@pytest.mark.parametrize("pair", _PAIRS, ids=_ids)
@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_answers_are_read_as_they_were_given(pair: tuple[str, str], full: bool, models: ModelSource) -> None:
    name, protocol = pair
    theirs, ours = opposite.service(name), models.service(name)
    wrong = []
    for operation_name in theirs.operation_names:
        operation = theirs.operation_model(operation_name)
        shape = operation.output_shape
        if operation.has_event_stream_output:
            continue  # test_event_streams has them
        if operation_name == "GetBucketNotification":
            continue  # of CloudFunctionConfiguration, Event and Events share one element
        answer = Maker(f"{name}.{operation_name}.out", full).structure(shape) if shape else {}
        codec.check_answer(ours, operation_name, answer)
        route = Route(name, operation_name, protocol)
        response = codec.render(ours, route, answer, "a-request-id")
        read = opposite.client_reads(shape, protocol, response)
        metadata = read.pop("ResponseMetadata", {})
        if difference := _difference(_said(_read(shape, answer, response), protocol), _said(read, protocol)):
            wrong.append(operation_name + difference)
        headers = {key.lower(): value for key, value in response.headers}
        if "a-request-id" not in (metadata.get("RequestId"), headers.get("x-amzn-requestid")):
            wrong.append(f"{operation_name}: no request id in {metadata}")
    assert not wrong, "\n".join(wrong[:10])


def _params(operation: Any, full: bool) -> dict[str, Any]:
    if operation.input_shape is None:
        return {}
    return Maker(f"{operation.service_model.service_name}.{operation.name}", full).structure(operation.input_shape)


def _asked(params: dict[str, Any], parsed: dict[str, Any]) -> dict[str, Any]:
    """``parsed`` without what botocore adds by itself: the length of the body, ``{}`` for a payload that is absent."""
    return {k: v for k, v in parsed.items() if k in params or not (k == "ContentLength" or v == {})}


def _read(shape: Any, answer: dict[str, Any], response: HttpResponse) -> dict[str, Any]:
    """What botocore reads of ``answer``: besides its members the status, and "" for a payload that is absent."""
    read = dict(answer)
    for name, member in shape.members.items() if shape else ():
        if member.serialization.get("location") == "statusCode":
            read.setdefault(name, response.status)
        if name == shape.serialization.get("payload") and member.type_name in ("blob", "string"):
            payload = read.get(name, "")
            read[name] = payload.decode() if isinstance(payload, bytes) else payload
    return read


def _difference(given: Any, came: Any, path: str = "") -> str:
    """Where two values first differ, in words; "" where they do not."""
    if isinstance(given, dict) and isinstance(came, dict):
        for key in sorted(given.keys() | came.keys()):
            if key not in given or key not in came:
                return (
                    f"{path}.{key}: only {'given' if key in given else 'came'}: {given.get(key, came.get(key))!r:.200}"
                )
            found = _difference(given[key], came[key], f"{path}.{key}")
            if found:
                return found
        return ""
    if isinstance(given, list) and isinstance(came, list) and len(given) == len(came):
        found = (
            _difference(one, other, f"{path}[{n}]") for n, (one, other) in enumerate(zip(given, came, strict=True))
        )
        return next(filter(None, found), "")
    if isinstance(given, float) and isinstance(came, float):
        return "" if abs(given - came) < 1e-3 else f"{path}: {given!r} came as {came!r}"
    same = given == came and type(given) is type(came)
    return "" if same else f"{path}: {given!r:.200} came as {came!r:.200}"


def _said(value: Any, protocol: str) -> Any:
    """``value`` as far as the protocol can say it: forms and XML have no word for an empty structure, list or map."""
    if protocol not in ("query", "ec2", "rest-xml"):
        return value
    if isinstance(value, dict):
        inner = {key: _said(one, protocol) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one not in ({}, [])}
    if isinstance(value, list):
        return [one for one in (_said(each, protocol) for each in value) if one not in ({}, [])]
    return value
