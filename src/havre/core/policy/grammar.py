"""What IAM looks at first in an identity policy: its grammar, then what the older of its two parsers would not read.

Of several faults IAM names one, and always the same: bad grammar before the version, the version before what the older
parser refuses, that before all that ``document`` checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from havre.core.policy.conditions import Condition

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
_NOT_PRINCIPAL = "AssumeRole policy must not contain NotPrincipal field."

_DATE = re.compile(
    r"(-?\d{1,9})(?:-0?([1-9]|1[0-2])(?:-0?([1-9]|[12]\d|3[01]))?)?"
    r"(?:t(?:([01]?\d|2[0-3])(?::[0-5]?\d(?::[0-5]?\d(?:\.\d{1,9})?(?:z|[+-]([01]\d|2[0-3])(?::[0-5]\d)?)?)?)?)?)?\Z",
    re.IGNORECASE,
)
_YEARS = (-292275054, 292278993)
_LAST_SECOND = 2**63 - 1


class PolicyError(ValueError):
    """What AWS says of a malformed document (the message of ``MalformedPolicyDocument``)."""


def check_syntax(document: Mapping[str, Any], statements: Sequence[Mapping[str, Any]], versions: Sequence[str]) -> None:
    """Raises PolicyError for elements of the wrong type, and for versions and operators that there never were."""
    good = isinstance(document.get("Id", ""), str) and document.get("Version", versions[0]) in versions
    if not good or not all(map(_is_statement, statements)):
        raise PolicyError(SYNTAX)


def _is_statement(raw: Mapping[str, Any]) -> bool:
    effect = raw.get("Effect")
    return (
        isinstance(effect, str)
        and effect.lower() in ("allow", "deny")
        and isinstance(raw.get("Sid", ""), str)
        and not any(name in raw and "Not" + name in raw for name in ("Action", "Resource"))
        and all(_is_strings(raw[n]) for n in ("Action", "NotAction", "Resource", "NotResource") if n in raw)
        and _is_conditions(raw.get("Condition", {}))
    )


def _is_strings(value: Any) -> bool:
    """A null within a list is passed over."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(each is None or isinstance(each, str) for each in value)
    )


def _is_conditions(raw: Any) -> bool:
    if not isinstance(raw, dict) or not all(isinstance(keys, dict) for keys in raw.values()):
        return False
    return all(_is_operator(operator) for operator, keys in raw.items() if keys) and all(
        isinstance(each, str | int | float)
        for keys in raw.values()
        for value in keys.values()
        for each in (value if isinstance(value, list) else [value])
    )


def _is_operator(operator: str) -> bool:
    try:
        Condition(operator, "", (), False)
    except ValueError:
        return False
    return True


def check_trust(version: str, statements: Sequence[Mapping[str, Any]], versions: Sequence[str]) -> None:
    """Raises PolicyError for what a trust policy lacks, each in the words that only trust policies are told.

    Who everybody but a few could be is no answer to who may take a role: no statement may say NotPrincipal.
    """
    if version not in versions:
        raise PolicyError("The policy must contain a valid version string")
    for raw in statements:
        if "Effect" not in raw:
            raise PolicyError("Missing required field Effect")
        if raw["Effect"] not in ("Allow", "Deny"):
            raise PolicyError(f"Invalid effect: {str(raw['Effect'])[:100]}")
    negated = [raw["Effect"] for raw in statements if "NotPrincipal" in raw]
    if negated:
        raise PolicyError("Allow with NotPrincipal is not allowed." if "Allow" in negated else _NOT_PRINCIPAL)
    if any("Action" not in raw and "NotAction" not in raw for raw in statements):
        raise PolicyError("Missing required field Action")


def check_legacy(statements: Sequence[Mapping[str, Any]]) -> None:
    """Raises PolicyError for effects in the wrong case and for dates that are none."""
    for raw in statements:
        if raw["Effect"] not in ("Allow", "Deny") or not all(map(_is_date, _dates(raw.get("Condition", {})))):
            raise PolicyError(LEGACY)


def _dates(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for operator, keys in conditions.items():
        if operator.rpartition(":")[2].lower().startswith("date"):
            for value in keys.values():
                yield from map(str, value if isinstance(value, list) else [value])


def _is_date(text: str) -> bool:
    """Seconds since the epoch, or a moment of ISO 8601 of which all but the year may be left out. Variables are neither."""
    if text.isdecimal():
        return int(text) <= _LAST_SECOND
    found = _DATE.match(text)
    return found is not None and _YEARS[0] <= int(found[1]) <= _YEARS[1]
