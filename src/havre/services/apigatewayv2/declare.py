"""Declaring operations: IAM decides on methods and paths (apigateway:POST on /apis/…); no member is ignored in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from havre.control.operation import Answer, Call, H, Operations, Request
from havre.services.apigatewayv2.errors import absent

_VERBS = {"Create": "POST", "Get": "GET", "Update": "PATCH", "Delete": "DELETE"}


class ApiOperations(Operations):
    """``on(name, "/apis/{ApiId}", "Members That Have An Effect")``: ``{Member}`` in the path stands for the request's."""

    def on(self, name: str, path: str, members: str = "", verb: str = "") -> Callable[[H], H]:
        known = frozenset(members.split()) | {part[1:-1] for part in path.split("/") if part.startswith("{")}
        verb = verb or next(v for begin, v in _VERBS.items() if name.startswith(begin))

        def resources(call: Call, request: Request) -> Sequence[str]:
            filled = "/".join(str(request[p[1:-1]]) if p.startswith("{") else p for p in path.split("/"))
            return (f"arn:aws:apigateway:{call.region}::{filled}",)

        def declare(handler: H) -> H:
            async def checked(call: Call, request: Request) -> Answer:
                for member, value in request.items():
                    if member not in known and value not in (None, (), [], {}, False):
                        raise absent(f"{name} with {member}")
                return await handler(call, request)

            self(name, action=f"apigateway:{verb}", resources=resources)(checked)
            return handler

        return declare
