"""Keys, aliases and grants as they are stored. Operations write them; the reconciler of keys rotates and removes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource, scoped

SYMMETRIC = "SYMMETRIC_DEFAULT"
ENCRYPT, SIGN, MAC, AGREE = "ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"
CUSTOMER, AWS = "CUSTOMER", "AWS"


class Material(msgspec.Struct, frozen=True):
    """``sealed`` by the vault: what it encrypts with, or its private key (DER). ``made`` in seconds since the epoch;
    ``why``: "" for the first, AUTOMATIC or ON_DEMAND for those that rotations made."""

    id: bytes
    sealed: bytes
    made: float
    why: str = ""

    def __repr__(self) -> str:
        return f"Material({self.id.hex()})"


class Key(msgspec.Struct, frozen=True):
    """``materials``: the last one encrypts, all decrypt. ``deletion``: when it goes, None while it stays, and ``window`` the
    days that were asked for. ``period``: days between rotations, 0 for none; ``rotated``: when that was switched on or last
    happened. ``demanded``: rotations that were asked for and are not done."""

    usage: str
    spec: str
    policy: str
    materials: tuple[Material, ...]
    description: str = ""
    tags: Mapping[str, str] = {}
    enabled: bool = True
    manager: str = CUSTOMER
    deletion: float | None = None
    window: int = 0
    period: int = 0
    rotated: float = 0.0

    @property
    def state(self) -> str:
        if self.deletion is not None:
            return "PendingDeletion"
        return "Enabled" if self.enabled else "Disabled"


class Alias(msgspec.Struct, frozen=True):
    """``key`` is an id of a key of the same account and region."""

    key: str
    modified: float


class Grant(msgspec.Struct, frozen=True):
    """``grantee`` and ``retiring`` are principals (ARNs, or host names of services), ``equals`` and ``subset`` the
    encryption contexts of its constraints, None for none. ``issuer``: the account that made it. ``token`` is a digest."""

    key: str
    grantee: str
    operations: tuple[str, ...]
    issuer: str
    token: str
    name: str = ""
    retiring: str = ""
    equals: Mapping[str, str] | None = None
    subset: Mapping[str, str] | None = None


KeyR: TypeAlias = Resource[Key, NoStatus]
AliasR: TypeAlias = Resource[Alias, NoStatus]
GrantR: TypeAlias = Resource[Grant, NoStatus]

KEY: Kind[Key, NoStatus] = Kind("kms.key", Key, NoStatus)
ALIAS: Kind[Alias, NoStatus] = Kind(
    "kms.alias", Alias, NoStatus, {"key": lambda r: scoped(r.meta.account, r.meta.region, r.spec.key)}
)
GRANT: Kind[Grant, NoStatus] = Kind(
    "kms.grant",
    Grant,
    NoStatus,
    {
        "key": lambda r: scoped(r.meta.account, r.meta.region, r.spec.key),
        "retiring": lambda r: scoped(r.meta.account, r.meta.region, r.spec.retiring) if r.spec.retiring else None,
        "token": lambda r: r.spec.token,
    },
)
KINDS = (KEY, ALIAS, GRANT)
