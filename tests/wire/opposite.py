"""botocore's half of the wire: what a client sends for given parameters, and what it reads out of a response."""

from __future__ import annotations

import datetime
import functools
from pathlib import Path
from typing import Any

import botocore.loaders
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from havre.wire.http import HttpRequest, HttpResponse

SERVICES = (
    *(
        "acm",
        "application-autoscaling",
        "cloudtrail",
        "cloudwatch",
        "dynamodb",
        "dynamodbstreams",
        "ec2",
        "ecr",
        "ecs",
        "efs",
        "eks",
    ),
    *("elbv2", "events", "iam", "kinesis", "kms", "lambda", "logs", "s3", "scheduler", "secretsmanager", "sns", "sqs"),
    *("ssm", "sts"),
)


@functools.cache
def service(name: str) -> ServiceModel:
    data = Path(botocore.loaders.__file__).parent / "data"
    paths, extras = [str(data)], False  # what AWS has, without what botocore lays over it
    loader = botocore.loaders.Loader(paths, include_default_search_paths=False, include_default_extras=extras)
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


@functools.cache
def serializer(protocol: str) -> Any:
    return create_serializer(protocol, include_validation=False)


@functools.cache
def parser(protocol: str) -> Any:
    factory = ResponseParserFactory()
    factory.set_parser_defaults(
        timestamp_parser=_seconds, blob_parser=_blob if protocol == "smithy-rpc-v2-cbor" else None
    )
    return factory.create_parser(protocol)


def _seconds(value: Any) -> float:
    from botocore.utils import parse_timestamp

    return parse_timestamp(value).timestamp()


def _blob(value: bytes) -> bytes:
    return value


def with_datetimes(shape: Any, value: Any) -> Any:
    """Timestamps as botocore's serializer takes them."""
    if value is None:
        return None
    kind = shape.type_name
    if kind == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    if kind == "structure" and not shape.is_document_type:
        return {name: with_datetimes(shape.members[name], one) for name, one in value.items()}
    if kind == "list":
        return [with_datetimes(shape.member, one) for one in value]
    if kind == "map":
        return {key: with_datetimes(shape.value, one) for key, one in value.items()}
    return value


def client_request(operation: OperationModel, protocol: str, params: dict[str, Any]) -> HttpRequest:
    """The request that botocore makes, as the gateway would hand it in."""
    given = with_datetimes(operation.input_shape, params) if operation.input_shape else params
    request = serializer(protocol).serialize_to_request(given, operation)
    prepare_request_dict(request, endpoint_url="http://127.0.0.1:4566", user_agent="test", context={})
    return as_handed_in(create_request_object(request).prepare())


def as_handed_in(prepared: Any) -> HttpRequest:
    _, _, rest = prepared.url.partition("://")
    host, slash, rest = rest.partition("/")
    path, _, query = (slash + rest).partition("?")
    headers = {"host": host}
    for name, value in prepared.headers.items():
        headers[name.lower()] = value.decode() if isinstance(value, bytes) else str(value)
    body = prepared.body or b""
    return HttpRequest(prepared.method, path or "/", query, headers, body.encode() if isinstance(body, str) else body)


def client_reads(shape: Any, protocol: str, response: HttpResponse) -> dict[str, Any]:
    """What botocore makes of a response; ``ResponseMetadata`` apart."""
    response_dict = {"headers": HeadersDict(response.headers), "status_code": response.status, "body": response.body}
    read: dict[str, Any] = parser(protocol).parse(response_dict, shape)
    return read
