"""``ERROR "disk full" -debug``, ``?ERROR ?WARN``, ``%4\\d\\d%``: what must, may and must not stand in a message."""

from __future__ import annotations

import re
from collections.abc import Callable

from havre.core.log_filter.compare import QUOTED, REGEX, unquote
from havre.core.log_filter.model import Filter, FilterPatternError, Scanner
from havre.core.log_filter.regex import compile_regex

_SIGN = re.compile(r"[-?]")
_WORD = re.compile(r"[^\s\"%]+")
_ALLOWED = re.compile(r"\w+")
MOST_REGEXES = 5
Find = Callable[[str], bool]


def compile_terms(text: str) -> Filter:
    """All plain terms must stand in a message and none of the excluded ones. Optional terms (``?``), one of which must,
    count only where there is nothing else, as on AWS."""
    scanner = Scanner(text)
    terms: dict[str, list[Find]] = {"": [], "-": [], "?": []}
    regexes = 0
    while not scanner.ended:
        found = scanner.take(_SIGN)
        find, regex = _term(scanner)
        regexes += regex
        if regexes > MOST_REGEXES:
            raise scanner.error(f"more than {MOST_REGEXES} regular expressions")
        terms[found[0] if found is not None else ""].append(find)
    required, excluded, optional = terms[""], terms["-"], terms["?"]
    if optional and not required and not excluded:
        return Filter(lambda message: any(find(message) for find in optional))
    if len(required) == 1 and not excluded:
        return Filter(required[0])
    return Filter(
        lambda message: all(find(message) for find in required) and not any(find(message) for find in excluded)
    )


def _term(scanner: Scanner) -> tuple[Find, bool]:
    if (found := scanner.take(QUOTED)) is not None:
        return _contains(unquote(found[1])), False
    if (found := scanner.take(REGEX)) is not None:
        return compile_regex(found[1]), True
    if (found := scanner.take(_WORD)) is None:
        raise scanner.error("a quote or a percent sign has no partner" if not scanner.ended else "expected a term")
    if not _ALLOWED.fullmatch(found[0]):
        raise FilterPatternError(f"Invalid character(s) in term '{found[0]}'")
    return _contains(found[0]), False


def _contains(term: str) -> Find:
    return lambda message: term in message
