"""Which service, operation and protocol a request means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from havre.kernel.errors import ApiError, not_built
from havre.wire.dialects import UNKNOWN, dialect
from havre.wire.http import HttpRequest, media_type, parse_pairs, whole
from havre.wire.models import ModelSource, ServiceModel, signing_names
from havre.wire.uris import UriTable

_CBOR = "smithy-rpc-v2-cbor"
_REST = ("rest-json", "rest-xml")
_QUERY = ("query", "ec2")
_QUEUE = re.compile(r"/[0-9]{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?")
_REMEMBERED = 4096
"""Pairs of action and version: more than all services together have; a client cannot make it more."""


class Route(msgspec.Struct, frozen=True):
    """``operation`` is None only in a RouteError's. ``path_params`` are the labels of a REST path, decoded; ``form`` the
    parameters of a query or ec2 request, from URL and body."""

    service: str
    operation: str | None
    protocol: str
    path_params: dict[str, str] = {}
    form: list[tuple[str, str]] = []


class RouteError(ApiError):
    """No such operation; ``route`` tells the service and protocol to answer in, as far as they are known."""

    def __init__(self, code: str, message: str, status: int, route: Route | None) -> None:
        super().__init__(code, message, status)
        self.route = route


class Router:
    """Routes to ``services`` (botocore's names) and to nothing else. Models are loaded as requests ask for them."""

    def __init__(self, models: ModelSource, services: Iterable[str]) -> None:
        self._models = models
        self._services = tuple(services)
        self._targets: dict[str, ServiceModel] = {}
        self._routes: dict[str, Route] = {}
        """X-Amz-Target → where it goes: no more than there are operations."""
        self._tables: dict[str, UriTable] = {}
        self._actions: dict[tuple[str | None, str, str], tuple[str, str]] = {}
        self._scopes: dict[str, tuple[str, ...]] = {}
        self._paths: dict[tuple[str, ...], list[tuple[ServiceModel, str]]] = {}

    def route(self, request: HttpRequest, scope_service: str | None) -> Route:
        """``scope_service`` is the service of the Authorization's credential scope, None for unsigned requests. Raises
        RouteError. The body is read only of forms, and has to be bytes then."""
        headers = request.headers
        target = headers.get("x-amz-target")
        if target is not None:
            return self._by_target(target, scope_service)
        if "smithy-protocol" in headers:
            return self._by_smithy_path(request, scope_service)
        form = self._form(request)
        if form is not None:
            return self._by_action(request, form, scope_service)
        return self._by_path(request, scope_service)

    def _candidates(self, scope_service: str | None, request: HttpRequest | None = None) -> Sequence[str]:
        """The services that a request may mean: those of its scope, else of its Host, else all."""
        if scope_service:
            found = self._scopes.get(scope_service)
            if found is None:
                names = [name for name in signing_names(scope_service) if name in self._services]
                found = tuple(names) or tuple(n for n in self._services if self._model(n).signing_name == scope_service)
                if len(self._scopes) < 256:
                    self._scopes[scope_service] = found
            return found
        if request is not None:
            return self._by_host(request.headers.get("host", "")) or self._services
        return self._services

    def _by_host(self, host: str) -> tuple[str, ...]:
        labels = host.partition(":")[0].lower().split(".")
        if len(labels) < 2:
            return ()
        first = labels[1] if labels[0] == "api" and len(labels) > 2 else labels[0]
        return tuple(name for name in signing_names(first) if name in self._services) or tuple(
            name for name in self._services if name == "s3" and "s3" in labels[1:3]
        )

    def _model(self, name: str) -> ServiceModel:
        return self._models.service(name)

    # json

    def _by_target(self, target: str, scope_service: str | None) -> Route:
        if (known := self._routes.get(target)) is not None:
            return known
        prefix, _, operation = target.rpartition(".")
        model = self._targets.get(prefix)
        if model is None:
            model = self._find_target(prefix, scope_service)
        if model is None:
            raise RouteError("UnknownOperationException", "", 400, None)
        if operation not in model.operations:
            told = f"{model.name} has no operation {operation[:128]}"
            raise RouteError("UnknownOperationException", told, 400, Route(model.name, None, "json"))
        route = self._routes[target] = Route(model.name, operation, "json")
        return route

    def _find_target(self, prefix: str, scope_service: str | None) -> ServiceModel | None:
        for names in (self._candidates(scope_service), self._services):
            for name in names:
                model = self._model(name)
                if model.target_prefix == prefix and prefix:
                    self._targets[prefix] = model
                    return model
        return None

    # smithy-rpc-v2-cbor

    def _by_smithy_path(self, request: HttpRequest, scope_service: str | None) -> Route:
        parts = request.path.split("/")
        protocol = request.headers["smithy-protocol"].strip()
        if protocol == "rpc-v2-cbor" and len(parts) >= 5 and parts[-4] == "service" and parts[-2] == "operation":
            model = self._find_target(parts[-3], scope_service)
            if model is not None and parts[-1] in model.operations:
                return Route(model.name, parts[-1], _CBOR)
            unknown = Route(model.name, None, _CBOR) if model else None
            raise RouteError("UnknownOperationException", "The operation is unknown", 404, unknown)
        raise RouteError("UnknownOperationException", "The protocol or path is unknown", 404, None)

    # query and ec2

    @staticmethod
    def _form(request: HttpRequest) -> list[tuple[str, str]] | None:
        """The parameters of a request that names an Action, else None."""
        pairs: list[tuple[str, str]] = []
        if media_type(request.headers) == "application/x-www-form-urlencoded":
            pairs = parse_pairs(whole(request).decode("utf-8", "replace"))
        if "Action=" in request.query:
            pairs = parse_pairs(request.query) + pairs
        return pairs if any(name == "Action" for name, _ in pairs) else None

    def _by_action(self, request: HttpRequest, form: list[tuple[str, str]], scope_service: str | None) -> Route:
        given = dict(form)
        action, version = given["Action"], given.get("Version", "")
        known = self._actions.get((scope_service, action, version))
        if known is None:
            known = self._find_action(request, action, version, scope_service)
            if scope_service and len(self._actions) < _REMEMBERED:
                self._actions[scope_service, action, version] = known
        return Route(known[0], action, known[1], {}, form)

    def _find_action(
        self, request: HttpRequest, action: str, version: str, scope_service: str | None
    ) -> tuple[str, str]:
        """Service and protocol: by the version, among the services of the scope first."""
        found: tuple[str, str] | None = None
        for names in (self._candidates(scope_service, request), self._services if not scope_service else ()):
            for model, protocol in self._speaking(names, _QUERY):
                if action not in model.operations:
                    continue
                if model.api_version == version:
                    return model.name, protocol
                if found is None and not (version and dialect(model, protocol).dated):
                    found = model.name, protocol
            if found is not None:
                return found
        raise self._unknown_action(request, action, version, scope_service)

    def _unknown_action(self, request: HttpRequest, action: str, version: str, scope_service: str | None) -> RouteError:
        candidates = self._candidates(scope_service, request)
        for model, protocol in self._speaking(self._absent(scope_service, candidates), _QUERY):
            if action in model.operations and model.api_version == version:
                return _not_there(Route(model.name, action, protocol), candidates)
        models = list(self._speaking(candidates, _QUERY))
        first = models[:1] if candidates is not self._services else []  # else nothing tells whom it is for
        models = [each for each in models if each[0].api_version == version] or first
        unknown = Route(models[0][0].name, None, models[0][1]) if models else None
        shown, asked = action[:128], version[:32] or "NO_VERSION_SPECIFIED"
        if not action:
            return RouteError("MissingAction", "The request must contain the parameter Action", 400, unknown)
        words = dialect(*models[0]).unknown if models else UNKNOWN
        told = words.format(action=shown, version=asked)
        return RouteError("InvalidAction", told, 400, unknown)

    def _speaking(self, names: Iterable[str], protocols: Sequence[str]) -> Iterator[tuple[ServiceModel, str]]:
        for name in names:
            model = self._model(name)
            spoken = next((each for each in model.protocols if each in protocols), None)
            if spoken is not None:
                yield model, spoken

    # rest-json and rest-xml

    def _by_path(self, request: HttpRequest, scope_service: str | None) -> Route:
        if scope_service in (None, "sqs") and request.method == "GET" and self._is_queue(request):
            raise RouteError("UnknownOperationException", "", 404, Route("sqs", None, "query"))
        candidates = self._candidates(scope_service, request)
        query = dict(parse_pairs(request.query)) if request.query else {}
        for model, protocol in self._with_paths(tuple(candidates)):
            path = bucket_path(request) if model.name == "s3" else request.path
            found = self._table(model).match(request.method, path, query, request.headers)
            if found is not None:
                return Route(model.name, found[0], protocol, found[1])
        raise self._elsewhere(request, candidates, scope_service, query) or self._unknown_path(request, candidates)

    def _table(self, model: ServiceModel) -> UriTable:
        table = self._tables.get(model.name)
        if table is None:
            table = self._tables[model.name] = UriTable(model)
        return table

    def _is_queue(self, request: HttpRequest) -> bool:
        """Whether the URL is that of a queue, and says no more: an object's would be signed, or of a bucket."""
        return not request.query and "sqs" in self._services and _QUEUE.fullmatch(request.path) is not None

    def _with_paths(self, candidates: tuple[str, ...]) -> list[tuple[ServiceModel, str]]:
        """Those that have paths. S3's match anything: it is asked last."""
        found = self._paths.get(candidates)
        if found is None:
            found = sorted(self._speaking(candidates, _REST), key=lambda each: each[0].name == "s3")
            if len(self._paths) < 256:
                self._paths[candidates] = found
        return found

    def _elsewhere(
        self, request: HttpRequest, candidates: Sequence[str], scope_service: str | None, query: dict[str, str]
    ) -> RouteError | None:
        """Of a service that is not there and signs as one that is: API Gateway's REST APIs."""
        for model, protocol in self._speaking(self._absent(scope_service, candidates), _REST):
            found = self._table(model).match(request.method, request.path, query, request.headers)
            if found is not None:
                return _not_there(Route(model.name, found[0], protocol), candidates)
        return None

    def _absent(self, scope_service: str | None, candidates: Sequence[str]) -> Sequence[str]:
        """What signs as ``candidates`` do and is not there."""
        if not scope_service or not candidates:
            return ()
        return [name for name in signing_names(scope_service) if name not in self._services]

    def _unknown_path(self, request: HttpRequest, candidates: Sequence[str]) -> RouteError:
        if "s3" in candidates and request.method == "POST" and media_type(request.headers) == "multipart/form-data":
            told = "Havre does not implement s3 POST Object, uploads by forms"
            return RouteError("NotImplemented", told, 501, Route("s3", None, "rest-xml"))
        if len(candidates) != 1:
            return RouteError("UnknownOperationException", "", 404, None)
        model = self._model(candidates[0])
        unknown = Route(model.name, None, model.protocol)
        if model.protocol in _QUERY:
            return RouteError("MissingAction", "The request must contain the parameter Action", 400, unknown)
        if model.protocol == "json":
            return RouteError("UnknownOperationException", "", 400, unknown)
        if model.name == "s3":
            return RouteError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", 405, unknown
            )
        return RouteError("UnknownOperationException", f"There is no {request.method} here", 404, unknown)


def _not_there(meant: Route, others: Iterable[str]) -> RouteError:
    told = not_built(meant.service, f"{meant.operation}; what signs like it and is there: {', '.join(others)}")
    return RouteError(told.code, told.message, 501, Route(meant.service, None, meant.protocol))


def bucket_path(request: HttpRequest) -> str:
    """The path with S3's bucket in it, which may stand in the Host instead: ``bucket.s3.region.…``."""
    host = request.headers.get("host", "").partition(":")[0]
    bucket, dot, _ = host.partition(".s3.")
    return f"/{bucket}{request.path}" if dot and bucket else request.path
