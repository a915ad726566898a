"""Keys by what requests call them: id, ARN, alias, ARN of an alias."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from havre.control.operation import Call, Request
from havre.kernel.resource import scoped
from havre.services.kms import errors, managed
from havre.services.kms.resources import ALIAS, CUSTOMER, GRANT, KEY, AliasR, GrantR, KeyR
from havre.store.ports import Reader

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32}", re.I).fullmatch
Resources = Callable[[Call, Request], Sequence[str]]


class Named(NamedTuple):
    """``name`` is an id of a key or begins with ``alias/``."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        kind = "" if self.name.startswith("alias/") else "key/"
        return f"arn:aws:kms:{self.region}:{self.account}:{kind}{self.name}"


def named(call: Call, text: str) -> Named:
    """Raises ApiError for what is no name of a key."""
    account, region, name = call.account, call.region, text
    if text.startswith("arn:"):
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[2] != "kms":
            raise errors.not_found(f"Invalid arn {text}")
        if parts[3] != call.region:
            raise errors.not_found(f"Invalid arn {parts[3]}")
        account, name = parts[4], parts[5].removeprefix("key/")
    if not name.startswith("alias/") and _ID(name) is None:
        raise errors.not_found(f"Invalid keyId '{text}'")
    return Named(account, region, name)


def target(reader: Reader, name: Named) -> str:
    """The id of the key that is meant; "" for an alias that is not there."""
    if not name.name.startswith("alias/"):
        return name.name
    found = reader.get(ALIAS, name.account, name.region, name.name)
    if found is not None:
        return found.spec.key
    return managed.ids(name.account, name.region).get(name.name, "")


def alive(reader: Reader, account: str, region: str, id: str, now: float) -> KeyR | None:
    """A key is gone from the moment that its deletion is due."""
    found = reader.get(KEY, account, region, id)
    if found is None or (found.spec.deletion is not None and found.spec.deletion <= now):
        return None
    return found


def key(call: Call, reader: Reader, text: str, *, alias: bool = True) -> KeyR:
    """Raises ApiError NotFoundException. ``alias``: whether the operation takes aliases."""
    name = named(call, text)
    if name.name.startswith("alias/") and not alias:
        raise errors.not_found(f"Invalid keyId '{text}'")
    id = target(reader, name)
    if not id:
        raise errors.no_alias(name.arn)
    found = alive(reader, name.account, name.region, id, call.now)
    if found is None:
        raise errors.no_key(Named(name.account, name.region, id).arn)
    return found


def own(call: Call, reader: Reader, text: str) -> KeyR:
    """One that may be changed: named by id or ARN, and not managed by AWS. Raises ApiError."""
    found = key(call, reader, text, alias=False)
    if found.spec.manager != CUSTOMER:
        raise errors.not_authorized(call.principal.arn, f"kms:{call.operation}", found.meta.arn)
    return found


def aliases(reader: Reader, of: KeyR) -> Sequence[AliasR]:
    return reader.find(ALIAS, "key", scoped(of.meta.account, of.meta.region, of.meta.name))


def grants(reader: Reader, of: KeyR) -> Sequence[GrantR]:
    return reader.find(GRANT, "key", scoped(of.meta.account, of.meta.region, of.meta.name))


def arn_of(call: Call, text: str) -> str:
    """The ARN that IAM decides on; of an alias that of its key. What cannot be found is left to the operation."""
    try:
        name = named(call, text)
    except Exception:
        return "*"
    return Named(name.account, name.region, target(call.store, name) or name.name).arn


def about(member: str = "KeyId") -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (arn_of(call, request[member]),) if request.get(member) else ("*",)

    return resources
