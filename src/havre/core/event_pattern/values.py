"""What stands in the array of a field: literals, and match expressions such as ``{"prefix": "a"}``.

A comparison with text is true of text only; its opposite, in ``anything-but``, is true of everything else.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.core.event_pattern.model import PatternError, Test, is_number
from havre.core.event_pattern.wildcards import wildcard

LARGEST = 5.0e9
_ONE_KEY = "Only one key allowed in match expression"
_LONG = "Too many elements in numeric expression"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def literal(wanted: Any) -> Test:
    """Numbers are equal by value (300 is 300.0), never equal to a boolean."""
    if is_number(wanted):
        return lambda value: is_number(value) and value == wanted
    if isinstance(wanted, bool) or wanted is None:
        return lambda value: value is wanted
    if isinstance(wanted, str):
        return lambda value: value.__class__ is str and value == wanted
    raise PatternError("Match value must be String, number, true, false, or null")


def expression(found: Mapping[str, Any]) -> Test:
    """Of ``{"prefix": …}`` and its like; ``exists`` is the tree's. Raises PatternError."""
    name, operand = only(found, "Match expression name not found")
    make = _EXPRESSIONS.get(name)
    if make is None:
        raise PatternError(f"Unrecognized match type {name}")
    return make(operand)


def only(found: Mapping[str, Any], missing: str) -> tuple[str, Any]:
    """The one member of an expression."""
    if not found:
        raise PatternError(missing)
    if len(found) > 1:
        name = next(iter(found))
        raise PatternError(_LONG if name in ("numeric", "anything-but") else _ONE_KEY)
    return next(iter(found.items()))


def _text(operand: Any, what: str) -> str:
    if not isinstance(operand, str):
        raise PatternError(f"{what} match pattern must be a string")
    return operand


def _exactly(operand: Any) -> Test:
    return literal(_text(operand, "exact"))


def _prefix(operand: Any) -> Test:
    if isinstance(operand, Mapping):
        start = _ignoring_case(operand, "prefix")
        return lambda value: isinstance(value, str) and value.lower().startswith(start)
    start = _text(operand, "prefix")
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: Any) -> Test:
    if isinstance(operand, Mapping):
        end = _ignoring_case(operand, "suffix")
        return lambda value: isinstance(value, str) and value.lower().endswith(end)
    end = _text(operand, "suffix")
    return lambda value: isinstance(value, str) and value.endswith(end)


def _ignoring_case(operand: Mapping[str, Any], what: str) -> str:
    """The text, in lower case, of ``{"prefix": {"equals-ignore-case": "…"}}``."""
    name, text = only(operand, f"{what.capitalize()} expression name not found")
    if name != "equals-ignore-case":
        raise PatternError(f"Unsupported {what} pattern: {name}")
    return _text(text, name).lower()


def _equals_ignore_case(operand: Any) -> Test:
    wanted = _text(operand, "equals-ignore-case").lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _wildcard(operand: Any) -> Test:
    return wildcard(_text(operand, "wildcard"))


# ------------------------------------------------------------------ numeric


def _numeric(operand: Any) -> Test:
    if not isinstance(operand, Sequence) or isinstance(operand, str):
        raise PatternError("Value of numeric must be an array.")
    if not operand or not isinstance(operand[0], str):
        raise PatternError(f"Invalid member in numeric match: {_shown(operand[0] if operand else ']')}")
    first = operand[0]
    if first not in _COMPARE:
        raise PatternError(f"Unrecognized numeric range operator: {first}")
    bounds = [(_COMPARE[first], _bound(first, operand[1:2]))]
    rest = operand[2:]
    if rest:
        if first not in (">", ">="):
            raise PatternError(_LONG)
        bounds.append(_upper(rest, bounds[0][1]))
    return lambda value: is_number(value) and all(compare(value, limit) for compare, limit in bounds)


def _upper(rest: Sequence[Any], bottom: float) -> tuple[Callable[[Any, Any], bool], float]:
    sign = rest[0]
    if not isinstance(sign, str):
        raise PatternError(f"Bad value in numeric range: {_shown(sign)}")
    if sign not in ("<", "<="):
        raise PatternError(f"Bad numeric range operator: {sign}")
    top = _bound(sign, rest[1:2])
    if len(rest) > 2:
        raise PatternError("Too many terms in numeric range expression")
    if bottom >= top:
        raise PatternError("Bottom must be less than top")
    return _COMPARE[sign], top


def _bound(sign: str, given: Sequence[Any]) -> float:
    if not given or not is_number(given[0]):
        raise PatternError(f"Value of {'equals' if sign == '=' else sign} must be numeric")
    value: float = given[0]
    if not -LARGEST <= value <= LARGEST:
        raise PatternError(f"Value must be between -{LARGEST:.1E} and {LARGEST:.1E}, inclusive".replace("E+0", "E"))
    return value


def _shown(value: Any) -> str:
    return {True: "true", False: "false", None: "null"}.get(value, str(value)) if not is_number(value) else str(value)


# ------------------------------------------------------------------ cidr


def _cidr(operand: Any) -> Test:
    text = _text(operand, "prefix")
    if text.count("/") != 1:
        raise PatternError("Malformed CIDR, one '/' required")
    address, bits = text.split("/")
    if not (bits.isascii() and bits.isdigit()):
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise PatternError(f"Nonstandard IP address: {address}") from None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PatternError("Malformed CIDR, bad mask bits") from None
    version, mask, wanted = network.version, int(network.netmask), int(network.network_address)

    def inside(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        return address.version == version and int(address) & mask == wanted

    return inside


# ------------------------------------------------------------------ anything-but

_BUT: dict[str, tuple[Callable[[Any], Test], str]] = {
    "prefix": (_prefix, "prefix/suffix match pattern must be a string"),
    "suffix": (_suffix, "prefix/suffix match pattern must be a string"),
    "wildcard": (_wildcard, "wildcard match pattern must be a string"),
    "equals-ignore-case": (
        _equals_ignore_case,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    ),
}


def _anything_but(operand: Any) -> Test:
    if isinstance(operand, Mapping):
        excluded = _excluded(operand)
    else:
        _kept_apart(operand)
        excluded = [literal(each) for each in _listed(operand)]
    return lambda value: not any(test(value) for test in excluded)


def _excluded(operand: Mapping[str, Any]) -> list[Test]:
    name, inner = only(operand, "Anything-But expression name not found")
    if name not in _BUT:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    make, wrong = _BUT[name]
    texts = _listed(inner)
    for each in texts:
        if not isinstance(each, str):
            raise PatternError(wrong)
        if not each and name in ("prefix", "suffix"):
            raise PatternError("Null prefix/suffix not allowed")
    return [make(each) for each in texts]


def _listed(operand: Any) -> Sequence[Any]:
    if isinstance(operand, str) or is_number(operand):
        return [operand]
    if isinstance(operand, Sequence):
        return operand
    raise PatternError("Value of anything-but must be an array or single string/number value.")


def _kept_apart(operand: Any) -> None:
    """A list is of texts or of numbers."""
    values = _listed(operand)
    numbers = [is_number(each) for each in values]
    if not all(number or isinstance(each, str) for number, each in zip(numbers, values, strict=True)):
        raise PatternError("Inside anything but list, start|null|boolean is not supported.")
    if not values or any(numbers) != all(numbers):
        raise PatternError(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )


_EXPRESSIONS: dict[str, Callable[[Any], Test]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
NAMES = frozenset({*_EXPRESSIONS, "exists"})
