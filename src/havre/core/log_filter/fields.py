"""``[ip, user, ..., status = 4* && status != 404, bytes > 1000]``: conditions on the fields of a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from havre.core.log_filter.compare import Comparison
from havre.core.log_filter.model import Conditions, Filter, FilterPatternError, Scanner, Test

_NAME = re.compile(r"[A-Za-z_$][\w$.\-]*")
_BARE = re.compile(r"""[^\s&|(),\[\]"%]+""")
_FIELD = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
Line = Mapping[str, str]


def split(message: str) -> list[str]:
    """Fields are separated by white space; quotes and square brackets make one field of what they enclose."""
    return [next(g for g in found if g is not None) for found in map(re.Match.groups, _FIELD.finditer(message))]


class _Reader:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.tests: list[Test[Line]] = []
        self.gap: int | None = None
        self._regexes: list[str] = []
        self._mentioned: list[str] = []

    def field(self, scanner: Scanner) -> None:
        """One field: ``...``, a name, or conditions on it."""
        if scanner.accept("..."):
            if self.gap is not None:
                raise scanner.error("'...' may stand once only")
            self.gap = len(self.names)
            return
        self._mentioned = []
        before = scanner.at
        if (found := scanner.take(_NAME)) is not None and _ends(scanner):
            self.names.append(found[0])
            return
        scanner.at = before
        self.tests.append(Conditions(scanner, self._simple).read())
        self.names.append(self._mentioned[0])

    def _simple(self, scanner: Scanner) -> Test[Line]:
        found = scanner.take(_NAME)
        if found is None:
            raise scanner.error("expected the name of a field")
        name = found[0]
        self._mentioned.append(name)
        comparison = Comparison(scanner, _BARE, self._regexes)
        return lambda line: name in line and comparison.text(line[name])


def _ends(scanner: Scanner) -> bool:
    return not scanner.ended and scanner.text[scanner.at] in ",]"


def _read(scanner: Scanner) -> _Reader:
    scanner.expect("[")
    reader = _Reader()
    reader.field(scanner)
    while scanner.accept(","):
        reader.field(scanner)
    scanner.expect("]")
    if not scanner.ended:
        raise scanner.error("expected nothing behind ']'")
    return reader


def compile_fields(text: str) -> Filter:
    """A line matches when it has as many fields as the pattern names (more only where ``...`` stands) and all hold."""
    reader = _read(Scanner(text))
    names, gap, tests = reader.names, reader.gap, reader.tests

    def read(message: str) -> Line | None:
        return _named(split(message), names, gap)

    def matches(message: str) -> bool:
        line = read(message)
        return line is not None and all(test(line) for test in tests)

    return Filter(matches, lambda message: {f"${name}": value for name, value in (read(message) or {}).items()})


def field_selector(pattern: str, text: str) -> Callable[[str], str | None]:
    """The field with this name (``$status``) of a pattern. Raises FilterPatternError."""
    names = _read(Scanner(pattern)).names
    if not text.startswith("$") or text[1:] not in names:
        raise FilterPatternError(f"{text} is no field of the pattern")
    extract = compile_fields(pattern).extract
    return lambda message: extract(message).get(text)


def _named(fields: Sequence[str], names: Sequence[str], gap: int | None) -> Line | None:
    if gap is None:
        return dict(zip(names, fields, strict=True)) if len(fields) == len(names) else None
    behind = len(names) - gap
    if len(fields) < len(names):
        return None
    return dict(zip(names, [*fields[:gap], *fields[len(fields) - behind :]], strict=True))
