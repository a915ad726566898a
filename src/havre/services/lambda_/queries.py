"""Typed reads of the store: from a name in any form to the records behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from havre.kernel.arn import arn
from havre.kernel.resource import scoped
from havre.services.lambda_.errors import invalid, no_function, not_found
from havre.services.lambda_.names import FunctionName, one_qualifier, parse_function
from havre.services.lambda_.resources import (
    ALIAS,
    FUNCTION,
    LATEST,
    PUBLISHED,
    VERSION,
    AliasR,
    FunctionR,
    VersionR,
    qualified,
)
from havre.store.ports import Reader


class Resolved(msgspec.Struct, frozen=True):
    """What a name and a qualifier lead to. ``arn`` is the one that was named: with the qualifier if there was one
    (``Context.invoked_function_arn``, and what policies decide on). ``qualifier`` is "" where none was given.

    ``shares``: (version, share of the invocations), the shares together 1; one pair unless an alias routes to two.
    ``version`` is the first of them.
    """

    function: FunctionR
    arn: str
    qualifier: str
    shares: tuple[tuple[str, float], ...]
    alias: AliasR | None = None

    @property
    def version(self) -> str:
        return self.shares[0][0]

    def draw(self, chance: float) -> str:
        """The version that serves one invocation. ``chance``: 0 ≤ chance < 1, drawn evenly."""
        for version, share in self.shares[1:]:
            if chance < share:
                return version
            chance -= share
        return self.version


def function_arn(account: str, region: str, name: str, qualifier: str = "") -> str:
    return arn("lambda", region, account, f"function:{qualified(name, qualifier) if qualifier else name}")


def named(account: str, region: str, name: str, qualifier: str = "") -> FunctionName:
    """The whole name: account and region filled in, the one qualifier. Raises ApiError for other regions, for names that
    are none and for two qualifiers."""
    said = parse_function(name)
    if said.region and said.region != region:
        raise not_found(f"Functions from '{said.region}' are not reachable in this region ('{region}')")
    return FunctionName(said.name, one_qualifier(said.qualifier, qualifier), said.account or account, region)


@lru_cache(4096)
def arns(account: str, region: str, name: str, qualifier: str = "") -> tuple[str]:
    """The ARN that IAM decides on: qualified if the request is."""
    said = named(account, region, name, qualifier)
    return (function_arn(said.account, region, said.name, said.qualifier),)


def function(reader: Reader, account: str, region: str, name: str) -> FunctionR:
    """By its name in any form; a qualifier is not looked at. Raises ApiError ResourceNotFoundException."""
    said = named(account, region, name)
    return _function(reader, said)


def whole(reader: Reader, account: str, region: str, name: str, *, missing: str = "") -> FunctionR:
    """The function by its name in any form, which may not have a qualifier. ``missing``: the qualifier under which one that
    is not there is told. Raises ApiError."""
    said = named(account, region, name)
    if said.qualifier:
        raise invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return _function(reader, said._replace(qualifier=missing))


def _function(reader: Reader, said: FunctionName) -> FunctionR:
    found = reader.get(FUNCTION, said.account, said.region, said.name)
    if found is None or found.meta.deleting is not None:
        raise no_function(function_arn(said.account, said.region, said.name, said.qualifier))
    return found


def resolve(reader: Reader, account: str, region: str, name: str, qualifier: str = "") -> Resolved:
    """Raises ApiError: ResourceNotFoundException for a function, version or alias that is not there,
    InvalidParameterValueException for two qualifiers that differ."""
    said = named(account, region, name, qualifier)
    found = _function(reader, said)
    whole = function_arn(said.account, region, said.name, said.qualifier)
    wanted = said.qualifier or LATEST
    if wanted == LATEST:
        return Resolved(found, whole, said.qualifier, ((LATEST, 1.0),))
    if is_version(wanted):
        if reader.get(VERSION, said.account, region, qualified(said.name, wanted)) is None:
            raise no_function(whole)
        return Resolved(found, whole, wanted, ((wanted, 1.0),))
    alias = reader.get(ALIAS, said.account, region, qualified(said.name, wanted))
    if alias is None:
        raise no_function(whole)
    return Resolved(found, whole, wanted, shares(alias.spec.version, alias.spec.weights), alias)


def has_published(reader: Reader, function: FunctionR) -> bool:
    """Whether there is ``$LATEST.PUBLISHED``."""
    m = function.meta
    return reader.get(VERSION, m.account, m.region, qualified(m.name, PUBLISHED)) is not None


def published(reader: Reader, found: Resolved) -> Resolved:
    """What is invoked: of a function on a capacity provider that was named without qualifier ``$LATEST.PUBLISHED``."""
    function = found.function
    if function.spec.config.managed is None or found.qualifier or not has_published(reader, function):
        return found
    m = function.meta
    return Resolved(function, function_arn(m.account, m.region, m.name, PUBLISHED), PUBLISHED, ((PUBLISHED, 1.0),))


def is_version(qualifier: str) -> bool:
    """Whether it names a published version."""
    return qualifier.isdecimal() or qualifier == PUBLISHED


def shares(version: str, weights: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Of an alias: what no weight takes is the version's own."""
    others = tuple(weights.items())
    return ((version, 1.0 - sum(w for _, w in others)), *others)


def record(reader: Reader, function: FunctionR, version: str) -> FunctionR | VersionR:
    """The record of one version of a function, ``$LATEST`` or a published one: both have ``spec.config`` and ``status``.
    Raises ApiError ResourceNotFoundException."""
    if version == LATEST:
        return function
    m = function.meta
    found = reader.get(VERSION, m.account, m.region, qualified(m.name, version))
    if found is None:
        raise no_function(function_arn(m.account, m.region, m.name, version))
    return found


def alias(reader: Reader, function: FunctionR, name: str) -> AliasR:
    """Raises ApiError ResourceNotFoundException."""
    m = function.meta
    found = reader.get(ALIAS, m.account, m.region, qualified(m.name, name))
    if found is None:
        raise not_found(f"Cannot find alias arn: {function_arn(m.account, m.region, m.name, name)}")
    return found


def versions(reader: Reader, function: FunctionR) -> Sequence[VersionR]:
    """Published ones, ``$LATEST.PUBLISHED`` first, the others in the order of their numbers."""
    m = function.meta
    return sorted(
        reader.find(VERSION, "function", scoped(m.account, m.region, m.name)),
        key=lambda v: 0 if v.spec.number == PUBLISHED else int(v.spec.number),
    )


def aliases(reader: Reader, function: FunctionR) -> Sequence[AliasR]:
    """In the order of their names."""
    m = function.meta
    return reader.find(ALIAS, "function", scoped(m.account, m.region, m.name))
