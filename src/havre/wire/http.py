"""What the gateway hands in and gets back: an HTTP request and an HTTP response, without the HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

import msgspec

from havre.kernel.errors import ApiError

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


_LARGEST = 32 * 1024 * 1024
"""What a compressed body may unfold to."""


def whole(request: HttpRequest) -> bytes:
    """The body of a request that does not stream, uncompressed. Raises ApiError for one that cannot be uncompressed."""
    body = request.body
    if not isinstance(body, bytes):
        raise TypeError("the body has to be read before it is parsed: the operation does not stream")
    encoding = request.headers.get("content-encoding", "")
    if body and encoding and encoding.rpartition(",")[2].strip().lower() == "gzip":
        return _unfold(body)
    return body


def _unfold(body: bytes) -> bytes:
    import zlib

    unfold = zlib.decompressobj(wbits=31)
    try:
        data = unfold.decompress(body, _LARGEST)
    except zlib.error:
        raise ApiError("SerializationException", "The body is not what Content-Encoding says it is") from None
    if not unfold.eof:
        told = "is cut short" if not unfold.unconsumed_tail else "is too large"
        raise ApiError("SerializationException", f"The uncompressed body {told}")
    return data


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
