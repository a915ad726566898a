"""Declaring operations: on which ARNs IAM decides, and that no member is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.control.operation import Answer, Call, ConditionContext, H, Operations, Request, Resources
from havre.services.lambda_.conditions import about
from havre.services.lambda_.errors import absent
from havre.services.lambda_.queries import arns


def function_arns(call: Call, request: Request) -> Sequence[str]:
    """The function of ``FunctionName``, with the qualifier if the request has one."""
    return arns(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))


class LambdaOperations(Operations):
    """``on(name, "Members That Have An Effect")`` refuses requests with any other member by name."""

    def on(
        self,
        name: str,
        members: str = "",
        *,
        resources: Resources | None = function_arns,
        conditions: ConditionContext | None = None,
        action: str | None = None,
    ) -> Callable[[H], H]:
        known = frozenset(members.split())

        def declare(handler: H) -> H:
            async def checked(call: Call, request: Request) -> Answer:
                for member, value in request.items():
                    if member not in known and value not in (None, (), [], "", {}, False):
                        raise absent(f"{name} with {member}")
                return await handler(call, request)

            self(name, resources=resources, conditions=conditions, about=about, action=action)(checked)
            return handler

        return declare
