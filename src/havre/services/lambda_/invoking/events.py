"""Asynchronous events as they are kept: a small head, which is all that memory holds, and the payload."""

from __future__ import annotations

import msgspec

from havre.core.invoking.retries import LONGEST_AGE, MOST_ATTEMPTS, Tried
from havre.services.lambda_.invoking.targets import Target

SHELVES = "lambda/"


class Will(msgspec.Struct, frozen=True, array_like=True):
    """What is done with an event whose function, version or alias has been deleted: as it was said when the event came.
    "" for nobody to tell."""

    attempts: int = MOST_ATTEMPTS
    age: float = LONGEST_AGE
    on_failure: str = ""
    dead_letter: str = ""
    role: str = ""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """``arn`` is what the caller named, ``uid`` tells of which function of that name it was: one that is made anew with its
    name gets its events. ``outcome`` is "" until the event is through; then it is its condition, and the body holds what
    remains to be told (``Letter``). ``will`` None: the defaults."""

    request_id: str
    qualifier: str
    arn: str
    uid: str
    tried: Tried
    trace: str = ""
    tenant: str = ""
    size: int = 0
    outcome: str = ""
    deliveries: int = 0
    will: Will | None = None


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """What destinations are told of an event that is through. ``response`` None: the function was never run. ``to`` are the
    ARNs that have not been reached yet, each with its kind: destination, dead-letter, or change of status."""

    payload: bytes
    response: bytes | None
    version: str
    error: str
    status: int
    to: tuple[tuple[str, str], ...]
    role: str


class Where(msgspec.Struct, frozen=True):
    """Whose queue it is."""

    account: str
    region: str
    function: str

    @property
    def shelf(self) -> str:
        return f"{SHELVES}{self.account}/{self.region}/{self.function}"

    @classmethod
    def of(cls, shelf: str) -> Where:
        account, region, function = shelf.removeprefix(SHELVES).split("/")
        return cls(account, region, function)

    @classmethod
    def target(cls, target: Target) -> Where:
        return cls(target.account, target.region, target.name)


encode = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(Event).decode
decode_letter = msgspec.msgpack.Decoder(Letter).decode
