"""Condition operators: what IAM's reference lists, with ``…IfExists``, ``ForAllValues:`` and ``ForAnyValue:``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from havre.core.policy.patterns import Template, arn_like, glob, literal

Context = Mapping[str, Sequence[str]]
Compare = Callable[[str, str], bool]
"""(the policy's value, the request's value); neither negated."""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def moment(text: str) -> float | None:
    """ISO 8601 or seconds since the epoch, as a number of seconds; None for anything else."""
    number = _number(text)
    if number is not None:
        return number
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _ordered(read: Callable[[str], float | None], test: Callable[[float, float], bool]) -> Compare:
    def compare(wanted: str, given: str) -> bool:
        a, b = read(wanted), read(given)
        return a is not None and b is not None and test(b, a)

    return compare


def _binary(wanted: str, given: str) -> bool:
    try:
        return base64.b64decode(wanted, validate=True) == base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False


@lru_cache(maxsize=256)
def _network(text: str) -> Any:
    import ipaddress

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(wanted: str, given: str) -> bool:
    import ipaddress

    network = _network(wanted)
    try:
        return network is not None and ipaddress.ip_address(given) in network
    except ValueError:
        return False


def _equals(wanted: str, given: str) -> bool:
    return literal(wanted) == given


def _equals_ignoring_case(wanted: str, given: str) -> bool:
    return literal(wanted).lower() == given.lower()


def _like(wanted: str, given: str) -> bool:
    return glob(wanted)(given)


def _bool(wanted: str, given: str) -> bool:
    return wanted.lower() == given.lower()


_EQ, _LT = (lambda b, a: b == a), (lambda b, a: b < a)
_LE, _GT, _GE = (lambda b, a: b <= a), (lambda b, a: b > a), (lambda b, a: b >= a)

_POSITIVE: dict[str, Compare] = {
    "stringequals": _equals,
    "stringequalsignorecase": _equals_ignoring_case,
    "stringlike": _like,
    "bool": _bool,
    "binaryequals": _binary,
    "ipaddress": _address,
    "arnequals": arn_like,
    "arnlike": arn_like,
}
for _name, _test in (
    ("equals", _EQ),
    ("lessthan", _LT),
    ("lessthanequals", _LE),
    ("greaterthan", _GT),
    ("greaterthanequals", _GE),
):
    _POSITIVE["numeric" + _name] = _ordered(_number, _test)
    _POSITIVE["date" + _name] = _ordered(moment, _test)

_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


class Condition:
    """One operator on one key with its values."""

    __slots__ = ("_compare", "_if_exists", "_key", "_negated", "_null", "_quantifier", "_values", "variables")

    def __init__(self, operator: str, key: str, values: Sequence[str], variables: bool) -> None:
        """Raises ValueError for an operator that IAM does not know."""
        self._quantifier, base = _split_operator(operator)
        self._if_exists = base.endswith("ifexists")
        base = base.removesuffix("ifexists")
        self._null = base == "null"
        if self._null and self._if_exists:
            raise ValueError(operator)
        self._negated = base in _NEGATED
        base = _NEGATED.get(base, base)
        if base not in _POSITIVE and not self._null:
            raise ValueError(operator)
        self._compare = _POSITIVE.get(base, _equals)
        self._key = key.lower()
        self._values = tuple(Template(v, variables) for v in values)
        self.variables = any(v.fixed is None for v in self._values)

    def holds(self, context: Context) -> bool:
        given = context.get(self._key)
        if self._null:
            absent = not given
            return any((v.fixed or "").lower() == ("true" if absent else "false") for v in self._values)
        if not given:
            if self._if_exists or self._quantifier == "all":
                return True
            return self._negated and self._quantifier != "any"
        wanted = [w for w in (v.expand(context) for v in self._values) if w is not None]
        one = self._one
        if self._quantifier == "all" or (self._negated and self._quantifier == ""):
            return all(one(wanted, g) for g in given)
        return any(one(wanted, g) for g in given)

    def _one(self, wanted: Sequence[str], given: str) -> bool:
        matched = any(self._compare(w, given) for w in wanted)
        return matched is not self._negated


def _split_operator(operator: str) -> tuple[str, str]:
    prefix, colon, base = operator.lower().rpartition(":")
    if not colon:
        return "", base
    if prefix == "forallvalues":
        return "all", base
    if prefix == "foranyvalue":
        return "any", base
    raise ValueError(operator)
