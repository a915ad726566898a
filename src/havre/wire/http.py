"""What the gateway hands in and gets back: an HTTP request and an HTTP response, without the HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

import msgspec

Body = bytes | AsyncIterator[bytes]


class HttpRequest(msgspec.Struct):
    """``path`` and ``query`` are raw, as they came (percent-encoded); header names are in lower case, repeated headers
    joined by ``", "``. ``body`` is an iterator only for operations with ``streaming_input``."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body = b""


class HttpResponse(msgspec.Struct):
    """``body`` is an iterator for streamed answers. Content-Length and Date are the server's to set."""

    status: int
    headers: list[tuple[str, str]]
    body: Body = b""


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Name and value of each parameter of a query string or form, decoded, in order; a name without ``=`` has ""."""
    pairs = []
    for item in text.split("&"):
        if not item:
            continue
        name, _, value = item.partition("=")
        pairs.append((decode_form(name), decode_form(value)))
    return pairs


def decode_form(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text) if "%" in text else text


def media_type(headers: Mapping[str, str]) -> str:
    """The Content-Type without its parameters, in lower case."""
    return headers.get("content-type", "").split(";", 1)[0].strip().lower()
