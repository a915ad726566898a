"""AWS's wildcards (``*`` any characters, ``?`` exactly one) as HAProxy's matches, the cheapest that means the same."""

from __future__ import annotations

from collections.abc import Sequence

from havre.engines.haproxy.text import quote

ANY, ONE = 0, 1
Token = str | int
_SPECIAL = frozenset("\\.^$|()[]{}*+?")


def tokens(pattern: str) -> tuple[Token, ...]:
    """Literal runs, ANY and ONE; a backslash takes the character behind it literally."""
    found: list[Token] = []
    text, escaped = "", False
    for char in pattern:
        if escaped or char not in "*?\\":
            text, escaped = text + char, False
        elif char == "\\":
            escaped = True
        else:
            found += [text, ANY if char == "*" else ONE] if text else [ANY if char == "*" else ONE]
            text = ""
    text += "\\" if escaped else ""
    return tuple([*found, text] if text else found)


def regex(parts: Sequence[Token], any_char: str = ".") -> str:
    """A regular expression that POSIX and PCRE read alike; not anchored."""
    return "".join(_escape(p) if isinstance(p, str) else any_char + ("*" if p == ANY else "") for p in parts)


def match(pattern: str, ignore_case: bool = False) -> str:
    """The flags and the pattern of an ACL that holds for the whole of a value."""
    flags = "-i " if ignore_case else ""
    parts = tokens(pattern)
    shape = tuple(type(p) if isinstance(p, str) else p for p in parts)
    if not parts:
        return "-m len 0"
    if shape == (ANY,):
        return "-m found"
    method = {(str,): "str", (str, ANY): "beg", (ANY, str): "end", (ANY, str, ANY): "sub"}.get(shape)
    if method:
        return f"-m {method} {flags}-- {quote(''.join(p for p in parts if isinstance(p, str)))}"
    return f"-m reg {flags}-- {quote('^' + regex(parts) + '$')}"


def query_match(value: str) -> str:
    """An ACL pattern over a whole query string: ``key=value`` for one parameter, ``value`` (or ``=value``) for any key."""
    key, equals, text = value.partition("=")
    if not equals:
        key, text = "", value
    left = regex(tokens(key), "[^&=]") if key else "[^&=]*"
    whole = f"(^|&){left}={regex(tokens(text), '[^&]')}(&|$)"
    return f"-m reg -i -- {quote(whole)}"


def _escape(text: str) -> str:
    return "".join("\\" + c if c in _SPECIAL else c for c in text)
