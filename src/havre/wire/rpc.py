"""The protocols that post everything in a body: json, query, ec2, smithy-rpc-v2-cbor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.errors import ApiError
from havre.wire import cbor
from havre.wire.cbor import CborWriter
from havre.wire.checks import Checker
from havre.wire.convert import Inward, Mismatch
from havre.wire.dialects import dialect, refuse
from havre.wire.http import HttpRequest, HttpResponse, whole
from havre.wire.jsoncodec import JsonCodec
from havre.wire.models import OperationModel, ServiceModel
from havre.wire.querycodec import QueryCodec
from havre.wire.routing import Route
from havre.wire.xmlout import XmlWriter, escape


def make(model: ServiceModel, protocol: str) -> JsonRpc | QueryRpc | CborRpc:
    if protocol == "json":
        return JsonRpc(model)
    if protocol == "smithy-rpc-v2-cbor":
        return CborRpc(model)
    if protocol in ("query", "ec2"):
        return QueryRpc(model, protocol)
    raise ValueError(f"{model.name} does not speak {protocol}")


class JsonRpc:
    """json 1.0 and 1.1."""

    def __init__(self, model: ServiceModel) -> None:
        self._codec = JsonCodec(dialect(model, "json"))
        self._type = f"application/x-amz-json-{model.json_version}"

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]:
        if operation.input is None:
            return {}
        return self._codec.parse(operation, operation.input, whole(request))

    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
        if operation.events_output:
            from havre.wire.eventstream import stream_rpc

            return stream_rpc(operation, answer, request_id, "json")
        body = b"" if operation.output is None else self._codec.render(operation.output, answer)
        return HttpResponse(200, [("Content-Type", self._type), ("x-amzn-RequestId", request_id)], body)


class CborRpc:
    """smithy-rpc-v2-cbor."""

    def __init__(self, model: ServiceModel) -> None:
        self._spoken = dialect(model, "smithy-rpc-v2-cbor")
        self._checker = Checker(self._spoken.rules)
        self._inward = Inward(base64=False)
        self._writer = CborWriter()

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]:
        if operation.input is None:
            return {}
        try:
            raw = cbor.decode(whole(request) or b"\xa0")
            value: dict[str, Any] = self._inward.structure(operation.input)(raw)
        except (cbor.CborError, Mismatch) as error:
            raise ApiError(self._spoken.malformed, str(error)) from None
        violations = self._checker.violations(operation.input, value)
        if violations:
            raise refuse(self._spoken, operation.name, violations)
        return value

    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
        if operation.events_output:
            from havre.wire.eventstream import stream_rpc

            return stream_rpc(operation, answer, request_id, "smithy-rpc-v2-cbor")
        headers = [("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-RequestId", request_id)]
        if operation.output is None:
            return HttpResponse(200, headers)
        out = bytearray()
        self._writer.structure(operation.output)(answer, out)
        return HttpResponse(200, [("Content-Type", "application/cbor"), *headers], bytes(out))


class QueryRpc:
    """query and ec2: forms in, XML out."""

    def __init__(self, model: ServiceModel, protocol: str) -> None:
        self._ec2 = protocol == "ec2"
        self._codec = QueryCodec(dialect(model, protocol), self._ec2)
        self._writer = XmlWriter(self._ec2)
        self._namespace = f' xmlns="{model.xml_namespace}"' if model.xml_namespace else ""

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]:
        return self._codec.parse(operation, route.form)

    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
        name, request_id = operation.name, escape(request_id)
        out = [f"<{name}Response{self._namespace}>"]
        if self._ec2:
            out.append(f"<requestId>{request_id}</requestId>")
        wrapper = operation.result_wrapper
        if operation.output is not None:
            out.append(f"<{wrapper}>" if wrapper else "")
            self._writer.content(operation.output)(answer, out)
            out.append(f"</{wrapper}>" if wrapper else "")
        if not self._ec2:
            out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
        out.append(f"</{name}Response>")
        kind = "text/xml;charset=UTF-8" if self._ec2 else "text/xml"
        body = ('<?xml version="1.0" encoding="UTF-8"?>\n' if self._ec2 else "") + "".join(out)
        headers = [("Content-Type", kind), ("x-amzn-RequestId", request_id)]
        return HttpResponse(200, headers, body.encode())
