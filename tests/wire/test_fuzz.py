"""Whatever bytes come in, nothing but ApiError comes out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from havre.kernel.errors import ApiError
from havre.wire import codec
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource
from havre.wire.routing import Router
from tests.wire import opposite
from tests.wire.values import Maker

_PAIRS = [
    ("ecs", "json", "RegisterTaskDefinition"),
    ("dynamodb", "json", "PutItem"),
    ("ec2", "ec2", "RunInstances"),
    ("elbv2", "query", "CreateRule"),
    ("iam", "query", "CreateRole"),
    ("sns", "query", "Publish"),
    ("lambda", "rest-json", "CreateFunction"),
    ("s3", "rest-xml", "PutBucketLifecycleConfiguration"),
    ("cloudwatch", "smithy-rpc-v2-cbor", "PutMetricData"),
    ("cloudwatch", "query", "PutMetricData"),
]


_SPLINTERS = (b"[", b"{", b'"', b".", b"&", b"=", b"%", b"<", b"null", b"\xff", b"1e999", b"-")
_PUT_ITEM = {"x-amz-target": "DynamoDB_20120810.PutItem"}
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_ITEM = b'{"TableName":"tab","Item":{"a":'
_CBOR_PATH = "/service/GraniteServiceVersion20100801/operation/PutMetricData"


@pytest.fixture(scope="module")
def models() -> ModelSource:
    return ModelSource(None)


def _refuses_or_parses(models: ModelSource, router: Router, request: HttpRequest, scope: str | None) -> None:
    try:
        route = router.route(request, scope)
        codec.parse(models.service(route.service), route, request)
    except ApiError as error:
        route_of = getattr(error, "route", None)
        response = codec.render_error(models.service(route_of.service) if route_of else None, route_of, error, "rid")
        assert 400 <= response.status < 500


def _mutated(chance: random.Random, data: bytes) -> bytes:
    mutated = bytearray(data or b"{}")
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(mutated) + 1)
        what = chance.randrange(4)
        if what == 0:
            mutated[at:at] = chance.choice(_SPLINTERS)
        elif what == 1:
            del mutated[at : at + chance.randint(1, 8)]
        elif what == 2 and mutated:
            mutated[at % len(mutated)] = chance.randrange(256)
        else:
            mutated[at:at] = mutated[:at][-20:]
        mutated = mutated or bytearray(b"x")
    return bytes(mutated)


@pytest.mark.parametrize(("name", "protocol", "operation"), _PAIRS)
def test_damaged_requests_are_refused(models: ModelSource, name: str, protocol: str, operation: str) -> None:
    chance = random.Random(f"{name}{operation}")
    theirs = opposite.service(name).operation_model(operation)
    router = Router(models, [name])
    for _ in range(150):
        params = Maker(str(chance.random()), True).structure(theirs.input_shape)
        request = opposite.client_request(theirs, protocol, params)
        assert isinstance(request.body, bytes)
        request.body = _mutated(chance, request.body)
        if protocol.startswith("rest") and chance.random() < 0.3:
            request.path = _mutated(chance, request.path.encode()).decode("latin-1")
            request.query = _mutated(chance, request.query.encode()).decode("latin-1")
        for header in list(request.headers):
            if chance.random() < 0.1 and header.startswith("x-amz"):
                changed = _mutated(chance, request.headers[header].encode()).decode("latin-1")
                request.headers = {**request.headers, header: changed}
        _refuses_or_parses(models, router, request, name if name != "cloudwatch" else "monitoring")


def test_noise_is_refused(models: ModelSource) -> None:
    chance = random.Random(7)
    router = Router(models, opposite.SERVICES)
    targets = [models.service(name).target_prefix for name in ("ecs", "logs", "sqs", "cloudwatch")]
    for _ in range(3000):
        headers: dict[str, str] = {"host": chance.choice(("127.0.0.1", "s3.localhost", "...", ""))}
        kind = chance.randrange(4)
        if kind == 0:
            headers["x-amz-target"] = (
                f"{chance.choice(targets)}.{chance.choice(('ListTasks', 'PutLogEvents', '', 'x.y'))}"
            )
        elif kind == 1:
            headers["content-type"] = "application/x-www-form-urlencoded"
        elif kind == 2:
            headers["smithy-protocol"] = chance.choice(("rpc-v2-cbor", "x"))
        headers["content-encoding"] = chance.choice(("", "", "", "gzip"))
        body = chance.randbytes(chance.randrange(64))
        if kind == 1:
            body = b"Action=" + chance.choice((b"DescribeVpcs", b"CreateRole", b"", b"%ff")) + b"&" + body
        path = chance.choice(("/", "//", "/a/b", "/%2F/..", _CBOR_PATH, "x"))
        query = chance.choice(("", "Action=ListRoles&a.1=2", "uploads", "%", "a&&=b"))
        request = HttpRequest(chance.choice(("GET", "POST", "PUT", "BREW")), path, query, headers, body)
        _refuses_or_parses(models, router, request, chance.choice((None, "ecs", "s3", "", "nosuch", "monitoring")))


@pytest.mark.parametrize(
    ("scope", "headers", "body"),
    [
        ("dynamodb", _PUT_ITEM, _ITEM + b'{"M":{"a":' * 20000),
        ("dynamodb", _PUT_ITEM, b"[" * 100000),
        ("dynamodb", _PUT_ITEM, _ITEM + b'{"L":[' * 900 + b"]}" * 900 + b"}}"),
        ("ec2", _FORM, b"Action=RunInstances&" + b"A." * 50000 + b"=1"),
        ("ec2", _FORM, b"Action=RunInstances&MaxCount=" + b"9" * 100000),
        ("monitoring", {"smithy-protocol": "rpc-v2-cbor"}, b"\x81" * 100000),
        ("monitoring", {"smithy-protocol": "rpc-v2-cbor"}, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("s3", {}, b"<a>" * 50000),
        ("s3", {}, b'<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><a>&c;</a>'),
    ],
    ids=["deep-json", "open-brackets", "deep-typed", "dotted", "digits", "deep-cbor", "long-cbor", "deep-xml", "entities"],
)  # fmt: skip
def test_bombs_are_refused(models: ModelSource, scope: str, headers: dict[str, str], body: bytes) -> None:
    path = _CBOR_PATH if scope == "monitoring" else "/"
    method, path, query = ("PUT", "/buck", "lifecycle") if scope == "s3" else ("POST", path, "")
    router = Router(models, ["dynamodb", "ec2", "cloudwatch", "s3"])
    request = HttpRequest(method, path, query, headers, body)
    route = router.route(request, scope)
    with pytest.raises(ApiError):
        codec.parse(models.service(route.service), route, request)


def test_errors_never_break_their_own_protocol(models: ModelSource) -> None:
    """What a client wrote into a message stays a message."""
    message = '</Message></Error><x a="\x00\x08">&]]> \r\n {"__type":"y"} \ud800 é'
    for name, protocol in [(n, p) for n in opposite.SERVICES for p in opposite.service(n).metadata["protocols"]]:
        model = models.service(name)
        code = next(iter(model.errors), "SomeError")
        response = codec.render_error(model, None, ApiError(code, message), "rid", protocol)
        assert isinstance(response.body, bytes)
        read: dict[str, Any] = opposite.client_reads(None, protocol, response)
        assert "é" in read["Error"]["Message"]
        if "json" in protocol:
            assert json.loads(response.body)
