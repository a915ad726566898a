"""The models: services, their operations and shapes, each made when first asked for."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from havre.wire.model_files import Library, ModelFile, UnknownService
from havre.wire.shapes import Shape

__all__ = ["ModelSource", "OperationModel", "ServiceModel", "Shape", "UnknownService", "signing_names"]

_SIGNING_NAMES = {
    # the service of a credential scope → botocore's directories, the likelier first
    "elasticloadbalancing": ("elbv2", "elb"),
    "monitoring": ("cloudwatch",),
    "states": ("stepfunctions",),
    "elasticfilesystem": ("efs",),
    "servicediscovery": ("servicediscovery",),
    "email": ("ses", "sesv2"),
    "tagging": ("resourcegroupstaggingapi",),
    "es": ("opensearch", "es"),
    "apigateway": ("apigateway", "apigatewayv2"),
}

V = TypeVar("V")


def signing_names(scope_service: str) -> tuple[str, ...]:
    """botocore's names of the services that sign as ``scope_service``."""
    return _SIGNING_NAMES.get(scope_service, (scope_service,))


class ModelSource:
    """Service models by botocore's directory names; ``cache_dir`` None reads botocore's JSON each time."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._cache_dir = cache_dir
        self._library: Library | None = None
        self._services: dict[str, ServiceModel] = {}

    def service(self, name: str) -> ServiceModel:
        """Raises UnknownService (a KeyError) for what botocore does not have."""
        model = self._services.get(name)
        if model is None:
            if self._library is None:
                self._library = Library(self._cache_dir)
            model = self._services[name] = ServiceModel(name, self._library.load(name))
        return model


class _Lazy(Mapping[str, V]):
    """Values made when first asked for."""

    __slots__ = ("_made", "_make", "_names")

    def __init__(self, names: Mapping[str, Any], make: Callable[[str], V]) -> None:
        self._names = names
        self._make = make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        made = self._made.get(name)
        if made is None:
            if name not in self._names:
                raise KeyError(name)
            made = self._made[name] = self._make(name)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class ServiceModel:
    """One service as botocore's model describes it.

    ``protocols`` in AWS's order of preference; ``protocol`` is the first. ``memo`` is where codecs keep what they have
    compiled. ``routes``: HTTP method, URI template, operation.
    """

    def __init__(self, name: str, file: ModelFile) -> None:
        meta = file.metadata
        self.name = name
        self.protocols: tuple[str, ...] = tuple(meta.get("protocols") or (meta["protocol"],))
        self.protocol = meta["protocol"]
        self.api_version: str = meta.get("apiVersion", "")
        self.endpoint_prefix: str = meta.get("endpointPrefix", name)
        self.signing_name: str = meta.get("signingName") or self.endpoint_prefix
        self.target_prefix: str = meta.get("targetPrefix", "")
        self.json_version: str = meta.get("jsonVersion", "1.0")
        namespace = meta.get("xmlNamespace", "")
        self.xml_namespace: str = namespace.get("uri", "") if isinstance(namespace, dict) else namespace
        self.query_compatible = "awsQueryCompatible" in meta
        if name == "sqs" and "query" not in self.protocols:
            self.protocols += ("query",)  # by names of its own: see queried
            self.xml_namespace = "http://queue.amazonaws.com/doc/2012-11-05/"
        self.routes = file.routes
        self.errors: Mapping[str, str] = file.errors
        self.operations: Mapping[str, OperationModel] = _Lazy(file.operations, self._operation)
        self.memo: dict[Any, Any] = {}
        self._file = file
        self._shapes: dict[str, Shape] = {}

    def __repr__(self) -> str:
        return f"ServiceModel({self.name!r})"

    def shape(self, name: str) -> Shape:
        """Raises KeyError."""
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = Shape(name, _load(self._file.shapes[name]), self.resolve)
        return shape

    def resolve(self, reference: Mapping[str, Any], document: bool = False) -> Shape:
        """The shape that a reference of the model means, with the reference's own traits. The name that a structure
        gives itself holds only where it is a whole ``document``."""
        shape = self.shape(reference["shape"])
        unnamed = not document and shape.type == "structure" and "locationName" in shape.traits
        if len(reference) == 1 and not unnamed:
            return shape
        traits = {**shape.traits, **reference}
        if reference.get("flattened"):
            traits["flattenedByReference"] = True
        if unnamed and "locationName" not in reference:
            del traits["locationName"]
        return Shape(shape.name, traits, self.resolve)

    def queried(self) -> ServiceModel:
        """SQS with the names that its parameters have in the query protocol."""
        from havre.wire.sqs_query import queried

        return ServiceModel(self.name, queried(self._file))

    def error(self, code: str) -> Shape | None:
        """The shape of an error, by its code or by its shape's name."""
        name = self.errors.get(code)
        return None if name is None else self.shape(name)

    def _operation(self, name: str) -> OperationModel:
        pagination = self._file.paginators.get(name)
        paginator = None if pagination is None else _load(pagination)
        return OperationModel(self, name, _load(self._file.operations[name]), paginator)


class OperationModel:
    """One operation: ``method`` and ``uri`` of its HTTP binding, ``status`` of its success, ``errors`` the codes that
    its model lists.

    ``streaming_input`` names the payload member that is a streamed blob, ``events_output`` the member that is an event
    stream ("" where there is none). ``paginator`` is botocore's entry (input_token, output_token, result_key, limit_key)
    or None. ``unsigned`` operations are called without credentials.
    """

    def __init__(
        self, service: ServiceModel, name: str, traits: Mapping[str, Any], paginator: Mapping[str, Any] | None
    ) -> None:
        http = traits.get("http", {})
        self.service = service
        self.name = name
        self.method: str = http.get("method", "POST")
        self.uri: str = http.get("requestUri", "/")
        self.status = int(http.get("responseCode", 200))
        self.input = service.resolve(traits["input"], document=True) if "input" in traits else None
        self.output = service.resolve(traits["output"], document=True) if "output" in traits else None
        self.result_wrapper: str = traits.get("output", {}).get("resultWrapper", "")
        self.errors: tuple[str, ...] = tuple(each["shape"] for each in traits.get("errors", ()))
        self.streaming_input = _streamed(self.input)
        self.events_output = _events(self.output)
        self.paginator = paginator or None
        self.unsigned = traits.get("authtype") == "none" or traits.get("auth") == ["smithy.api#noAuth"]

    def __repr__(self) -> str:
        return f"OperationModel({self.service.name}:{self.name})"


def _load(data: bytes) -> Any:
    return marshal.loads(data)  # noqa: S302 - read from our own cache, whose checksum has been verified


def _streamed(shape: Shape | None) -> str:
    payload: str = shape.traits.get("payload", "") if shape else ""
    if not shape or not payload:
        return ""
    member = shape.members[payload]
    return payload if member.type == "blob" and member.traits.get("streaming") else ""


def _events(shape: Shape | None) -> str:
    return next((name for name, each in shape.members.items() if each.event_stream), "") if shape else ""
