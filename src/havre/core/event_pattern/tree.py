"""The tree of a pattern: objects with fields, ``$or``, and the arrays of values at the leaves.

Objects in an array of the event are looked at one by one: all that a pattern says of one object has to be true of the same
element. ``{"exists": false}`` looks at the whole event: no element may have the field. A dot in the name of a field, of the
pattern or of the event, is as good as an object within: AWS joins the names on the way to a value with dots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from havre.core.event_pattern.model import PatternError, Test
from havre.core.event_pattern.reading import parsed
from havre.core.event_pattern.values import NAMES, expression, literal, only

OR = "$or"
MOST_ALTERNATIVES = 1000
DEEPEST = 100
Path = tuple[str, ...]
Fields = dict[str, "Leaf | Node"]


class Leaf(msgspec.Struct, frozen=True):
    """``tests`` of one of which a value has to be true; ``absent``: no value at all is as good."""

    path: Path
    tests: tuple[Test, ...]
    absent: bool


class Node(msgspec.Struct, frozen=True):
    """One of ``alternatives`` has to be true in all its fields."""

    alternatives: tuple[Fields, ...]


class Pattern:
    """A compiled pattern."""

    __slots__ = ("_root",)

    def __init__(self, root: Node) -> None:
        self._root = root

    def matches(self, event: Mapping[str, Any]) -> bool:
        """``event`` as JSON gives it. Pure; takes time in proportion to pattern and event."""
        return _Match(event).holds(self._root, event)


def compile(pattern: Mapping[str, Any] | str) -> Pattern:
    """Raises PatternError."""
    return Pattern(node(parsed(pattern)))


# ------------------------------------------------------------------ compiling


def node(found: Mapping[str, Any], path: Path = (), within_or: bool = False) -> Node:
    """Raises PatternError."""
    if not found:
        raise PatternError("Empty objects are not allowed")
    if len(path) > DEEPEST:
        raise PatternError("Nesting is too deep")
    built = Node(({},))
    for name, inner in found.items():
        if name == OR:
            built = _both(built, _either(inner, path))
        else:
            if within_or and name in NAMES:
                raise PatternError(f"{name} is Ruler reserved fieldName which cannot be used inside {OR}.")
            built = _both(built, _field(name, inner, path, within_or))
    return built


def _field(name: str, inner: Any, path: Path, within_or: bool) -> Node:
    names = name.split(".")
    here = (*path, *names)
    built: Leaf | Node
    if isinstance(inner, Mapping):
        built = node(inner, here, within_or)
    elif isinstance(inner, Sequence) and not isinstance(inner, str):
        built = _leaf(inner, here)
    else:
        raise PatternError(f'"{name}" must be an object or an array')
    for each in reversed(names[1:]):
        built = Node(({each: built},))
    return Node(({names[0]: built},))


def _leaf(values: Sequence[Any], path: Path) -> Leaf:
    if not values:
        raise PatternError("Empty arrays are not allowed")
    tests: list[Test] = []
    absent = False
    for each in values:
        if not isinstance(each, Mapping):
            tests.append(literal(each))
        elif "exists" in each:
            _, wanted = only(each, "")
            if not isinstance(wanted, bool):
                raise PatternError("exists match pattern must be either true or false.")
            absent = absent or not wanted
            tests += [_any_value] if wanted else []
        else:
            tests.append(expression(each))
    return Leaf(path, tuple(tests), absent)


def _any_value(value: Any) -> bool:
    return True


def _either(found: Any, path: Path) -> Node:
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise PatternError(f"It must be an Array followed with {OR}.")
    if not all(isinstance(each, Mapping) for each in found):
        raise PatternError(f"Only JSON object is allowed in array of {OR} relationship.")
    if len(found) < 2:
        raise PatternError(f"There must have at least 2 Objects in {OR} relationship.")
    branches = [node(each, path, within_or=True) for each in found]
    return _bounded(tuple(fields for branch in branches for fields in branch.alternatives))


def _both(one: Node, other: Node) -> Node:
    """What is true where both are: of an object that both speak of, in the same element."""
    if len(one.alternatives) * len(other.alternatives) > MOST_ALTERNATIVES:
        raise _complex()
    return Node(tuple(_join(a, b) for a in one.alternatives for b in other.alternatives))


def _join(one: Fields, other: Fields) -> Fields:
    joined = dict(one)
    for name, field in other.items():
        there = joined.get(name)
        if there is None:
            joined[name] = field
        elif isinstance(there, Node) and isinstance(field, Node):
            joined[name] = _both(there, field)
        elif isinstance(there, Leaf) and isinstance(field, Leaf):
            raise PatternError(f"Path `{'.'.join(field.path)}` cannot be allowed multiple times")
        else:
            raise PatternError(f"{name} cannot be an object and an array at once")
    return joined


def _bounded(alternatives: tuple[Fields, ...]) -> Node:
    if len(alternatives) > MOST_ALTERNATIVES:
        raise _complex()
    return Node(alternatives)


def _complex() -> PatternError:
    return PatternError(f"Too many combinations of {OR}: the limit is {MOST_ALTERNATIVES}")


# ------------------------------------------------------------------ matching


class _Match:
    """One look at one event. Remembers which fields are anywhere in it."""

    __slots__ = ("_event", "_there")

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event
        self._there: dict[Path, bool] = {}

    def holds(self, wanted: Node, value: Any) -> bool:
        """Whether one object at this place (a missing one has no fields) is as ``wanted`` says."""
        if not isinstance(value, Mapping):
            return any(self._one(wanted, each) for each in (*_objects(value),) or ({},))
        return self._one(wanted, value)

    def _one(self, wanted: Node, here: Mapping[str, Any]) -> bool:
        return any(
            all(
                self.holds(field, _within(here, name)) if isinstance(field, Node) else self._leaf(field, here, name)
                for name, field in fields.items()
            )
            for fields in wanted.alternatives
        )

    def _leaf(self, leaf: Leaf, here: Mapping[str, Any], name: str) -> bool:
        tests = leaf.tests
        if name in here and any(test(value) for value in _scalars(here[name]) for test in tests):
            return True
        return leaf.absent and not self._is_there(leaf.path)

    def _is_there(self, path: Path) -> bool:
        found = self._there.get(path)
        if found is None:
            found = self._there[path] = _reaches(self._event, path)
        return found


def _reaches(value: Any, path: Path) -> bool:
    """Whether there is a scalar at the path, in any element of the arrays on it."""
    if not path:
        return any(True for _ in _scalars(value))
    if len(path) == 1:
        return any(path[0] in each and _reaches(each[path[0]], ()) for each in _objects(value))
    return any(_reaches(_within(each, path[0]), path[1:]) for each in _objects(value))


def _within(here: Mapping[str, Any], name: str) -> Any:
    """What the field holds, and what the fields hold that are called ``name.more``, as an object; None without any."""
    found = here.get(name)
    start = f"{name}."
    joined = {each[len(start) :]: value for each, value in here.items() if each.startswith(start)}
    if not joined:
        return found
    return {**found, **joined} if isinstance(found, Mapping) else [found, joined]


def _scalars(value: Any) -> Iterator[Any]:
    """The value, or those of an array and the arrays in it."""
    if value.__class__ is list or isinstance(value, tuple):
        for each in value:
            yield from _scalars(each)
    elif not isinstance(value, Mapping):
        yield value


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    elif value.__class__ is list or isinstance(value, tuple):
        for each in value:
            yield from _objects(each)
