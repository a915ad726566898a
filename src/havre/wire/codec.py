"""Requests into values, answers and errors into responses: one door for all protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from havre.kernel.errors import ApiError
from havre.wire.answers import check_answer
from havre.wire.errors import render_error
from havre.wire.http import HttpRequest, HttpResponse
from havre.wire.models import OperationModel, ServiceModel
from havre.wire.routing import Route

__all__ = ["check_answer", "parse", "render", "render_error"]


class Spoken(Protocol):
    """One protocol as one service speaks it."""

    def parse(self, operation: OperationModel, route: Route, request: HttpRequest) -> dict[str, Any]: ...
    def render(self, operation: OperationModel, answer: Mapping[str, Any], request_id: str) -> HttpResponse: ...


def parse(model: ServiceModel, route: Route, request: HttpRequest) -> dict[str, Any]:
    """The request's members, typed and checked against the model. Raises ApiError as the service's front does."""
    spoken = model.memo.get(route.protocol) or _spoken(model, route.protocol)
    parsed: dict[str, Any] = spoken.parse(_operation(model, route), route, request)
    return parsed


def render(model: ServiceModel, route: Route, answer: Mapping[str, Any] | None, request_id: str) -> HttpResponse:
    """A successful answer; None and absent members are left out."""
    spoken = model.memo.get(route.protocol) or _spoken(model, route.protocol)
    rendered: HttpResponse = spoken.render(_operation(model, route), answer or {}, request_id)
    return rendered


def _operation(model: ServiceModel, route: Route) -> OperationModel:
    if route.operation is None:
        raise ApiError("UnknownOperationException", "", 404)
    return model.operations[route.operation]


def _spoken(model: ServiceModel, protocol: str) -> Spoken:
    spoken: Spoken | None = model.memo.get(protocol)
    if spoken is None:
        spoken = model.memo[protocol] = _make(model, protocol)
    return spoken


def _make(model: ServiceModel, protocol: str) -> Spoken:
    if protocol in ("rest-json", "rest-xml"):
        from havre.wire.rest import RestJson, RestXml

        return RestJson(model) if protocol == "rest-json" else RestXml(model)
    from havre.wire import rpc

    if model.name == "sqs" and protocol == "query":
        from havre.wire.sqs_query import SqsQuery

        named = model.queried()
        return SqsQuery(named, rpc.make(named, protocol))
    return rpc.make(model, protocol)
