"""Pages in a browser: which of them may ask for something here. Programs say nothing of pages."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from havre.gateway.sigv4 import Denied

_HERE = ("localhost", "127.0.0.1", "::1")
_SITE = "sec-fetch-site"


def from_here(origin: str) -> bool:
    """Whether a browser that says so (``Origin``) has the page from this machine; whoever says nothing is no page."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return not origin or host in _HERE or host.endswith(".localhost")


def refuse_others(headers: Mapping[str, str]) -> None:
    """Where any credentials do, any page that somebody looks at could send requests: a browser lets it, and only keeps the
    answers from it. Raises Denied for those of pages from elsewhere. With an image, ``Sec-Fetch-Site`` alone tells of them.
    """
    origin = headers.get("origin", "")
    if not from_here(origin) or (not origin and headers.get(_SITE) in ("cross-site", "same-site")):
        raise Denied("denied", "With --auth open, pages of other sites than this machine's may not send requests")
