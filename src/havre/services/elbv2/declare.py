"""Declaring operations: on which ARNs IAM decides, and that no member is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.control.operation import Answer, Call, H, Operations, Request
from havre.kernel.errors import not_built

Resources = Callable[[Call, Request], Sequence[str]]


def arns(*members: str, creates: str = "") -> Resources:
    """The ARNs in these members (one or a list), and of what is created: ``creates`` is its resource part, where ``{Name}``
    stands for the request's member."""

    def resources(call: Call, request: Request) -> Sequence[str]:
        found: list[str] = []
        for member in members:
            value = request.get(member) or ()
            found += [value] if isinstance(value, str) else list(value)
        if creates:
            found.append(call.arn(creates.replace("{Name}", request.get("Name") or "*"), "elasticloadbalancing"))
        return found or ["*"]

    return resources


class ElbOperations(Operations):
    """``on(name, "Members That Have An Effect")`` refuses requests with any other member by name."""

    def on(self, name: str, members: str = "", *, resources: Resources | None = None) -> Callable[[H], H]:
        known = frozenset(members.split())

        def declare(handler: H) -> H:
            async def checked(call: Call, request: Request) -> Answer:
                for member, value in request.items():
                    if member not in known and value not in (None, (), [], "", {}):
                        raise not_built("elbv2", f"{name} with {member}")
                return await handler(call, request)

            self(name, resources=resources)(checked)
            return handler

        return declare
