"""What can be said truly of what Havre does not have: partners, connections, API destinations, global endpoints. Making
any is not declared, so it is refused by name."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Handler, Operations, Request

ops = Operations()
NONE = {
    "ListApiDestinations": "ApiDestinations",
    "ListConnections": "Connections",
    "ListEndpoints": "Endpoints",
    "ListEventSources": "EventSources",
}
"""Lists of what nobody can have made: operation → the member that is empty."""


def _empty(member: str) -> Handler:
    async def answer(call: Call, request: Request) -> Answer:
        return {member: []}

    return answer


for _name, _member in NONE.items():
    ops(_name)(_empty(_member))
