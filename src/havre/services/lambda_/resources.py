"""Functions, versions, aliases, layers and what hangs on them, as they are stored.

What an invocation needs of a function is a ``Configuration``. A function has one that its user changes (``spec.config``)
and one that invocations are served by (``status.serving``): the reconciler makes the latter of the former once it is
prepared. A published version has one that never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.core.managed.scaling import Bounds
from havre.kernel.function import Code, FunctionLogs, FunctionNetwork
from havre.kernel.resource import Kind, NoStatus, Resource, scoped
from havre.services.lambda_.capacity import CapacitySpec, CapacityStatus, ManagedUse

LATEST = "$LATEST"
PUBLISHED = "$LATEST.PUBLISHED"
"""The version of a function on a capacity provider that is published again and again."""


class LayerUse(msgspec.Struct, frozen=True):
    """A layer of a function: the ARN of the layer's version, and its archive, which outlives the layer. ``unzipped``: bytes
    when it is unpacked."""

    arn: str
    code: Code
    unzipped: int = 0


class ImageOverrides(msgspec.Struct, frozen=True):
    """ImageConfig. None leaves the image's own."""

    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str = ""


class Durable(msgspec.Struct, frozen=True):
    """DurableConfig: seconds that an execution may last in all, days for which its history is kept."""

    timeout: int
    retention: int = 14


class FileSystemUse(msgspec.Struct, frozen=True):
    """``access_point`` is an ARN, ``path`` below /mnt."""

    access_point: str
    path: str


class Configuration(msgspec.Struct, frozen=True):
    """What a version of a function is. ``timeout`` in seconds, ``memory`` and ``temporary`` (``/tmp``) in MiB;
    ``dead_letter`` is an ARN, "" for none; ``image`` overrides what the image says. ``runtime`` and ``handler`` are "" for
    images."""

    role: str
    code: Code
    logs: FunctionLogs
    runtime: str = ""
    handler: str = ""
    description: str = ""
    timeout: int = 3
    memory: int = 128
    temporary: int = 512
    environment: Mapping[str, str] = {}
    layers: tuple[LayerUse, ...] = ()
    network: FunctionNetwork | None = None
    dead_letter: str = ""
    tracing: str = "PassThrough"
    snap_start: bool = False
    architecture: str = "x86_64"
    image: ImageOverrides | None = None
    per_tenant: bool = False
    durable: Durable | None = None
    managed: ManagedUse | None = None
    """The capacity provider that it runs on."""
    unzipped: int = 0
    """Bytes of the code when it is unpacked, without layers."""
    image_uri: str = ""
    """As the user named it; ``code.image`` is where it is pulled from."""
    file_systems: tuple[FileSystemUse, ...] = ()
    code_key: str = ""
    """The ARN of the KMS key of its archive (sealed_code.py)."""
    key: str = ""
    """The ARN of the KMS key of its variables; then these are ``sealed`` (sealing.py), and ``environment`` is empty."""
    sealed: bytes = b""
    named: tuple[str, ...] = ()
    """Members that the user has named once, and that are shown since even when they are empty."""

    @property
    def package(self) -> str:
        return "Image" if self.code.kind == "image" else "Zip"


class Statement(msgspec.Struct, frozen=True):
    """One statement of a resource policy: its Sid, and the whole of it as JSON."""

    sid: str
    document: str


class Policy(msgspec.Struct, frozen=True):
    """The policy on one function, version, alias or layer version. ``revision`` is its RevisionId."""

    statements: tuple[Statement, ...] = ()
    revision: str = ""


class FunctionSpec(msgspec.Struct, frozen=True):
    """``uid`` tells this function from an earlier one of the same name. ``generation`` counts changes of ``config``,
    ``revision`` is drawn anew with each; ``modified`` is when that was. ``reserved`` is None without a reservation.
    ``policies`` by qualifier, "" for the function itself. ``published`` is the number of the newest version, "" for none."""

    function: str
    uid: str
    config: Configuration
    revision: str
    modified: float
    generation: int = 1
    tags: Mapping[str, str] = {}
    reserved: int | None = None
    policies: Mapping[str, Policy] = {}
    code_signing: str = ""
    recursive_loop: str = "Terminate"
    update_runtime_on: str = "Auto"
    runtime_version: str = ""
    published: str = ""

    @property
    def number(self) -> str:
        return LATEST


class VersionSpec(msgspec.Struct, frozen=True):
    """A published version: ``number`` of ``function``, whose ``uid`` it has. ``described`` is what the function's own
    description was (None: not known). ``scaling`` None: as is usual."""

    function: str
    uid: str
    number: str
    config: Configuration
    revision: str
    modified: float
    generation: int = 1
    update_runtime_on: str = "Auto"
    runtime_version: str = ""
    described: str | None = None
    scaling: Bounds | None = None


class Readiness(msgspec.Struct, frozen=True):
    """How far a function or version is. The reconciler's alone: ``lambda.managed``'s of versions on capacity providers,
    ``lambda.readiness``'s of others.

    ``generation`` is the one of the spec that was dealt with: a lower one than the spec's means that an update (or the
    creation, at 0) is in progress. ``serving`` is what invocations run: None until the first is prepared. ``state`` is
    what came of the creation, ``update`` of the last change: each with a reason and AWS's code for it. ``prepared`` is the
    id of the kernel's Function behind ``serving``. On capacity providers ``environments`` are those that it is to have,
    ``applied`` the bounds that they are within."""

    generation: int = 0
    state: str = "Pending"
    reason: str = "The function is being created."
    reason_code: str = "Creating"
    update: str = "Successful"
    update_reason: str = ""
    update_code: str = ""
    serving: Configuration | None = None
    prepared: str = ""
    environments: int = 0
    applied: Bounds | None = None


class AliasSpec(msgspec.Struct, frozen=True):
    """``weights``: the share, 0 to 1, of invocations that goes to another version than ``version``."""

    function: str
    alias: str
    version: str
    revision: str
    description: str = ""
    weights: Mapping[str, float] = {}


class Cors(msgspec.Struct, frozen=True):
    """None where the member was not given."""

    credentials: bool | None = None
    headers: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    origins: tuple[str, ...] | None = None
    expose: tuple[str, ...] | None = None
    max_age: int | None = None


class UrlSpec(msgspec.Struct, frozen=True):
    """The URL of a function, or of an alias (``qualifier``, "" for the function). ``id`` is the first label of its host
    name, unique in this installation. ``auth`` is NONE or AWS_IAM, ``mode`` BUFFERED or RESPONSE_STREAM."""

    function: str
    qualifier: str
    id: str
    auth: str
    modified: float
    mode: str = "BUFFERED"
    cors: Cors | None = None


class EventInvokeSpec(msgspec.Struct, frozen=True):
    """How asynchronous invocations of ``qualifier`` (``$LATEST`` for the unqualified function) are tried again, and where
    their outcome goes: ARNs, "" for nowhere; None where the member was never given. ``age`` in seconds."""

    function: str
    qualifier: str
    modified: float
    retries: int | None = None
    age: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class ProvisionedSpec(msgspec.Struct, frozen=True):
    """``count`` environments of a version or of an alias are kept initialised. ``token`` is drawn anew with each change."""

    function: str
    qualifier: str
    count: int
    modified: float
    token: str = ""


class ProvisionedStatus(msgspec.Struct, frozen=True):
    """Written by who keeps the environments. ``token`` is the spec's that this is about; ``functions`` are the kernel's ids
    of the functions that environments are kept of."""

    token: str = ""
    allocated: int = 0
    available: int = 0
    reason: str = ""
    functions: tuple[str, ...] = ()


class LayerSpec(msgspec.Struct, frozen=True):
    """One version of a layer. ``runtimes`` and ``architectures`` are None where the member was not given."""

    layer: str
    number: int
    code: Code
    created: float
    unzipped: int = 0
    description: str = ""
    license: str = ""
    runtimes: tuple[str, ...] | None = None
    architectures: tuple[str, ...] | None = None
    policy: Policy = Policy()


class CounterSpec(msgspec.Struct, frozen=True):
    """The last number given to a version of a function or layer: numbers never come twice, even when it was deleted."""

    last: int


class CodeSigningSpec(msgspec.Struct, frozen=True):
    id: str
    publishers: tuple[str, ...]
    modified: float
    description: str = ""
    policy: str = "Warn"
    tags: Mapping[str, str] = {}


class MappingSpec(msgspec.Struct, frozen=True):
    """An event source mapping. ``function`` is a name, ``qualifier`` "" for the unqualified function. ``kind``: sqs, kinesis
    or dynamodb. Seconds throughout; -1 is "infinite" as in AWS; None where it does not apply. ``filters`` are patterns
    (JSON). ``generation`` counts changes, and ``modified`` is when the last was made or took effect."""

    uuid: str
    function: str
    qualifier: str
    source: str
    kind: str
    modified: float
    enabled: bool = True
    batch: int = 10
    window: int = 0
    filters: tuple[str, ...] = ()
    partial_failures: bool = False
    maximum_concurrency: int | None = None
    parallelization: int = 1
    position: str = ""
    position_at: float | None = None
    bisect: bool = False
    retries: int = -1
    record_age: int = -1
    tumbling: int = 0
    on_failure: str = ""
    minimum_pollers: int | None = None
    maximum_pollers: int | None = None
    tags: Mapping[str, str] = {}
    generation: int = 1
    metrics: tuple[str, ...] | None = None
    """Groups of metrics that are wanted of it."""


class MappingStatus(msgspec.Struct, frozen=True):
    """``state`` is AWS's. ``generation`` is the spec's that pollers work by (0: none yet), ``result`` what they say of their
    last turn. Written through ``mapping_states`` alone."""

    state: str = "Creating"
    generation: int = 0
    result: str = ""


FunctionR: TypeAlias = Resource[FunctionSpec, Readiness]
VersionR: TypeAlias = Resource[VersionSpec, Readiness]
AliasR: TypeAlias = Resource[AliasSpec, NoStatus]
UrlR: TypeAlias = Resource[UrlSpec, NoStatus]
EventInvokeR: TypeAlias = Resource[EventInvokeSpec, NoStatus]
ProvisionedR: TypeAlias = Resource[ProvisionedSpec, ProvisionedStatus]
LayerR: TypeAlias = Resource[LayerSpec, NoStatus]
CodeSigningR: TypeAlias = Resource[CodeSigningSpec, NoStatus]
MappingR: TypeAlias = Resource[MappingSpec, MappingStatus]
CapacityR: TypeAlias = Resource[CapacitySpec, CapacityStatus]


_Owned: TypeAlias = VersionR | AliasR | UrlR | EventInvokeR | ProvisionedR | MappingR


def _function(resource: _Owned) -> str:
    return scoped(resource.meta.account, resource.meta.region, resource.spec.function)


def _provider(resource: FunctionR | VersionR) -> str | None:
    managed = resource.spec.config.managed
    return managed.provider if managed is not None else None


FUNCTION: Kind[FunctionSpec, Readiness] = Kind(
    "lambda.function",
    FunctionSpec,
    Readiness,
    {
        "account": lambda r: scoped(r.meta.account, r.meta.region, ""),
        "code_signing": lambda r: r.spec.code_signing or None,
        "provider": _provider,
    },
)
VERSION: Kind[VersionSpec, Readiness] = Kind(
    "lambda.version", VersionSpec, Readiness, {"function": _function, "provider": _provider}
)
ALIAS: Kind[AliasSpec, NoStatus] = Kind("lambda.alias", AliasSpec, NoStatus, {"function": _function})
URL: Kind[UrlSpec, NoStatus] = Kind("lambda.url", UrlSpec, NoStatus, {"function": _function, "id": lambda r: r.spec.id})
EVENT_INVOKE: Kind[EventInvokeSpec, NoStatus] = Kind(
    "lambda.event_invoke", EventInvokeSpec, NoStatus, {"function": _function}
)
PROVISIONED: Kind[ProvisionedSpec, ProvisionedStatus] = Kind(
    "lambda.provisioned", ProvisionedSpec, ProvisionedStatus, {"function": _function}
)
LAYER: Kind[LayerSpec, NoStatus] = Kind(
    "lambda.layer", LayerSpec, NoStatus, {"layer": lambda r: scoped(r.meta.account, r.meta.region, r.spec.layer)}
)
COUNTER: Kind[CounterSpec, NoStatus] = Kind("lambda.counter", CounterSpec, NoStatus)
CODE_SIGNING: Kind[CodeSigningSpec, NoStatus] = Kind("lambda.code_signing", CodeSigningSpec, NoStatus)
MAPPING: Kind[MappingSpec, MappingStatus] = Kind(
    "lambda.mapping", MappingSpec, MappingStatus, {"function": _function, "source": lambda r: r.spec.source}
)
CAPACITY: Kind[CapacitySpec, CapacityStatus] = Kind("lambda.capacity", CapacitySpec, CapacityStatus)
KINDS = (FUNCTION, VERSION, ALIAS, URL, EVENT_INVOKE, PROVISIONED, LAYER, COUNTER, CODE_SIGNING, MAPPING, CAPACITY)


def qualified(function: str, qualifier: str) -> str:
    """The name of the record of a version, alias or configuration: neither part can hold a colon."""
    return f"{function}:{qualifier}"
