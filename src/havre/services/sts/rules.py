"""What sessions may be: durations, policies, tags. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.operation import Principal
from havre.core.policy import PolicyError, parse
from havre.kernel.errors import ApiError

SHORTEST, CHAINED, LONGEST_USER = 900, 3600, 129_600
MOST_ARNS, MOST_TAGS, MOST_PACKED = 10, 50, 2048


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)


def role_duration(wanted: int, most: int, chained: bool) -> int:
    """In seconds. Raises ValidationError."""
    if wanted < SHORTEST:
        raise _invalid(
            f"1 validation error detected: Value '{wanted}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value greater than or equal to {SHORTEST}"
        )
    if chained and wanted > CHAINED:
        raise _invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if wanted > most:
        raise _invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return wanted


def user_duration(wanted: int, root: bool) -> int:
    """In seconds; a root user's sessions are cut to an hour, as on AWS."""
    if not SHORTEST <= wanted <= LONGEST_USER:
        raise _invalid(f"DurationSeconds must be between {SHORTEST} and {LONGEST_USER}")
    return min(wanted, CHAINED) if root else wanted


def session_policies(request: Mapping[str, Any], known: Callable[[str], bool]) -> tuple[tuple[str, ...], int]:
    """The documents and ARNs that bound the session, and how full they make it (in percent).

    Raises MalformedPolicyDocument, PackedPolicyTooLarge, ValidationError.
    """
    sources = []
    if "Policy" in request:
        try:
            parse(request["Policy"])
        except PolicyError as error:
            raise ApiError("MalformedPolicyDocument", str(error)) from None
        sources.append(request["Policy"])
    arns = [p["arn"] for p in request.get("PolicyArns", ()) if "arn" in p]
    if len(arns) > MOST_ARNS:
        raise ApiError("LimitExceeded", f"Cannot exceed quota for SessionPolicyArns: {MOST_ARNS}")
    for arn in arns:
        if not known(arn):
            raise _invalid(f"Policy {arn} does not exist or is not attachable.")
    sources += arns
    size = sum(len(s) for s in sources) + sum(len(t["Key"]) + len(t["Value"]) for t in request.get("Tags", ()))
    if size == 0:
        return (), 0
    packed = -(-100 * size // (2 * MOST_PACKED))
    if packed > 100:
        raise ApiError("PackedPolicyTooLarge", f"Packed policy consumes {packed}% of allotted space.")
    return tuple(sources), packed


def session_tags(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Raises ValidationError, InvalidParameterValue."""
    if len(given) > MOST_TAGS:
        raise _invalid(f"A session can have at most {MOST_TAGS} tags")
    names = [t["Key"].lower() for t in given]
    if len(set(names)) != len(names):
        raise ApiError(
            "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if any(n.startswith("aws:") for n in names):
        raise ApiError("InvalidParameterValue", "Tag keys cannot begin with aws:")
    return {t["Key"]: t["Value"] for t in given}


def inherited(principal: Principal) -> dict[str, str]:
    """The transitive tags of the session that calls."""
    keys = principal.context.get("sts:TransitiveTagKeys", "").split(",")
    return {k: principal.tags[k] for k in keys if k in principal.tags}


def check_transitive(tags: Mapping[str, str], passed_on: Mapping[str, str], transitive: Sequence[str]) -> None:
    """Raises InvalidParameterValue."""
    held = {k.lower() for k in passed_on}
    for key in tags:
        if key.lower() in held:
            raise ApiError(
                "InvalidParameterValue",
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
                "the calling session.",
            )
    if not {k.lower() for k in transitive} <= {t.lower() for t in tags}:
        raise ApiError(
            "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."
        )


_ROLE = re.compile(r"arn:aws:iam::\d{12}:role/([!-~]+/)?[\w+=,.@-]{1,64}\Z")


def check_arn(arn: str) -> None:
    """Raises ValidationError for what is no ARN; whether there is such a role is for the caller to see."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
        raise _invalid(f"{arn} is invalid")


def is_role(arn: str) -> bool:
    return _ROLE.match(arn) is not None
