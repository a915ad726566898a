"""What functions answer, as HTTP."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

_JSON = "application/json"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


class BadAnswer(Exception):
    """Not an answer that can be sent on: 500 of HTTP APIs, 502 of function URLs and load balancers."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """Names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_of(payload: bytes, *, loose: bool = True, of_url: bool = False) -> HttpAnswer:
    """A proxy integration's answer. ``loose`` (format 2.0): anything without ``statusCode`` is the body of a 200;
    ``of_url``, a function URL's: without blanks, and never without a type, which is JSON's. HTTP APIs take a body without
    a type for text. Raises BadAnswer."""
    value = _read(payload)
    if isinstance(value, Mapping) and "statusCode" in value:
        return _structured(value, _JSON if of_url else "text/plain; charset=utf-8", of_url)
    if not loose:
        raise BadAnswer("the function's answer has no statusCode")
    return HttpAnswer(200, (("content-type", _JSON),), _whole(value, payload, of_url))


def balancer_answer(payload: bytes, *, multiple: bool) -> HttpAnswer:
    """What a load balancer takes: a statusCode is needed, and a body without a type is bytes. Of the two members for
    headers it reads the one that its target group is set to, and ``cookies`` in neither case. Raises BadAnswer."""
    value = _read(payload)
    if isinstance(value, Mapping) and "statusCode" in value:
        unread = ("cookies", "headers" if multiple else "multiValueHeaders")
        return _structured({k: v for k, v in value.items() if k not in unread}, "application/octet-stream")
    raise BadAnswer("the function's answer has no statusCode")


def _read(payload: bytes) -> Any:
    try:
        return json.loads(payload) if payload.strip() else None
    except (ValueError, RecursionError):
        raise BadAnswer("the function's answer is no JSON") from None


def _whole(value: Any, payload: bytes, of_url: bool) -> bytes:
    """An answer that is all body."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if not of_url:
        return payload.strip()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _structured(value: Mapping[str, Any], kind: str, always: bool = False) -> HttpAnswer:
    """``kind``: of a body that has no type; ``always``: of none, too."""
    several = _multiple(value.get("multiValueHeaders"))
    twice = set(several)
    headers = [*(pair for pair in _single(value.get("headers")) if pair not in twice), *several]
    cookies = value.get("cookies") or ()
    if not isinstance(cookies, list | tuple):
        raise BadAnswer("cookies is no list")
    headers += [("set-cookie", _text(cookie)) for cookie in cookies]
    body = _body(value)
    if (body or always) and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", kind))
    return HttpAnswer(_status(value["statusCode"]), tuple(headers), body)


def _status(told: Any) -> int:
    try:
        status = int(told)
    except (TypeError, ValueError):
        raise BadAnswer("statusCode is no number") from None
    if not 200 <= status <= 599:  # behind those below another answer is waited for
        raise BadAnswer("statusCode is none of HTTP's")
    return status


def _single(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    if not isinstance(headers, Mapping):
        raise BadAnswer("headers is no object")
    return [(_name(name), _text(value)) for name, value in headers.items() if value is not None]


def _multiple(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    if not isinstance(headers, Mapping):
        raise BadAnswer("multiValueHeaders is no object")
    found = []
    for name, values in headers.items():
        if not isinstance(values, list):
            raise BadAnswer("multiValueHeaders has what is no list")
        found += [(_name(name), _text(value)) for value in values]
    return found


def _name(name: str) -> str:
    if not _TOKEN(name):
        raise BadAnswer("a header has a name that none can have")
    return name.lower()


def _text(value: Any) -> str:
    """Header values may be numbers and truth values; line breaks would end the header."""
    text = json.dumps(value) if isinstance(value, bool | int | float) else str(value)
    if "\r" in text or "\n" in text or "\0" in text:
        raise BadAnswer("a header has a line break")
    return text


def _body(value: Mapping[str, Any]) -> bytes:
    body = value.get("body")
    if body is None:
        return b""
    text = body if isinstance(body, str) else json.dumps(body)
    if not value.get("isBase64Encoded"):
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadAnswer("the body is no base64") from None
