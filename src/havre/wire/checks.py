"""The model's constraints on a parsed value: what is missing, too long, too small, malformed, not in the set.

Compiled once for each shape; a shape that constrains nothing costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from havre.wire import patterns
from havre.wire.shapes import Shape

COMPOSITE = frozenset(("structure", "list", "map"))
INTEGERS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class Rules(msgspec.Struct, frozen=True):
    """Which of the model's traits a service's front checks, and how it calls the place of a value.

    ``named(member, shape)`` is a member's name in a path, ``item`` what stands behind the number of a list's item.
    ``loose`` are shapes whose enums the service checks behind its front, with an error of its own. ``whole``: of the parts
    of lists and maps it tells what always holds as well (that they are not null).
    """

    required: bool = True
    lengths: bool = True
    ranges: bool = True
    patterns: bool = True
    enums: bool = True
    loose: frozenset[str] = frozenset()
    named: Callable[[str, Shape], str] = lambda name, shape: name[:1].lower() + name[1:]
    item: str = ".member"
    whole: bool = False


class Violation(msgspec.Struct, frozen=True):
    """``kind``: missing, length, range, pattern, enum, union. ``constraint`` completes "failed to satisfy constraint:".
    ``path`` is in the service's own spelling; ``member`` the name of the innermost member; ``hidden`` values are secret."""

    kind: str
    path: str
    member: str
    value: Any
    constraint: str
    hidden: bool = False


UNIONS = Rules(required=False, lengths=False, ranges=False, patterns=False, enums=False)
"""What is left to check of a value whose type has been checked against all else."""

Report = list[Violation]
Check = Callable[[Any, str, str, Report], None]
"""(value, path, member, report)"""
Test = tuple[str, Callable[[Any], bool], str]
"""(kind, test, the constraint in words)"""


class Checker:
    """Compiled checks of one service."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._structures: dict[str, Check | None] = {}
        self._tops: dict[tuple[str, frozenset[str]], Check] = {}
        self._busy: set[str] = set()

    def violations(self, shape: Shape, value: Mapping[str, Any], only: frozenset[str] | None = None) -> Report:
        """What is wrong with the members of a request; ``only`` limits it to some of the top level."""
        report: Report = []
        if only is None:
            check = self.of(shape)
        else:
            check = self._tops.get((shape.name, only))
            if check is None:
                check = self._tops[shape.name, only] = partial(self._structure, self._fields(shape, only), ())
        if check is not None:
            check(value, "", "", report)
        return report

    def of(self, shape: Shape) -> Check | None:
        """The check of a shape, or None when there is nothing to check in it or below it."""
        if shape.type not in COMPOSITE:
            return self._of_leaf(shape)
        if shape.name in self._busy:  # it contains itself: look again when it is used
            return lambda value, path, member, report: _later(self.of(shape), value, path, member, report)
        self._busy.add(shape.name)
        try:
            return {"structure": self._of_structure, "list": self._of_list, "map": self._of_map}[shape.type](shape)
        finally:
            self._busy.discard(shape.name)

    def _of_structure(self, shape: Shape) -> Check | None:
        if shape.name not in self._structures:
            fields = self._fields(shape, None)
            unions = tuple(shape.members) if shape.union else ()
            self._structures[shape.name] = partial(self._structure, fields, unions) if fields or unions else None
        return self._structures[shape.name]

    def _fields(self, shape: Shape, only: frozenset[str] | None) -> list[tuple[str, str, bool, bool, Check | None]]:
        required = shape.required if self._rules.required else ()
        fields = []
        for name, member in shape.members.items():
            if (only is not None and name not in only) or member.event_stream:
                continue
            check = self.of(member)
            if check is not None or name in required:
                hidden = bool(member.traits.get("sensitive"))
                fields.append((name, self._rules.named(name, member), name in required, hidden, check))
        return fields

    @staticmethod
    def _structure(
        fields: list[tuple[str, str, bool, bool, Check | None]],
        union: tuple[str, ...],
        value: Any,
        path: str,
        member: str,
        report: Report,
    ) -> None:
        prefix = f"{path}." if path else ""
        for name, spelled, required, hidden, check in fields:
            inner = value.get(name)
            if inner is None:
                if required:
                    report.append(Violation("missing", prefix + spelled, name, None, "Member must not be null", hidden))
            elif check is not None:
                check(inner, prefix + spelled, name, report)
        if union and len([name for name in union if value.get(name) is not None]) != 1:
            report.append(Violation("union", path, member, value, "Member must have exactly one member set"))

    def _of_list(self, shape: Shape) -> Check | None:
        lengths = self._lengths(shape)
        inner = shape.member
        if inner.type in COMPOSITE:
            check, each = self.of(inner), None
        else:
            check, each = None, self._leaf_tests(inner)
        if not lengths and check is None and not each:
            return None
        hidden, item = bool(shape.traits.get("sensitive") or inner.traits.get("sensitive")), self._rules.item
        told = f"Member must satisfy constraint: {self._told(inner, each or ())}"

        def check_list(value: Any, path: str, member: str, report: Report) -> None:
            _test(lengths, value, path, member, hidden, report)
            if check is not None:
                for index, one in enumerate(value, 1):
                    if one is not None:
                        check(one, f"{path}.{index}{item}", member, report)
            elif each and not all(test(one) for one in value if one is not None for _, test, _ in each):
                report.append(Violation(each[0][0], path, member, value, told, hidden))

        return check_list

    def _of_map(self, shape: Shape) -> Check | None:
        lengths, keys = self._lengths(shape), self._leaf_tests(shape.key)
        deep = shape.value.type in COMPOSITE
        check, values = (self.of(shape.value), None) if deep else (None, self._leaf_tests(shape.value))
        if not lengths and not keys and check is None and not values:
            return None
        hidden = bool(shape.traits.get("sensitive") or shape.value.traits.get("sensitive"))
        told_keys = f"Map keys must satisfy constraint: {self._told(shape.key, keys)}"
        told = f"Map value must satisfy constraint: {self._told(shape.value, values or ())}"

        def check_map(value: Any, path: str, member: str, report: Report) -> None:
            _test(lengths, value, path, member, hidden, report)
            if keys and not all(test(one) for one in value for _, test, _ in keys):
                report.append(Violation(keys[0][0], path, member, value, told_keys, hidden))
            if values and not all(test(one) for one in value.values() if one is not None for _, test, _ in values):
                report.append(Violation(values[0][0], path, member, value, told, hidden))
            if check is not None:
                for key, one in value.items():
                    if one is not None:
                        check(one, f"{path}.{key}.member", member, report)

        return check_map

    def _told(self, part: Shape, tests: Sequence[Test]) -> str:
        """All constraints of a list's or a map's parts, as they are told when one part breaks one of them."""
        words = [each for _, _, each in tests]
        if self._rules.whole:
            if part.type == "string" and "max" in part.traits and part.traits.get("min") == 0:
                words.insert(1, "Member must have length greater than or equal to 0")
            words.append("Member must not be null")
        return f"[{', '.join(words)}]"

    def _of_leaf(self, shape: Shape) -> Check | None:
        tests = self._leaf_tests(shape)
        if not tests:
            return None
        hidden = bool(shape.traits.get("sensitive"))
        return lambda value, path, member, report: _test(tests, value, path, member, hidden, report)

    def _leaf_tests(self, shape: Shape) -> list[Test]:
        """(kind, test, the constraint in words) of each trait of a value that has no parts."""
        traits, rules = shape.traits, self._rules
        if shape.type in INTEGERS or shape.type in ("float", "double"):
            return self._ranges(shape) if rules.ranges else []
        if shape.type not in ("string", "blob", "character"):
            return []
        tests = self._lengths(shape)
        if rules.patterns and "pattern" in traits and (pattern := patterns.whole(traits["pattern"])):
            matches = re.compile(pattern).match
            words = f"Member must satisfy regular expression pattern: {traits['pattern']}"
            tests.append(("pattern", lambda value: matches(value) is not None, words))
        if rules.enums and shape.enum and shape.name not in rules.loose:
            values = frozenset(shape.enum)
            told = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
            tests.append(("enum", values.__contains__, told))
        return tests

    def _lengths(self, shape: Shape) -> list[Test]:
        tests: list[Test] = []
        low, high = shape.traits.get("min"), shape.traits.get("max")
        if not self._rules.lengths or shape.traits.get("streaming"):
            return tests
        if high is not None:
            words = f"Member must have length less than or equal to {high}"
            tests.append(("length", lambda value: len(value) <= high, words))
        if low:
            words = f"Member must have length greater than or equal to {low}"
            tests.append(("length", lambda value: len(value) >= low, words))
        return tests

    @staticmethod
    def _ranges(shape: Shape) -> list[Test]:
        tests: list[Test] = []
        low, high = shape.traits.get("min"), shape.traits.get("max")
        if high is not None:
            words = f"Member must have value less than or equal to {high}"
            tests.append(("range", lambda value: value <= high, words))
        if low is not None:
            words = f"Member must have value greater than or equal to {low}"
            tests.append(("range", lambda value: value >= low, words))
        return tests


def _test(
    tests: list[Test],
    value: Any,
    path: str,
    member: str,
    hidden: bool,
    report: Report,
) -> None:
    for kind, holds, words in tests:
        if not holds(value):
            report.append(Violation(kind, path, member, value, words, hidden))


def _later(check: Check | None, value: Any, path: str, member: str, report: Report) -> None:
    if check is not None:
        check(value, path, member, report)
