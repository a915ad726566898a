"""What passes between server and node about invocations: four bytes of length (big endian), then MessagePack of an array.

Every message has the number of the invocation (or question) that it is about. Records of functions go once to each node; a
node that does not know one says so, and gets it again.
"""

from __future__ import annotations

import msgspec

from havre.kernel.function import Function, Invocation, Outcome, Provisioned

VERSION = 2
MAX_FRAME = 16 << 20
WINDOW = 1 << 20
"""Bytes of a streamed answer that may be under way to a caller who has not taken them yet."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Of either side."""


class Hello(Message, frozen=True, tag=1):
    """The node's first word. ``error``: why it cannot run functions ("" when it can)."""

    node: str
    token: str
    version: int
    error: str = ""


class Welcome(Message, frozen=True, tag=2):
    """The server's first word."""


class Ping(Message, frozen=True, tag=3):
    """Says that one lives."""


# --- the server's


class Define(Message, frozen=True, tag=10):
    function: Function


class Prepare(Message, frozen=True, tag=11):
    id: int
    function: str


class Invoke(Message, frozen=True, tag=12):
    id: int
    function: str
    invocation: Invocation


class Cancel(Message, frozen=True, tag=13):
    """Nobody waits for the answer any more."""

    id: int


class Window(Message, frozen=True, tag=14):
    """The caller has taken so many bytes of a streamed answer."""

    id: int
    size: int


class Provision(Message, frozen=True, tag=15):
    function: str
    count: int


class Retire(Message, frozen=True, tag=16):
    function: str


# --- the node's


class Result(Message, frozen=True, tag=20):
    """The end of an invocation."""

    id: int
    outcome: Outcome


class Head(Message, frozen=True, tag=21):
    """A streamed answer begins."""

    id: int
    content_type: str


class Piece(Message, frozen=True, tag=22):
    id: int
    data: bytes


class Prepared(Message, frozen=True, tag=23):
    id: int


class Refused(Message, frozen=True, tag=24):
    """``after`` seconds may help (Temporary); -1: nothing does (Permanent)."""

    id: int
    reason: str
    after: float


class Unknown(Message, frozen=True, tag=25):
    """The node has no record of the function: nothing was done."""

    id: int
    function: str


class State(Message, frozen=True, tag=26):
    """How far a function is that ``Provision`` was about."""

    function: str
    provisioned: Provisioned


class Extended(Message, frozen=True, tag=27):
    """Extensions of an environment are done with an invocation, so many milliseconds after the function was. ``arn`` is what
    the caller had named."""

    function: str
    arn: str
    duration: float


AnyMessage = (
    Hello
    | Welcome
    | Ping
    | Define
    | Prepare
    | Invoke
    | Cancel
    | Window
    | Provision
    | Retire
    | Result
    | Head
    | Piece
    | Prepared
    | Refused
    | Unknown
    | State
    | Extended
)
