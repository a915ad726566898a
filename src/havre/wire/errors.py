"""Errors as each protocol writes them."""

from __future__ import annotations

from typing import Any

import msgspec

from havre.kernel.errors import ApiError
from havre.wire import cbor
from havre.wire.convert import Outward
from havre.wire.dialects import Dialect, dialect
from havre.wire.http import HttpResponse
from havre.wire.models import OperationModel, ServiceModel
from havre.wire.routing import Route
from havre.wire.shapes import Shape
from havre.wire.xmlout import XmlWriter, escape

_STATUS = {
    # codes that no model lists
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "RequestExpired": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "UnauthorizedOperation": 403,
}


class _Told:
    """An error with what the model says of it."""

    def __init__(self, model: ServiceModel | None, route: Route | None, error: ApiError, protocol: str | None) -> None:
        self.error = error
        self.message = error.message.encode("utf-8", "replace").decode()
        self.model = model
        self.operation: OperationModel | None = None
        if model is not None and route is not None and route.operation is not None:
            self.operation = model.operations[route.operation]
        self.protocol = protocol or (route.protocol if route else model.protocol if model else "json")
        self.dialect: Dialect | None = dialect(model, self.protocol) if model else None
        self.shape: Shape | None = model.error(error.code) if model else None
        traits = self.shape.traits if self.shape else {}
        declared: dict[str, Any] = traits.get("error", {})
        fault = bool(traits.get("fault"))
        self.status = error.status or declared.get("httpStatusCode") or (500 if fault else _STATUS.get(error.code, 400))
        self.code = str(declared.get("code") or self._code_of_old() or error.code)
        self.sender = bool(declared.get("senderFault", self.status < 500))
        if self.protocol == "query" and self.dialect is not None and self.shape is not None:
            self.message = self.dialect.query_words.get(self.shape.name, self.message)

    def _code_of_old(self) -> str:
        """In the query protocol, of a service that has another by now: the code that it had then."""
        if self.protocol != "query" or self.dialect is None or self.shape is None:
            return ""
        return self.dialect.query_codes.get(self.shape.name, "")

    def type_name(self) -> str:
        """The ``__type`` of JSON and CBOR."""
        if self.dialect is None:
            return self.error.code
        if self.shape is not None:
            return f"{self.dialect.namespace}#{self.shape.name}" if self.dialect.namespace else self.shape.name
        name = self.dialect.type_names.get(self.error.code, self.error.code)
        return f"{self.dialect.front}#{name}" if self.dialect.front else name

    def members(self) -> dict[str, Any]:
        """The message and the modelled fields, by the members' names."""
        if self.shape is None:
            return {"message": self.message}
        known = self.shape.members
        members = {name: value for name, value in self.error.fields.items() if name in known}
        spelled = next((name for name in known if name.lower() == "message"), "message")
        if self.message or not members:
            members.setdefault(spelled, self.message)
        if self.dialect is not None and self.dialect.typed and "Type" in known:
            members.setdefault("Type", "User" if self.sender else "Service")
        return members

    def query_error(self) -> list[tuple[str, str]]:
        """The header for clients that knew the service when it still spoke query."""
        if self.model is None or self.dialect is None or not self.model.query_compatible:
            return []
        code = self.error.code
        if self.shape is not None:
            declared = self.shape.traits.get("error", {}).get("code")
            code = self.dialect.query_codes.get(self.shape.name) or declared or self.shape.name
        return [("x-amzn-query-error", f"{code};{'Sender' if self.sender else 'Receiver'}")]


def render_error(
    model: ServiceModel | None, route: Route | None, error: ApiError, request_id: str, protocol: str | None = None
) -> HttpResponse:
    """Any ApiError, in the protocol of the route, else the one handed in, else the model's first, else json."""
    told = _Told(model, route, error, protocol)
    response = _RENDER.get(told.protocol, _json)(told, request_id)
    if told.operation is not None and told.operation.method == "HEAD":
        response.body = b""
    return response


def _outward(told: _Told, converter: Outward) -> dict[str, Any]:
    members = told.members()
    if told.shape is None:
        return members
    known = told.shape.members
    body = {name: value for name, value in members.items() if name not in known or not known[name].answer_location}
    rendered: dict[str, Any] = converter.structure(told.shape)(body)
    return rendered | {name: value for name, value in body.items() if name not in known}


def _json(told: _Told, request_id: str) -> HttpResponse:
    version = told.model.json_version if told.model else "1.1"
    body = msgspec.json.encode({"__type": told.type_name(), **_outward(told, Outward())})
    headers = [("Content-Type", f"application/x-amz-json-{version}"), ("x-amzn-RequestId", request_id)]
    return HttpResponse(told.status, headers + told.query_error(), body)


def _rest_json(told: _Told, request_id: str) -> HttpResponse:
    code = told.shape.name if told.shape else told.error.code
    headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", code)]
    return HttpResponse(told.status, headers + _located(told), msgspec.json.encode(_outward(told, Outward())))


def _located(told: _Told) -> list[tuple[str, str]]:
    """Fields of a modelled error that travel as headers."""
    if told.shape is None:
        return []
    known = told.shape.members
    fields = [(known[name], name, value) for name, value in told.error.fields.items() if name in known]
    return [(m.wire_name or n, str(value)) for m, n, value in fields if m.location == "header" and value is not None]


def _cbor(told: _Told, request_id: str) -> HttpResponse:
    body = {"__type": told.type_name(), **told.members()}
    headers = [
        ("Content-Type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
        ("x-amzn-RequestId", request_id),
    ]
    shape = told.shape
    encoded = cbor.encode(body) if shape is None else cbor.encode_error(shape, body)
    return HttpResponse(told.status, headers + told.query_error(), encoded)


def _inner_xml(told: _Told, request_id: str, writer: XmlWriter, typed: bool) -> str:
    """What stands within ``<Error>``: type, code, message, modelled fields."""
    out = [f"<Type>{'Sender' if told.sender else 'Receiver'}</Type>"] if typed else []
    out.append(f"<Code>{escape(told.code)}</Code>")
    if told.message:
        out.append(f"<Message>{escape(told.message)}</Message>")
    if told.shape is not None:
        known = told.shape.members
        fields = {name: value for name, value in told.error.fields.items() if name in known}
        writer.content(told.shape)(fields, out)
    return "".join(out)


def _query(told: _Told, request_id: str) -> HttpResponse:
    if told.code == "UnknownOperationException" and not told.message:  # all that AWS says of what it cannot route
        headers = [("Content-Type", "application/xml"), ("x-amzn-RequestId", request_id)]
        return HttpResponse(told.status, headers, b"<UnknownOperationException/>\n")
    namespace = told.model.xml_namespace if told.model else ""
    start = f'<ErrorResponse xmlns="{namespace}">' if namespace else "<ErrorResponse>"
    inner = _inner_xml(told, request_id, XmlWriter(), typed=True)
    if told.dialect is not None and told.dialect.detail:
        inner += "<Detail/>"
    body = f"{start}<Error>{inner}</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    return HttpResponse(told.status, headers + _located(told), body.encode())


def _rest_xml(told: _Told, request_id: str) -> HttpResponse:
    if told.model is None or told.model.name != "s3":
        answer = _query(told, request_id)
        answer.headers[0] = ("Content-Type", "application/xml")
        return answer
    inner = _inner_xml(told, request_id, XmlWriter(), typed=False)
    if told.shape is None:  # S3's model lists few of its errors, and no field of those it does not
        inner += "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in told.error.fields.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId>{escape(request_id)}</RequestId></Error>'
    headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)]
    return HttpResponse(told.status, headers, body.encode())


def _ec2(told: _Told, request_id: str) -> HttpResponse:
    inner = _inner_xml(told, request_id, XmlWriter(ec2=True), typed=False)
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{escape(request_id)}</RequestID></Response>"
    )
    headers = [("Content-Type", "text/xml;charset=UTF-8"), ("x-amzn-RequestId", request_id)]
    return HttpResponse(told.status, headers, body.encode())


_RENDER = {
    "json": _json,
    "rest-json": _rest_json,
    "smithy-rpc-v2-cbor": _cbor,
    "query": _query,
    "rest-xml": _rest_xml,
    "ec2": _ec2,
}
