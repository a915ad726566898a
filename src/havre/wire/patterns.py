"""The models' regular expressions are Java's; Python's ``re`` needs some of them said otherwise."""

from __future__ import annotations

import re

_SPACES = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0900-\u0903\u093a-\u094f"
    r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_SIGNS = r"!-/:-@\[-`{-~\u00a1-\u00bf\u00d7\u00f7\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2100-\u2bff\u3001-\u303f"
_CLASSES = {
    # wider than Unicode's where a set of Python has no narrower word: a name is never refused that AWS takes
    "L": r"\w",
    "N": r"\d\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u218b\u2460-\u249b",
    "Z": _SPACES,
    "Zs": _SPACES,
    "M": _MARKS,
    "P": _SIGNS,
    "S": _SIGNS,
    "Print": r"\x20-\x7e",
    "ASCII": r"\x00-\x7f",
    "Alnum": "A-Za-z0-9",
    "Alpha": "A-Za-z",
    "Graph": r"\x21-\x7e",
}


_EQUAL = {
    # patterns whose nested repeats take exponential time on what they refuse, said without
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": r"\t*[^\x00-\x1F:\x7F](?:[^\x00-\x1F:\x7F]|\t)*",
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"\t*[\x20-\x7E][\x20-\x7E\t]*",
}


def whole(pattern: str) -> str | None:
    """A Python pattern that matches whole strings as the model's pattern does; None where ``re`` cannot say it."""
    text = (
        _EQUAL.get(pattern, pattern)
        .replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
        .replace(r"\z", r"\Z")
    )
    text = re.sub(r"\\p\{(?:Is)?(\w+)\}", lambda found: _class(text, found), text)
    text = re.sub(r"(?<=\\[wds])-(?=[^\]])", r"\\-", text)
    text = re.sub(r"^\(\?([is]+)\)(.*)$", r"(?\1:\2)", text, flags=re.DOTALL)
    text = rf"\A(?:{text})\Z"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return None
    return text


def _class(text: str, found: re.Match[str]) -> str:
    inside = _CLASSES.get(found[1], r"\w")
    before = text[: found.start()]
    within = before.replace(r"\[", "").count("[") > before.replace(r"\]", "").count("]")
    return inside if within else f"[{inside}]"
