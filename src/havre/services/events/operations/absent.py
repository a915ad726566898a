"""What can be said truly of what Havre does not have: partners, connections, API destinations, global endpoints. Making
any is not declared, so it is refused by name."""

from __future__ import annotations

from havre.control.operation import Operations

ops = Operations()
ops.nothing(
    {
        "ListApiDestinations": "ApiDestinations",
        "ListConnections": "Connections",
        "ListEndpoints": "Endpoints",
        "ListEventSources": "EventSources",
    }
)
