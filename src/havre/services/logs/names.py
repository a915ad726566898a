"""Names, ARNs, and what IAM decides on: ``log-group:NAME:log-stream:``, with the name of the stream at the end for one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from havre.control.operation import Call, Request
from havre.kernel.errors import ApiError
from havre.services.logs.errors import invalid
from havre.services.logs.resources import GROUP

NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_ARN = re.compile(r"arn:aws:logs:([^:]*):([^:]*):log-group:([^:*]+)(:\*)?")


def group_arn(call: Call, name: str) -> str:
    """Without ``:*`` at the end."""
    return call.arn(f"log-group:{name}")


def identified(call: Call, identifier: str) -> str:
    """The name out of a log group's name or ARN. Raises ApiError for what is neither, and for another account's."""
    if NAME.fullmatch(identifier):
        return identifier
    found = _ARN.fullmatch(identifier)
    if found is None or not NAME.fullmatch(found[3]):
        raise invalid(f"1 validation error detected: '{identifier[:300]}' is not a log group's name or ARN")
    if found[4]:
        raise invalid("The log group's ARN must not end with ':*'.")
    if (found[1], found[2]) != (call.region, call.account):
        raise invalid("The log group's ARN is of another account or Region, and there are no linked accounts.")
    return found[3]


def group_name(call: Call, request: Request) -> str:
    """The group of a request that takes ``logGroupName`` or ``logGroupIdentifier``."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if name is not None and identifier is not None:
        raise ApiError("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
    if name is None and identifier is None:
        raise invalid("At least one of logGroupName or logGroupIdentifier must be specified.")
    return name if name is not None else identified(call, identifier or "")


def _asked(request: Request) -> str:
    """The name that a request brings, as far as it can be told before anything is checked."""
    given: str = request.get("logGroupName") or request.get("logGroupIdentifier") or ""
    found = _ARN.fullmatch(given)
    return found[3] if found is not None else given


def of_group(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"log-group:{_asked(request)}:log-stream:"),)


def of_prefix(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"log-group:{request.get('logGroupNamePrefix', '')}:log-stream:"),)


def of_stream(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"log-group:{_asked(request)}:log-stream:{request.get('logStreamName', '')}"),)


def of_groups(call: Call, request: Request) -> Sequence[str]:
    names = [_asked({"logGroupName": given}) for given in request.get("logGroupIdentifiers", ())]
    return tuple(call.arn(f"log-group:{name}:log-stream:") for name in names)


def tagged_name(arn: str) -> str | None:
    """The log group that an ARN of the tagging operations names; None for any other ARN."""
    found = _ARN.fullmatch(arn)
    return found[3] if found is not None else None


def conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    """The tags of the group that the request is about."""
    name = tagged_name(request.get("resourceArn", "")) or _asked(request)
    found = call.store.get(GROUP, call.account, call.region, name)
    return {f"aws:ResourceTag/{key}": value for key, value in (found.spec.tags if found is not None else {}).items()}
