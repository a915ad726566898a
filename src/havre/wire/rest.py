"""rest-json and rest-xml: members in path, query, headers and body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.errors import ApiError
from havre.wire import bindings
from havre.wire.checks import Checker
from havre.wire.convert import Mismatch
from havre.wire.dialects import dialect, refuse
from havre.wire.eventstream import CONTENT_TYPE, encode_events
from havre.wire.http import Body, HttpRequest, HttpResponse, parse_pairs, whole
from havre.wire.jsoncodec import JsonCodec
from havre.wire.models import OperationModel, ServiceModel
from havre.wire.routing import Route
from havre.wire.shapes import Shape
from havre.wire.xmlin import XmlError, XmlReader
from havre.wire.xmlin import read as read_xml
from havre.wire.xmlout import XmlWriter

_S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_S3_ROOTS = {
    # what the model leaves open: the root elements of S3's answers
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}
_BODILESS = (204, 205, 304)
_BLOBS = {"lambda": "application/json"}
"""Media types of blobs that are whole answers, where the model leaves them open."""


class _Rest:
    """What both have in common; bodies are the subclasses'."""

    protocol = ""
    checks_bodies = True
    """Whether reading a body checks what it says."""

    def __init__(self, model: ServiceModel) -> None:
        self.model = model
        self.spoken = dialect(model, self.protocol)
        self._checker = Checker(self.spoken.rules)
        self._located: dict[str, list[bindings.Located]] = {}
        self._left: dict[str, frozenset[str]] = {}
        self._request_id = "x-amz-request-id" if model.name == "s3" else "x-amzn-RequestId"

    def _bound(self, shape: Shape) -> list[bindings.Located]:
        found = self._located.get(shape.name)
        if found is None:
            found = self._located[shape.name] = bindings.located(shape)
        return found

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]:
        shape = operation.input
        if shape is None:
            return {}
        members = self._bound(shape)
        query = parse_pairs(request.query) if request.query else []
        try:
            value = bindings.read(members, route.path_params, query, request.headers)
        except Mismatch as mismatch:
            raise ApiError(self.spoken.malformed, str(mismatch)) from None
        payload = shape.traits.get("payload")
        unchecked = self._unchecked(shape, members, payload)
        if payload:
            self._read_payload(payload, shape.members[payload], request, value)
        elif len(members) < len(shape.members):
            value |= self._read_body(operation, shape, whole(request))
        violations = self._checker.violations(shape, value, unchecked)
        if violations:
            raise refuse(self.spoken, operation.name, violations)
        return value

    def _unchecked(self, shape: Shape, members: list[bindings.Located], payload: str | None) -> frozenset[str]:
        """The members that reading leaves to be checked."""
        found = self._left.get(shape.name)
        if found is None:
            names = {each.name for each in members}
            if payload:
                names.add(payload)
            elif not self.checks_bodies:
                names.update(shape.members)
            found = self._left[shape.name] = frozenset(names)
        return found

    def _read_payload(self, name: str, shape: Shape, request: HttpRequest, value: dict[str, Any]) -> None:
        if shape.type == "blob":
            body = request.body
            if not shape.traits.get("streaming") and not isinstance(body, bytes):
                raise TypeError("the body has to be read before it is parsed: the operation does not stream")
            if body != b"":
                value[name] = body
        elif shape.type == "string":
            text = whole(request)
            if text:
                value[name] = text.decode("utf-8", "replace")
        elif data := whole(request):
            value[name] = self._payload(shape, data)

    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
        shape = operation.output
        response = HttpResponse(operation.status, [(self._request_id, request_id)])
        if shape is None:
            return response
        members = self._bound(shape)
        response.headers += bindings.write_headers(members, answer)
        for name, header in self.spoken.headers.items():
            if name in answer and name not in shape.members:
                response.headers.append((header, answer[name]))
        for each in members:
            if each.place == "statusCode" and answer.get(each.name) is not None:
                response.status = int(answer[each.name])
        kind, body = self._write_payload(operation, shape, answer)
        if operation.method == "HEAD" or response.status in _BODILESS:
            body = b""
        response.body = body
        if kind and not any(name.lower() == "content-type" for name, _ in response.headers):
            response.headers.append(("Content-Type", kind))
        return response

    def _write_payload(self, operation: OperationModel, shape: Shape, answer: Mapping[str, Any]) -> tuple[str, Body]:
        payload = shape.traits.get("payload")
        if not payload:
            if all(member.answer_location for member in shape.members.values()):
                return "", b""
            return self._write_body(operation, shape, answer)
        member, value = shape.members[payload], answer.get(payload)
        if value is None:
            return "", b""
        if member.event_stream:
            return CONTENT_TYPE, encode_events(member, value, self.protocol)
        if member.type == "blob":
            return _BLOBS.get(self.model.name, "application/octet-stream"), value
        if member.type == "string":
            return "text/plain", str(value).encode()
        return self._write_structure(operation, member, value)

    # of the subclasses

    def _read_body(self, operation: OperationModel, shape: Shape, body: bytes) -> dict[str, Any]:
        raise NotImplementedError

    def _payload(self, shape: Shape, body: bytes) -> Any:
        raise NotImplementedError

    def _write_body(self, operation: OperationModel, shape: Shape, answer: Mapping[str, Any]) -> tuple[str, bytes]:
        raise NotImplementedError

    def _write_structure(self, operation: OperationModel, shape: Shape, value: Any) -> tuple[str, bytes]:
        raise NotImplementedError


class RestJson(_Rest):
    protocol = "rest-json"

    def __init__(self, model: ServiceModel) -> None:
        super().__init__(model)
        self._codec = JsonCodec(self.spoken)

    def _read_body(self, operation: OperationModel, shape: Shape, body: bytes) -> dict[str, Any]:
        return self._codec.parse(operation, shape, body)  # which checks what it reads

    def _payload(self, shape: Shape, body: bytes) -> Any:
        return self._codec.value(shape, body)

    def _write_body(self, operation: OperationModel, shape: Shape, answer: Mapping[str, Any]) -> tuple[str, bytes]:
        return "application/json", self._codec.render(shape, answer)

    def _write_structure(self, operation: OperationModel, shape: Shape, value: Any) -> tuple[str, bytes]:
        return "application/json", self._codec.render_value(shape, value)


class RestXml(_Rest):
    protocol = "rest-xml"
    checks_bodies = False

    def __init__(self, model: ServiceModel) -> None:
        super().__init__(model)
        self._reader = XmlReader()
        self._writer = XmlWriter()
        namespace = model.xml_namespace or (_S3_NAMESPACE if model.name == "s3" else "")
        self._namespace = f' xmlns="{namespace}"' if namespace else ""

    def _read_body(self, operation: OperationModel, shape: Shape, body: bytes) -> dict[str, Any]:
        value: dict[str, Any] = self._payload(shape, body) if body else {}
        return value

    def _payload(self, shape: Shape, body: bytes) -> Any:
        try:
            root = read_xml(body)
        except (XmlError, ValueError) as error:
            told = "The XML you provided was not well-formed or did not validate against our published schema"
            code = self.spoken.unreadable or self.spoken.malformed
            raise ApiError(code, told if self.model.name == "s3" else str(error)[:200]) from None
        try:
            return self._reader.of(shape)(root)
        except Mismatch as mismatch:
            raise ApiError(self.spoken.malformed, str(mismatch)) from None

    def _write_body(self, operation: OperationModel, shape: Shape, answer: Mapping[str, Any]) -> tuple[str, bytes]:
        root = shape.wire_name or (_S3_ROOTS.get(operation.name) if self.model.name == "s3" else "") or shape.name
        return self._document(root, shape, answer)

    def _write_structure(self, operation: OperationModel, shape: Shape, value: Any) -> tuple[str, bytes]:
        return self._document(shape.wire_name or shape.name, shape, value)

    def _document(self, root: str, shape: Shape, value: Any) -> tuple[str, bytes]:
        out: list[str] = []
        self._writer.element(root, shape)(value, out)
        text = "".join(out)
        if self._namespace and not shape.traits.get("xmlNamespace"):
            text = f"<{root}{self._namespace}{text[1 + len(root) :]}"
        return "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
