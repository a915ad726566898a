"""Parameter mapping of HTTP APIs: what is changed of a request before an integration gets it, and of its answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from havre.core.event_input.paths import MISSING, JsonPath, PathError
from havre.core.http_events import Asked, HttpAnswer

MOST_BODY = 100 * 1024
"""Bytes of a body in which a path is looked for."""
_KEY = re.compile(r"(append|overwrite|remove):(header|querystring)\.([\w.!#$&'*+^`|~-]+)\Z")
_PATH, _STATUS = "overwrite:path", "overwrite:statuscode"
_ROOTS = ("request", "response", "context", "stageVariables")
_INSIDE = re.compile(r"\$\{([^}]+)\}")
_RESERVED = re.compile(
    r"(access-control-.*|apigw-.*|authorization|connection|content-(encoding|length|location)|forwarded|keep-alive|origin"
    r"|proxy-authenticate|proxy-authorization|te|trailers|transfer-encoding|upgrade|x-amz-.*|x-amzn-.*"
    r"|x-forwarded-(for|host|proto)|via)\Z",
    re.IGNORECASE,
)


class Known(msgspec.Struct, frozen=True):
    """What expressions are looked up in. ``path`` is the request's without the stage's name; ``answer`` is None while there
    is none."""

    asked: Asked
    path: str
    path_parameters: Mapping[str, str]
    stage_variables: Mapping[str, str]
    context: Mapping[str, Any]
    answer: HttpAnswer | None = None


# --- values


def value(expression: str, known: Known) -> str | None:
    """What a mapping's value comes to: one expression (``$request.header.a``), or a text with some in it (``${…}``). None
    where an expression finds nothing."""
    if is_expression(expression):
        return _look_up(expression[1:], known)
    missing: list[str] = []

    def found(match: re.Match[str]) -> str:
        text = _look_up(match[1], known)
        if text is None:
            missing.append(match[1])
        return text or ""

    told = _INSIDE.sub(found, expression)
    return None if missing else told


def is_expression(text: str) -> bool:
    return text.startswith("$") and re.split(r"[.\[]", text[1:], maxsplit=1)[0] in _ROOTS


def _look_up(expression: str, known: Known) -> str | None:
    root, _, rest = expression.partition(".")
    if root == "context":
        found = known.context.get(rest)
        return None if found is None else _text(found)
    if root == "stageVariables":
        return known.stage_variables.get(rest)
    where, _, name = rest.partition(".")
    if root == "response":
        return _of_answer(where, name, known.answer)
    asked = known.asked
    looks: dict[str, Callable[[], str | None]] = {
        "header": lambda: _joined(v for n, v in asked.headers if n == name.lower()),
        "querystring": lambda: _joined(v for n, v in parse_qsl(asked.query, keep_blank_values=True) if n == name),
        "path": lambda: known.path_parameters.get(name) if name else known.path,
    }
    return looks[where]() if where in looks else _in_body(rest, asked.body)


def _of_answer(where: str, name: str, answer: HttpAnswer | None) -> str | None:
    if answer is None:
        return None
    if where == "header":
        return _joined(v for n, v in answer.headers if n == name.lower())
    return _in_body(f"{where}.{name}" if name else where, answer.body)


def _joined(values: Any) -> str | None:
    found = list(values)
    return ",".join(found) if found else None


def _in_body(rest: str, body: bytes) -> str | None:
    """``body`` alone is all of it, ``body.a.b[0]`` what is there."""
    if rest == "body":
        return body.decode("utf-8", "replace")
    if not rest.startswith(("body.", "body[")):
        return None
    try:
        found = JsonPath(f"${rest[4:]}").find(json.loads(body[:MOST_BODY]))
    except (ValueError, RecursionError):
        return None
    return None if found is MISSING or found is None else _text(found)


def _text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found)


# --- what may be mapped


def fault(mapping: Mapping[str, str], *, response: bool = False) -> str | None:
    """What is wrong with the parameters of an integration of HTTP, None when nothing is."""
    for key, expression in mapping.items():
        if key == (_STATUS if response else _PATH):
            continue
        found = _KEY.match(key)
        if found is None or (response and found[2] == "querystring"):
            return f"Invalid mapping expression specified: {key}"
        if found[2] == "header" and _RESERVED.match(found[3]):
            return f"Operations on header {found[3]} are restricted"
        if found[1] != "remove" and (why := bad_value(expression, response=response)):
            return why
    return None


def bad_value(expression: str, *, response: bool = False) -> str | None:
    inside = [expression[1:]] if is_expression(expression) else _INSIDE.findall(expression)
    for each in inside:
        root, _, rest = each.partition(".")
        places = ("header.", "body") if root == "response" else ("header.", "querystring.", "path", "body")
        fits = bool(rest) if root in ("context", "stageVariables") else rest.startswith(places)
        if root not in _ROOTS or not fits or (root == "response" and not response):
            return f"Invalid mapping expression specified: {expression}"
        if rest.startswith(("body.", "body[")):
            try:
                JsonPath(f"${rest[4:]}")
            except PathError:
                return f"Invalid mapping expression specified: {expression}"
    return None


# --- what becomes of it


def request(mapping: Mapping[str, str], asked: Asked, known: Known) -> tuple[Asked, str | None]:
    """The request as the integration gets it, and the path that takes the place of its own."""
    headers, query = list(asked.headers), parse_qsl(asked.query, keep_blank_values=True)
    path: str | None = None
    changed = False
    for key, expression in mapping.items():
        if key == _PATH:
            found = value(expression, known)
            path = quote(found, safe="/%:@!$&'()*+,;=~") if found is not None else None
            continue
        action, _, name = key.partition(":")
        kind, _, name = name.partition(".")
        if kind == "header":
            headers = _changed(headers, action, name.lower(), expression, known)
        else:
            query, changed = _changed(query, action, name, expression, known), True
    text = urlencode(query) if changed else asked.query
    return msgspec.structs.replace(asked, headers=tuple(headers), query=text), path


def response(mapping: Mapping[str, str], answer: HttpAnswer, known: Known) -> HttpAnswer:
    """An answer as the client gets it. A status that is none stays what it was."""
    known = msgspec.structs.replace(known, answer=answer)
    headers, status = list(answer.headers), answer.status
    for key, expression in mapping.items():
        if key == _STATUS:
            told = value(expression, known) or ""
            status = int(told) if told.isascii() and told.isdigit() and 200 <= int(told) <= 599 else status
            continue
        action, _, rest = key.partition(":")
        headers = _changed(headers, action, rest.partition(".")[2].lower(), expression, known)
    return HttpAnswer(status, tuple(headers), answer.body)


def _changed(
    pairs: Sequence[tuple[str, str]], action: str, name: str, expression: str, known: Known
) -> list[tuple[str, str]]:
    """An expression that finds nothing changes nothing; a line break would end a header."""
    if action == "remove":
        return [each for each in pairs if each[0] != name]
    found = value(expression, known)
    if found is None:
        return list(pairs)
    told = found.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    kept = [each for each in pairs if each[0] != name] if action == "overwrite" else list(pairs)
    return [*kept, (name, told)]
