"""Resource: a record with ``spec`` (what the user wants), ``status`` (what was seen) and ``meta``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)


class Key(NamedTuple):
    """Where a resource lives. ``region`` is empty for global services (IAM)."""

    kind: str
    account: str
    region: str
    name: str


class Meta(msgspec.Struct, frozen=True):
    """``version`` is the store revision of the last write; times are seconds since the epoch.

    ``deleting`` is the tombstone: when deletion was asked for, None while nobody did. ``number`` is the store's own: which
    row it is, as long as it is there.
    """

    arn: str
    account: str
    region: str
    name: str
    version: int = 0
    created: float = 0.0
    updated: float = 0.0
    deleting: float | None = None
    number: int = 0


class Resource(msgspec.Struct, Generic[S, T], frozen=True):
    """The user owns ``spec``; each field of ``status`` is owned by one reconciler."""

    kind: str
    meta: Meta
    spec: S
    status: T

    @property
    def key(self) -> Key:
        m = self.meta
        return Key(self.kind, m.account, m.region, m.name)


class NoStatus(msgspec.Struct, frozen=True):
    """Of kinds that have nothing to observe."""


class Kind(Generic[S, T]):
    """A declared kind of resource: its name (``ecs.task``), its two record types and its indexes.

    An index is a function from the resource to the value to find it by, to several values, or to None. Values are
    looked up within everything of that kind: put account and region into the value where they matter
    (``scoped(resource, value)`` does).
    """

    __slots__ = ("indexes", "name", "spec", "status", "type")

    def __init__(
        self,
        name: str,
        spec: type[S],
        status: type[T],
        indexes: Mapping[str, Callable[[Resource[S, T]], str | tuple[str, ...] | None]] | None = None,
    ) -> None:
        self.name = name
        self.spec = spec
        self.status = status
        self.indexes = dict(indexes or {})
        self.type: Any = Resource[spec, status]  # type: ignore[valid-type]

    def __repr__(self) -> str:
        return f"Kind({self.name!r})"


def scoped(account: str, region: str, value: str) -> str:
    """An index value that is unique to one account and region."""
    return f"{account}/{region}/{value}"
