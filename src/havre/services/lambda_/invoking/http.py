"""What Lambda's own front adds to a request."""

from __future__ import annotations

from havre.core.http_events import Asked


def sent_headers(asked: Asked, trace: str) -> tuple[tuple[str, str], ...]:
    """What Lambda's own front adds to a request's headers."""
    port = asked.host.rpartition(":")[2] if ":" in asked.host else "80"
    given = {name for name, _ in asked.headers}
    added = (
        ("x-amzn-trace-id", trace),
        ("x-forwarded-for", asked.source_ip),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", port),
    )
    return tuple(each for each in added if each[0] not in given)
