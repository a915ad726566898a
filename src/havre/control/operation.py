"""Operation: one AWS action, a typed request in, a typed answer out, or a modelled error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar, Unpack

import msgspec

from havre.control.metrics import UNMETERED, Metrics
from havre.kernel.resource import Kind
from havre.kernel.world import World
from havre.store.ports import Journal, Store

_READS = ("Describe", "List", "Get", "BatchGet", "BatchCheck", "Lookup", "Filter", "Search", "Simulate")

Request = Mapping[str, Any]
"""A parsed and validated request: AWS's member names; absent members are absent, blobs are bytes, timestamps are
floats (seconds since the epoch), streaming blobs are ``AsyncIterator[bytes]``."""

Answer = Mapping[str, Any] | None
"""What the operation answers, in the same terms; None values are left out by the renderer."""

StreamingBody = AsyncIterator[bytes]


class Principal(msgspec.Struct, frozen=True):
    """Who calls. ``kind``: Root, IAMUser, AssumedRole, FederatedUser, AWSService or Anonymous.

    ``arn`` is what GetCallerIdentity tells and what policies name, ``id`` the unique id (``AIDA…``, ``AROA…:session``).
    ``role`` is the ARN of the assumed role, ``service`` the host name of an AWS service that acts (``ecs.amazonaws.com``),
    ``source`` the resource for whose sake it does: then it may do what resource policies allow it, and nothing else.
    """

    kind: str
    account: str
    arn: str
    id: str
    access_key: str = ""
    name: str = ""
    role: str = ""
    service: str = ""
    source: str = ""
    session_policies: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    context: Mapping[str, str] = {}
    """Condition keys that the session itself brings (``aws:TokenIssueTime``, ``aws:MultiFactorAuthPresent``)."""


class Site(msgspec.Struct, frozen=True):
    """What an installation is called and where it answers. One for a whole process."""

    host: str = "127.0.0.1"
    port: int = 4566
    region: str = "us-east-1"
    account: str = "000000000000"
    auth: str = "strict"
    """strict (signatures and policies are checked) or open (any credentials; loopback only)."""
    instance: str = "havre"
    """Unique on this machine: names networks, rules, labels; lower-case letters and digits, at most 8."""
    tls: bool = False
    """Whether it answers HTTPS at its port besides HTTP."""
    former: frozenset[int] = frozenset()
    """The ports at which it has answered before, with the same state."""

    @property
    def scheme(self) -> str:
        """Of the URLs that clients are told."""
        return "https" if self.tls else "http"

    @property
    def endpoint(self) -> str:
        """For what runs within this installation: it needs no certificate there."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Aws(Protocol):
    """AWS operations of other services, called in process through the gateway: IAM decides and CloudTrail records."""

    async def __call__(self, service: str, operation: str, request: Request) -> Mapping[str, Any]:
        """Raises ApiError as the operation does."""
        ...


class AsService(Protocol):
    def __call__(self, service: str, source: str = "") -> Aws:
        """AWS as an AWS service (``ecs.amazonaws.com``) sees it in this account: by its linked role, allowed everything.
        With ``source``, the ARN of the resource that it acts for, as far as resource policies let it."""
        ...


HungUp = Callable[[], Awaitable[None]]


class Authorizer(Protocol):
    async def __call__(self, action: str, resources: Sequence[str], context: Mapping[str, str | Sequence[str]]) -> None:
        """Raises ApiError AccessDenied (the service's spelling of it) unless policies allow ``action`` on each resource."""
        ...


class Call(msgspec.Struct, frozen=True):
    """One request on its way through a service: who, where, and what the operation may use."""

    service: str
    operation: str
    account: str
    region: str
    principal: Principal
    request_id: str
    site: Site
    world: World
    store: Store
    journal: Journal
    aws: Aws
    """Calls other services as the same principal. What passes by itself is Temporary, as everywhere: it is no refusal."""
    authorize: Authorizer
    """Further decisions that the action needs, such as iam:PassRole or tag-on-create."""
    source_ip: str = ""
    user_agent: str = ""
    as_service: AsService | None = None
    trace: str = ""
    """The request's trace header (``X-Amzn-Trace-Id``); calls made within this one carry it as well."""
    hung_up: HungUp | None = None
    """For operations that wait long: returns when the client has gone. None within the process."""
    origin: str = ""
    """Scheme and host by which the client has found this installation (``http://localhost:4566``); "" within the process."""
    metrics: Metrics = UNMETERED
    """Takes what AWS's metrics of the services are made of."""

    @property
    def now(self) -> float:
        return self.world.now()

    def arn(self, resource: str, service: str | None = None) -> str:
        return f"arn:aws:{service or self.service}:{self.region}:{self.account}:{resource}"


Handler = Callable[[Call, Request], Awaitable[Answer]]
Resources = Callable[[Call, Request], Sequence[str]]
ConditionContext = Callable[[Call, Request], Mapping[str, str | Sequence[str]]]
ResourceContext = Callable[[Call, str], Mapping[str, str | Sequence[str]]]
Action = str | Callable[[Call, Request], str]
TagsOf = Callable[[Call, str], Mapping[str, str]]


class Operation(msgspec.Struct, frozen=True):
    """A declared operation. ``action`` is the IAM action where it is not ``<prefix>:<Name>``, or finds it for a request;
    empty means that any authenticated caller may (``sts:GetCallerIdentity``). ``resources`` names the ARNs that IAM
    decides on (``*`` where None), ``conditions`` the service's condition keys, ``about`` those of one of the resources, by
    its ARN. ``read_only`` is what CloudTrail records as readOnly. A ``data_event`` is about what a resource holds or does,
    and not about the resource itself (``lambda:Invoke``, ``sqs:SendMessage``): CloudTrail's history has none, as in AWS.
    """

    name: str
    handler: Handler
    action: Action | None = None
    resources: Resources | None = None
    conditions: ConditionContext | None = None
    about: ResourceContext | None = None
    read_only: bool = False
    data_event: bool = False


class Declared(TypedDict, total=False):
    """What is said of an operation besides its name. Whether it is ``read_only`` its name tells where nobody says it."""

    action: Action | None
    resources: Resources | None
    conditions: ConditionContext | None
    about: ResourceContext | None
    read_only: bool
    data_event: bool


def _nothing(member: str) -> Handler:
    async def answer(call: Call, request: Request) -> Answer:
        return {member: []}

    return answer


PassThrough = Callable[[Call, Request, Any], Awaitable[Any]]
"""Takes a client's request parsed, and as it came (HttpRequest, without signed chunks); gives control.borrowed's Passed,
or None: then the operation's handler shall do it."""
H = TypeVar("H", bound=Handler)


class Operations:
    """Collects the operations of a module::

    ops = Operations()

    @ops("CreateCluster", resources=cluster_arns)
    async def create_cluster(call: Call, request: Request) -> Answer: ...
    """

    def __init__(self) -> None:
        self.all: dict[str, Operation] = {}

    def __call__(self, name: str, **said: Unpack[Declared]) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            said.setdefault("read_only", name.startswith(_READS))
            self.all[name] = Operation(name, handler, **said)
            return handler

        return declare

    def nothing(self, lists: Mapping[str, str]) -> None:
        """Lists of what nobody can have made: operation → the member that is empty."""
        for name, member in lists.items():
            self(name)(_nothing(member))


class Service(msgspec.Struct, frozen=True):
    """One AWS service as Havre serves it. ``name`` is botocore's (``ecs``, ``elbv2``), ``prefix`` that of its IAM actions
    (``elasticloadbalancing``). An operation of the model that is missing here answers that it is not implemented.
    """

    name: str
    operations: Mapping[str, Operation]
    kinds: tuple[Kind[Any, Any], ...] = ()
    prefix: str = ""
    partial: Mapping[str, str] = {}
    """What is accepted with a limited effect: operation or member → what is missing, in words (shown by coverage)."""
    unsigned: frozenset[str] = frozenset()
    """Operations that clients may call without a signature, as nobody (Anonymous): what the request brings decides."""
    tags: TagsOf | None = None
    """The tags of a resource, by its ARN, from which ``aws:ResourceTag/…`` and ``<prefix>:ResourceTag/…`` are made for
    operations that have no ``about``. May raise ApiError for one that is not there: it has none."""
    passes: PassThrough | None = None
    """Clients' requests are handed on to it as they came, instead of to the operations' handlers."""

    @property
    def iam_prefix(self) -> str:
        return self.prefix or self.name


def merge(*collections: Operations) -> dict[str, Operation]:
    """The operations of a service's modules, together."""
    merged: dict[str, Operation] = {}
    for each in collections:
        merged.update(each.all)
    return merged
