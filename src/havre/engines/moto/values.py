"""Calls from inside Havre, which are values: botocore writes them as requests and reads the answers, as a client does."""

from __future__ import annotations

import datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from havre.engines.borrowed import Answered, Called
from havre.engines.moto.backends import Answer, Http

LARGEST = 384 << 20
"""Bytes of an object that a call from inside may bring."""


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def write(call: Called) -> Http:
    """Raises botocore's ParamValidationError, or what a wrong value makes of its serializer."""
    model = _model(call.service)
    operation = model.operation_model(call.operation)
    written = create_serializer(model.protocol, include_validation=False).serialize_to_request(call.request, operation)
    prepare_request_dict(written, "https://borrowed")
    prepared = create_request_object(written).prepare()
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else body.read()
    headers = [(str(n).lower(), v.decode() if isinstance(v, bytes) else str(v)) for n, v in prepared.headers.items()]
    return Http(
        call.service, call.operation, call.account, call.region, prepared.method, url.path, url.query, headers, data
    )


def read(call: Called, answer: Answer) -> Answered:
    operation = _model(call.service).operation_model(call.operation)
    shape = operation.output_shape
    streams = operation.has_streaming_output and answer.status < 300  # then botocore would make text of it
    told: dict[str, Any] = {
        "status_code": answer.status,
        "headers": HeadersDict(answer.headers),
        "body": b"" if streams else answer.body,
    }
    parsed = create_parser(_model(call.service).protocol).parse(told, shape)
    parsed.pop("ResponseMetadata", None)
    if answer.status >= 300:
        error = parsed.get("Error", {})
        return Answered(
            call.number, {}, str(error.get("Code", answer.status)), str(error.get("Message", "")), answer.status
        )
    if answer.stored is not None and len(answer.stored) > LARGEST:
        return Answered(call.number, {}, "EntityTooLarge", f"The object has more than {LARGEST} bytes", 400)
    if streams:
        parsed[shape.serialization["payload"]] = answer.body if answer.stored is None else bytes(answer.stored)
    return Answered(call.number, _plain(parsed))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return value
