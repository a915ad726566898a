"""Declaring operations: on which ARNs IAM decides, and that no member is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.control.operation import Answer, Call, ConditionContext, H, Operations, Request, Resources
from havre.services.lambda_ import networks
from havre.services.lambda_.conditions import about
from havre.services.lambda_.errors import absent
from havre.services.lambda_.queries import arns


def function_arns(call: Call, request: Request) -> Sequence[str]:
    """The function of ``FunctionName``, with the qualifier if the request has one."""
    return arns(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))


def _has_subnets(request: Request) -> bool:
    return bool((request.get("VpcConfig") or {}).get("SubnetIds"))


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
        in_vpc: bool = False,
    ) -> Callable[[H], H]:
        """``in_vpc``: requests may have a VpcConfig. With subnets, they are decided on when EC2 has told their VPC."""
        known = frozenset(members.split())

        def declare(handler: H) -> H:
            async def checked(call: Call, request: Request) -> Answer:
                if in_vpc and _has_subnets(request):
                    assert resources is not None and conditions is not None
                    keys = conditions(call, request)
                    await networks.authorize(call, f"lambda:{name}", resources(call, request), request, keys)
                for member, value in request.items():
                    if member not in known and value not in (None, (), [], "", {}, False):
                        raise absent(f"{name} with {member}")
                return await handler(call, request)

            decided = action if not in_vpc else lambda call, request: "" if _has_subnets(request) else f"lambda:{name}"
            self(name, resources=resources, conditions=conditions, about=about, action=decided)(checked)
            return handler

        return declare
