"""One request on its way through the chain, and the condition keys that it brings for policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Answer, Call, HungUp, Operation, Principal, Request, Service
from havre.gateway.sigv4 import Signature

EVERYTHING = ("*",)
ANONYMOUS = Principal("Anonymous", "", "", "")


class Context:
    """Filled in as the request goes from handler to handler. ``at`` in seconds since the epoch.

    ``invoked_by`` is the host name of the AWS service that makes this call on somebody's behalf, "" for clients.
    """

    __slots__ = (
        "account", "action", "answer", "at", "call", "claimed", "declared", "error", "http", "hung_up", "invoked_by",
        "model", "name", "operation", "origin", "principal", "protocol", "region", "request", "request_id", "resources",
        "route", "secure", "service", "source", "source_ip", "trace", "user_agent",
    )  # fmt: skip

    def __init__(self, request_id: str, at: float, source_ip: str, user_agent: str) -> None:
        self.request_id = request_id
        self.at = at
        self.source_ip = source_ip
        self.user_agent = user_agent
        self.secure = False
        self.http: Any = None
        """The request as it was signed (Canonical), None inside the process."""
        self.claimed: Signature | None = None
        self.route: Any = None
        self.model: Any = None
        self.service = ""
        """botocore's name of the service."""
        self.source = ""
        """Its signing name, which is also what CloudTrail calls it."""
        self.name = ""
        """Name of the operation."""
        self.protocol = "json"
        self.principal = ANONYMOUS
        self.account = ""
        self.region = ""
        self.declared: Service | None = None
        self.operation: Operation | None = None
        self.action = ""
        """Its IAM action, unless the operation says another."""
        self.request: Request = {}
        self.resources: Sequence[str] = EVERYTHING
        self.call: Call | None = None
        self.answer: Answer = None
        self.error: Any = None
        self.invoked_by = ""
        self.hung_up: HungUp | None = None
        self.origin = ""
        """Scheme and host by which the client has found this installation, "" inside the process."""
        self.trace = ""
        """The trace header that came with it."""


def condition_keys(context: Context, extra: Mapping[str, str | Sequence[str]]) -> dict[str, Sequence[str]]:
    """The global condition keys, those that the session brings, those of the request's tags, and the service's own;
    names in lower case."""
    who = context.principal
    keys: dict[str, Sequence[str]] = {
        "aws:principalarn": (who.role or who.arn,),
        "aws:principalaccount": (who.account,),
        "aws:principaltype": (_PRINCIPAL_TYPES.get(who.kind, who.kind),),
        "aws:userid": (who.id,),
        "aws:principalisawsservice": ("true" if who.kind == "AWSService" else "false",),
        "aws:viaawsservice": ("true" if context.invoked_by else "false",),
        "aws:currenttime": (f"{context.at:.3f}",),
        "aws:epochtime": (str(int(context.at)),),
        "aws:securetransport": ("true" if context.secure else "false",),
        "aws:requestedregion": (context.region or "us-east-1",),
    }
    for name, value in (
        ("aws:sourceip", context.source_ip),
        ("aws:useragent", context.user_agent),
        ("aws:username", who.name if who.kind == "IAMUser" else ""),
        ("aws:principalservicename", who.service),
        ("aws:calledvia", context.invoked_by),
        ("kms:viaservice", _via(context)),
        ("aws:multifactorauthpresent", "false" if who.access_key.startswith("ASIA") else ""),
    ):
        if value:
            keys[name] = (value,)
    for tag, value in who.tags.items():
        keys[f"aws:principaltag/{tag.lower()}"] = (value,)
    for name, value in who.context.items():
        keys[name.lower()] = (value,)
    _request_tags(context.request, keys)
    for name, values in extra.items():
        keys[name.lower()] = (values,) if isinstance(values, str) else values
    return keys


def _via(context: Context) -> str:
    """The service by way of which somebody uses a key: ``sqs.us-east-1.amazonaws.com``."""
    if context.service != "kms" or not context.invoked_by or context.principal.kind == "AWSService":
        return ""
    return f"{context.invoked_by.partition('.')[0]}.{context.region}.amazonaws.com"


_PRINCIPAL_TYPES = {"Root": "Account", "IAMUser": "User"}


def _request_tags(request: Request, keys: dict[str, Sequence[str]]) -> None:
    """``aws:RequestTag/…`` and ``aws:TagKeys``, from whatever shape the service gives its tags."""
    pairs: list[tuple[str, str]] = []
    for tags in (request.get("tags"), request.get("Tags")):
        if isinstance(tags, Mapping):
            pairs += [(str(k), str(v)) for k, v in tags.items()]
        elif isinstance(tags, list | tuple):
            pairs += [
                (str(t.get("key", t.get("Key", ""))), str(t.get("value", t.get("Value", ""))))
                for t in tags
                if isinstance(t, Mapping)
            ]
    names = [k for k, _ in pairs] + [str(k) for k in request.get("tagKeys", request.get("TagKeys", ()))]
    for key, value in pairs:
        keys[f"aws:requesttag/{key.lower()}"] = (value,)
    if names:
        keys["aws:tagkeys"] = tuple(names)
