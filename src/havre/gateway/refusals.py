"""Answers to what is refused before it has been routed, in the shape of the service that it seems to be for."""

from __future__ import annotations

import re
from collections.abc import Container

from havre.gateway.faults import as_api_error
from havre.wire import codec
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.models import ModelSource, ServiceModel, signing_names

_CBOR, _QUERIES = "smithy-rpc-v2-cbor", ("query", "ec2")
_SCOPE = re.compile(r"(?:/|%2[Ff])([a-z0-9-]{1,64})(?:/|%2[Ff])aws4_request")


def refusal(
    models: ModelSource, services: Container[str], request: HttpRequest, fault: Exception, request_id: str
) -> HttpResponse:
    """The signature may be half of one, or none: what it says of the service is taken for this alone."""
    found = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(request.query)
    name = next((n for n in signing_names(found[1]) if n in services), "") if found else ""
    model = models.service(name) if name else None
    protocol = _spoken(model, request) if model is not None else seeming(request)
    error = as_api_error(fault, protocol, name, request_id)
    return codec.render_error(model, None, error, request_id, protocol)


def _spoken(model: ServiceModel, request: HttpRequest) -> str:
    """In which of the service's protocols the request is."""
    asked = seeming(request)
    if asked == "query":
        return next((each for each in model.protocols if each in _QUERIES), model.protocol)
    return asked if asked in model.protocols else model.protocol


def seeming(request: HttpRequest) -> str:
    """The protocol that a request seems to speak, of which nothing tells whom it is for."""
    kind = request.headers.get("content-type", "")
    if "x-www-form-urlencoded" in kind or "Action=" in request.query:
        return "query"
    if "/s3/aws4_request" in request.headers.get("authorization", ""):
        return "rest-xml"
    if "cbor" in kind:
        return _CBOR
    return "json"
