"""What passes over the link, and its frames: four bytes of length (big endian), then MessagePack of a tagged union."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from havre.kernel.balancer import Balancer, BalancerStatus
from havre.kernel.errors import Permanent
from havre.kernel.vpc import Vpc
from havre.kernel.workload import Workload, WorkloadStatus

VERSION = 1
MAX_FRAME = 16 << 20
USAGE = "usage"
"""A question of the server's: workload → nanoseconds of processors that it has had, bytes of memory that it has."""
TRAFFIC = "traffic"
"""A question of the server's: pool → PoolTraffic."""


class NodeInfo(msgspec.Struct, frozen=True):
    """What a node says of itself; CPU in units of 1/1024 core, memory in MiB."""

    cpu: int = 0
    memory: int = 0
    architecture: str = "x86_64"
    engine: str = ""
    engine_version: str = ""
    kernel: str = ""
    address: str = "127.0.0.1"
    zone: str = "a"
    engine_error: str = ""
    network_error: str = ""
    used_host_ports: tuple[int, ...] = ()
    used_udp_ports: tuple[int, ...] = ()


class LogStream(msgspec.Struct, frozen=True):
    """Where lines go, with all that is needed to put them there when the workload is long gone. ``role`` writes them; "" is
    the service's own hand."""

    workload: str
    container: str
    account: str
    region: str
    group: str
    stream: str
    options: Mapping[str, str] = {}
    role: str = ""


class Assignment(msgspec.Struct, frozen=True):
    """A workload, and what the node last reported of it (None: nothing yet)."""

    workload: Workload
    report: WorkloadStatus | None = None


class Message(msgspec.Struct, frozen=True, tag=True):
    """Of either side."""


class Hello(Message, frozen=True):
    """The node's first word."""

    node: str
    token: str
    version: int
    info: NodeInfo


class Welcome(Message, frozen=True):
    """``identity`` names the store: a node cleans up only at the word of the store that it belongs to."""

    identity: str


class Assign(Message, frozen=True):
    """What has changed. In a snapshot nothing is removed: what is missing at its end is."""

    workloads: tuple[Assignment, ...] = ()
    vpcs: tuple[Vpc, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    removed_workloads: tuple[str, ...] = ()
    removed_vpcs: tuple[str, ...] = ()
    removed_balancers: tuple[str, ...] = ()


class SnapshotBegin(Message, frozen=True):
    pass


class SnapshotEnd(Message, frozen=True):
    pass


class Status(Message, frozen=True):
    seq: int
    workloads: tuple[WorkloadStatus, ...] = ()
    balancers: tuple[BalancerStatus, ...] = ()
    info: NodeInfo | None = None


class StatusAck(Message, frozen=True):
    """Everything up to this number is durable."""

    seq: int


class LogBatch(msgspec.Struct, frozen=True):
    """``lines``: (milliseconds, text)."""

    stream: LogStream
    lines: tuple[tuple[int, bytes], ...]


class Logs(Message, frozen=True):
    """``position``: the end of these lines in the spool named ``spool``."""

    spool: str
    position: int
    batches: tuple[LogBatch, ...]


class LogsAck(Message, frozen=True):
    position: int


class Ask(Message, frozen=True):
    """A question of either side. ``body`` is MessagePack."""

    id: int
    what: str
    body: bytes


class Reply(Message, frozen=True):
    """``error`` is why there is no answer ("" when there is)."""

    id: int
    body: bytes = b""
    error: str = ""


class Ping(Message, frozen=True):
    pass


AnyMessage = (
    Hello | Welcome | Assign | SnapshotBegin | SnapshotEnd | Status | StatusAck | Logs | LogsAck | Ask | Reply | Ping
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] | None = None


def encode(message: AnyMessage) -> bytes:
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise Permanent(f"a frame of {len(body)} bytes")
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> AnyMessage:
    """Raises msgspec.DecodeError."""
    global _decoder
    if _decoder is None:
        _decoder = msgspec.msgpack.Decoder(AnyMessage)
    return _decoder.decode(body)


async def receive(reader: asyncio.StreamReader) -> AnyMessage:
    """Raises asyncio.IncompleteReadError at the end, Permanent for what is not of this protocol."""
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_FRAME:
        raise Permanent(f"a frame of {size} bytes")
    try:
        return decode(await reader.readexactly(size))
    except msgspec.DecodeError as e:
        raise Permanent(f"not a message of the node link: {e}") from None
