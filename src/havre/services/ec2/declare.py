"""How EC2's operations are declared: with the members that they act on, so that no other is ignored in silence.

DryRun is not among them: the gateway answers it, once policies have allowed the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Handler, Operations, Request, Resources
from havre.kernel.errors import not_built
from havre.services.ec2 import find
from havre.services.ec2 import resources as r
from havre.services.ec2.defaults import ensure_region
from havre.services.ec2.errors import NOUNS

_ARN_OF = {noun.prefix: noun.arn for noun in NOUNS}


class Ec2Operations(Operations):
    """As Operations; ``accepts`` are the request's members that the handler acts on, separated by blanks. A member
    besides, with a value that would ask for something, is refused by name. The account's default VPC is there when
    the handler runs."""

    def on(
        self, name: str, accepts: str, *, resources: Resources | None = None, region: bool = True
    ) -> Callable[[Handler], Handler]:
        members = frozenset(accepts.split())

        def declare(handler: Handler) -> Handler:
            async def handled(call: Call, request: Request) -> Answer:
                refuse_others(name, request, members)
                if region:
                    await ensure_region(call)
                return await handler(call, request)

            self(name, resources=resources, about=about)(handled)
            return handler

        return declare


def about(call: Call, arn: str) -> dict[str, str]:
    """Condition keys of one resource: its tags and its VPC."""
    id = arn.rpartition("/")[2]
    kind = find.KIND_OF_PREFIX.get(id[: id.find("-") + 1])
    found = call.store.get(kind, call.account, call.region, id) if kind else None
    if found is None:
        return {}
    keys = {f"{of}:ResourceTag/{key}": value for key, value in found.spec.tags.items() for of in ("aws", "ec2")}
    vpc = id if kind is r.VPC else getattr(found.spec, "vpc", "")
    return {**keys, "ec2:Vpc": call.arn(f"vpc/{vpc}")} if vpc else keys


def refuse_others(name: str, request: Request, members: frozenset[str]) -> None:
    for member, value in request.items():
        if member not in members and member != "DryRun" and asks(value):
            raise not_built("ec2", f"the parameter {member} of {name}")


def asks(value: Any) -> bool:
    """False for values that say "not this": false, zero, nothing."""
    if isinstance(value, dict):
        return any(asks(each) for each in value.values())
    return bool(value)


def arns(*members: str, creates: Sequence[str] = ()) -> Resources:
    """The ARNs of the ids in these members of the request (lists too), and ``vpc/*`` for each kind that it creates."""

    def resources(call: Call, request: Request) -> Sequence[str]:
        found = [call.arn(f"{kind}/*") for kind in creates]
        for member in members:
            value = request.get(member)
            ids = value if isinstance(value, list | tuple) else (value,)
            found += [call.arn(f"{_kind(id)}/{id}") for id in ids if isinstance(id, str)]
        return found or ["*"]

    return resources


def _kind(id: str) -> str:
    return _ARN_OF.get(id[: id.find("-") + 1], "*")
