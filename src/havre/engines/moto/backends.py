"""moto's backends of the borrowed services: an HTTP request in, an HTTP answer out, one at a time."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, Request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException

from havre.engines.moto import objects
from havre.engines.moto.objects import Stored
from havre.engines.moto.refusals import refusal
from havre.engines.moto.streams import StreamError

log = logging.getLogger("havre.borrowed")

_MODULES = {
    # botocore's name: moto's package, its class that answers, the host that it knows itself by
    "dynamodb": ("dynamodb", "DynamoHandler", "dynamodb"),
    "dynamodbstreams": ("dynamodbstreams", "DynamoDBStreamsHandler", "streams.dynamodb"),
    "kinesis": ("kinesis", "KinesisResponse", "kinesis"),
    "s3": ("s3", "S3Response", "s3"),
    "secretsmanager": ("secretsmanager", "SecretsManagerResponse", "secretsmanager"),
    "ssm": ("ssm", "SimpleSystemManagerResponse", "ssm"),
}
INLINE = 256 << 10
"""Bytes of an object that go through the socket; more are read where they lie."""
_KEPT_BACK = ("authorization", "x-amz-security-token", "x-amz-content-sha256", "x-amz-decoded-content-length", "expect")
"""Headers that have done their work in the gateway."""


class Http(NamedTuple):
    """A request as moto gets it. ``path`` and ``query`` raw; the body is what the client meant, without chunks."""

    service: str
    operation: str
    account: str
    region: str
    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class Answer(NamedTuple):
    """``stored`` is the body when it is large."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    stored: Stored | None = None


class _Whole(Request):
    """The body is never a form, whatever its type says: S3's objects are bytes."""

    form = ImmutableMultiDict()
    files = ImmutableMultiDict()

    @property
    def data(self) -> bytes:
        body: bytes = self.environ["havre.body"]
        return body

    @property
    def raw_path(self) -> str:
        path: str = self.environ["RAW_URI"]
        return path


Handler = Callable[[Any, str, Any], tuple[int, Any, Any]]


class Backends:
    def __init__(self) -> None:
        self._handlers: dict[str, Any] = {}
        _spare()
        _quiet()

    def serve(self, request: Http) -> Answer:
        """Never raises: what moto cannot do, or does wrong, is an error in the service's words."""
        try:
            if request.service == "s3" and (
                problem := objects.damaged(request.operation, request.headers, request.body)
            ):
                return _error(request, 400, "BadDigest", problem)
            made = self._request(request)
            status, headers, body = self._handler(request)(made, made.raw_url, made.headers)
        except StreamError as error:
            return _error(request, 400, error.code, error.message)
        except HTTPException as error:
            body = error.get_body()
            return Answer(
                error.code or 400, list(error.get_headers()), body.encode() if isinstance(body, str) else body
            )
        except NotImplementedError as error:
            told = f"Havre does not implement {request.service} {request.operation}: {error}"
            code = "NotImplemented" if request.service == "s3" else "NotImplementedException"
            return _error(request, 501, code, told)
        except ServiceException as error:
            return _error(request, 400, error.code, str(error.message))
        except ClientError as error:
            return _error(request, 400, error.response["Error"]["Code"], error.response["Error"]["Message"])
        except Exception as error:
            if said := refusal(request.service, request.operation, request.body, error):
                return _error(request, 400, *said)
            log.exception("moto fails at %s %s", request.service, request.operation)
            told = f"{request.operation} failed in moto, which does it here: {type(error).__name__}: {error}"
            return _error(request, 500, "InternalFailure", told)
        if isinstance(body, Stored) and len(body) > INLINE:
            return Answer(int(status), _headers(headers), b"", body)
        return Answer(int(status), _headers(headers), _bytes(body))

    def _handler(self, request: Http) -> Handler:
        made = self._handlers.get(request.service)
        if made is None:
            package, name, _ = _MODULES[request.service]
            made = self._handlers[request.service] = getattr(import_module(f"moto.{package}.responses"), name)
        if request.service != "s3":
            return made.dispatch  # type: ignore[no-any-return]
        _, _, key = request.path[1:].partition("/")
        return made.key_dispatch if key else made.bucket_dispatch  # type: ignore[no-any-return]

    def _request(self, request: Http) -> Request:
        host = f"{_MODULES[request.service][2]}.{request.region}.amazonaws.com"
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
            "RAW_URI": request.path,
            "QUERY_STRING": objects.query_of(request.operation, request.account, request.path, request.query),
            "SERVER_NAME": host,
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(request.body),
            "havre.body": request.body,
        }
        names: dict[str, str] = {}
        for name, value in request.headers:
            if name in _KEPT_BACK or name.startswith("x-moto-"):
                continue
            key = name.upper().replace("-", "_")
            if name.startswith("x-amz-meta-") and "_" in name:
                names[f"HTTP_{key}"] = name
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        environ |= {
            "HTTP_HOST": host,
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_X_MOTO_ACCOUNT_ID": request.account,
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=HAVRE/20000101/{request.region}/s3/aws4_request",
            PRESERVED_HEADER_NAMES_ENVIRON_KEY: names,
        }
        return _Whole(environ)


def _spare() -> None:
    """SSM loads EC2, which only commands on instances need, and its 90 MiB of instance types: there are no instances."""
    stand_in: Any = ModuleType("moto.ec2")
    stand_in.ec2_backends = {}
    sys.modules.setdefault("moto.ec2", stand_in)


def _quiet() -> None:
    """What moto does besides, and what the gateway does for it."""
    from moto.iam import models as iam
    from moto.iam.access_control import PermissionResult
    from moto.s3 import models as s3

    iam.mark_account_as_visited = lambda **visit: None
    s3.FakeBucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL  # type: ignore[method-assign]


def _headers(headers: Any) -> list[tuple[str, str]]:
    """Objects that have no version have no header for it: moto tells of a null one when an upload is completed."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    told = [(str(name), str(value)) for name, value in pairs if value is not None]
    return [pair for pair in told if pair != ("x-amz-version-id", "null")]


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else b"" if body is None else bytes(body)


def _error(request: Http, status: int, code: str, message: str) -> Answer:
    if request.service == "s3":
        text = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
        return Answer(status, [("Content-Type", "application/xml")], b"" if request.method == "HEAD" else body)
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, [("Content-Type", "application/x-amz-json-1.1")], body)
