"""Function: one version of a Lambda function as a node runs it, free of AWS's shapes; and what is asked of it.

Server and nodes exchange these records: fields are added with a default, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Code(msgspec.Struct, frozen=True):
    """Files of a function or a layer. ``kind``: zip (``digest`` names the archive in the store of code), directory
    (``path`` is mounted as it is and looked at before each invocation), image (``image`` is pulled, ``digest`` is its
    manifest's, ``sha256:…``). ``size`` in bytes, of the archive. ``sealed`` is the digest of the archive as it lies
    encrypted by a key of the user's, "" where it lies as it is."""

    kind: str
    digest: str = ""
    path: str = ""
    image: str = ""
    size: int = 0
    sealed: str = ""

    @property
    def kept(self) -> str:
        """The name of its file in the store of code."""
        return self.sealed or self.digest


class FunctionNetwork(msgspec.Struct, frozen=True):
    """Where a function of a VPC has its interfaces."""

    vpc: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...] = ()


class FunctionLogs(msgspec.Struct, frozen=True):
    """``format``: Text or JSON. Levels are AWS's names, for JSON only: lines below ``application_level`` that the function
    wrote, and events of the platform below ``system_level``, are left out."""

    group: str
    format: str = "Text"
    application_level: str = "INFO"
    system_level: str = "INFO"


class FunctionShare(msgspec.Struct, frozen=True):
    """A directory of a file system, seen at ``path``. Which one it is, and whether the function may have it, its node asks
    for by ``access_point`` (an ARN) when an environment begins."""

    path: str
    access_point: str


class Function(msgspec.Struct, frozen=True):
    """``id`` is unique for ever and changes with anything in here: an environment serves one ``id``. ``arn`` has the
    version behind it. Memory and the size of ``/tmp`` in MiB, ``timeout`` in seconds. ``runtime`` is "" for images, whose
    ``entry_point``, ``command`` and ``working_directory`` stand for the image's own where they are given. ``environment``
    is the function's own; what Lambda adds to it (credentials of ``role``, AWS_LAMBDA_…) the node adds."""

    id: str
    arn: str
    account: str
    region: str
    name: str
    version: str
    code: Code
    role: str
    logs: FunctionLogs
    runtime: str = ""
    handler: str = ""
    architecture: str = "x86_64"
    layers: tuple[Code, ...] = ()
    environment: Mapping[str, str] = {}
    memory: int = 128
    timeout: float = 3
    temporary: int = 512
    tracing: str = "PassThrough"
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    working_directory: str = ""
    network: FunctionNetwork | None = None
    sealed: str = ""
    """A digest of ``environment`` as it is kept encrypted: the server opens it when an environment begins; "" where it is
    given."""
    shares: tuple[FunctionShare, ...] = ()
    snap_start: bool = False
    debug_port: int = 0
    """A port in the environment that is reachable on this machine's loopback (``havre lambda dev``); 0: none."""
    concurrency: int = 0
    """Invocations that one environment works on at once, on a capacity provider; 0: one, and the node starts environments
    as they are needed."""
    cpus: float = 0.0
    """Processors of an environment; 0: in proportion to its memory."""


class Invocation(msgspec.Struct, frozen=True, array_like=True):
    """``arn`` is what the caller named (Context.invoked_function_arn). ``client_context`` and ``identity`` are JSON, ""
    for none. ``tail`` asks for the last 4 KiB of the log, ``streaming`` for pieces of the answer as they come."""

    request_id: str
    arn: str
    payload: bytes = b""
    client_context: str = ""
    identity: str = ""
    trace: str = ""
    tenant: str = ""
    tail: bool = False
    streaming: bool = False


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """``error`` is "" where the function answered, else the kind of its failure (``Sandbox.Timedout``,
    ``Runtime.ExitError``, ``Unhandled`` for what the runtime itself reported): ``payload`` is then Lambda's JSON about it.
    A streamed answer has no payload. Durations in milliseconds, memory in MiB; ``init`` is None for a warm start."""

    payload: bytes = b""
    error: str = ""
    content_type: str = "application/json"
    log_tail: bytes = b""
    duration: float = 0.0
    billed: int = 0
    init: float | None = None
    memory: int = 0


def session_name(function: str) -> str:
    """Of the session in which a function of that name has its role: names of one character are too short for one."""
    return function if len(function) > 1 else f"{function}@lambda_function"


class Provisioned(msgspec.Struct, frozen=True):
    """Environments of one function that are kept initialised. ``error`` is why some are not, ``short`` that there was no
    room for them. Of those that work on several invocations at once: ``cpu`` is the share of their processors that they use,
    ``busy`` that of their slots that was taken at the peak, both of the last second; ``refused`` counts invocations that
    found no slot."""

    wanted: int = 0
    ready: int = 0
    error: str = ""
    short: bool = False
    cpu: float = 0.0
    busy: float = 0.0
    refused: int = 0
