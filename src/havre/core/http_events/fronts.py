"""What AWS's own fronts add to a request before a function gets it."""

from __future__ import annotations

from msgspec.structs import replace

from havre.core.http_events.events import Asked

_PORTS = {"http": "80", "https": "443"}


def fronted(asked: Asked, trace: str) -> Asked:
    """With the headers that tell who asked, and how; a list of proxies that came along gets the last one's client behind it,
    and what a proxy in front says of its scheme and port stays. ``trace``: the header of the trace that it belongs to."""
    given = dict(asked.headers)
    clients = ", ".join(filter(None, (asked.header("x-forwarded-for"), asked.source_ip)))
    added = (
        ("content-length", str(len(asked.body))),
        ("x-amzn-trace-id", trace),
        ("x-forwarded-proto", asked.scheme),
        ("x-forwarded-port", asked.host.rpartition(":")[2] if ":" in asked.host else _PORTS[asked.scheme]),
    )
    kept = (each for each in asked.headers if each[0] != "x-forwarded-for")
    missing = (each for each in added if each[0] not in given)
    return replace(asked, headers=(*kept, *missing, ("x-forwarded-for", clients)))
