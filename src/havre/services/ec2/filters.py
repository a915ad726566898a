"""Filters: ``Name`` with ``Values``, of which one must fit; all filters must. ``*`` and ``?`` stand for any text and any
character, ``\\`` takes their meaning away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from havre.core.policy.patterns import QUESTION, STAR, Matcher, glob
from havre.kernel.errors import ApiError
from havre.services.ec2.errors import invalid, missing

R = TypeVar("R")
Values = Callable[[R], str | Iterable[str]]
MAX_VALUES = 200


def matching(
    found: Sequence[R],
    filters: Sequence[Mapping[str, Any]],
    known: Mapping[str, Values[R]],
    tags: Callable[[R], Mapping[str, str]],
) -> list[R]:
    """Raises InvalidParameterValue for a filter that is not known."""
    if sum(len(f.get("Values", ())) for f in filters) > MAX_VALUES:
        raise ApiError("FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200.")
    tests = [_test(each, known, tags) for each in filters]
    return [each for each in found if all(test(each) for test in tests)]


def _test(
    asked: Mapping[str, Any], known: Mapping[str, Values[R]], tags: Callable[[R], Mapping[str, str]]
) -> Callable[[R], bool]:
    name = asked.get("Name")
    if not name:
        raise missing("Filter.1.Name")
    values = _values(name, known, tags)
    patterns = [_pattern(v) for v in asked.get("Values", ())]

    def test(each: R) -> bool:
        have = values(each)
        have = (have,) if isinstance(have, str) else tuple(have)
        return any(pattern(value) for value in have for pattern in patterns)

    return test


def _values(name: str, known: Mapping[str, Values[R]], tags: Callable[[R], Mapping[str, str]]) -> Values[R]:
    if name.startswith("tag:"):
        key = name[4:]
        return lambda each: (tags(each)[key],) if key in tags(each) else ()
    if name == "tag-key":
        return tags
    if name == "tag-value":
        return lambda each: tags(each).values()
    if name not in known:
        raise invalid(f"The filter '{name}' is invalid")
    return known[name]


@lru_cache(maxsize=1024)
def _pattern(value: str) -> Matcher:
    out = []
    characters = iter(value)
    for c in characters:
        if c == "\\":
            c = next(characters, "\\")
            out.append({"*": STAR, "?": QUESTION}.get(c, c))
        else:
            out.append(c)
    return glob("".join(out))


def flag(value: bool) -> str:
    return "true" if value else "false"
