"""What invocations count for in the namespace AWS/Lambda: counts, durations and concurrency, minute by minute.

This is on the way of every invocation, so it only adds; what is read is put together when somebody drains it. A value counts
for the minute in which its invocation began, as on AWS, however late it is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

NAMESPACE = "AWS/Lambda"
RECEIVED, AGE, DROPPED = "AsyncEventsReceived", "AsyncEventAge", "AsyncEventsDropped"
LETTER_ERRORS, DESTINATION_FAILURES = "DeadLetterErrors", "DestinationDeliveryFailures"
EXTENDED = "PostRuntimeExtensionsDuration"
LOOPS_ENDED = "RecursiveInvocationsDropped"
MINUTE = 60.0
Dimensions = tuple[tuple[str, str], ...]
Values = Mapping[float, float]
"""A value → how often it was seen."""

MILLISECONDS = frozenset((AGE, "Duration", "UrlRequestLatency"))
_OF_FUNCTIONS = frozenset(("Url4xxCount", "Url5xxCount", "UrlRequestCount", "UrlRequestLatency"))
"""Metrics that are not told across all functions."""
_OF_RESOURCES = frozenset(("ProvisionedConcurrentExecutions", "ProvisionedConcurrencyUtilization"))
"""Those that are told of versions and aliases alone: they do not add up."""


class Place(NamedTuple):
    """Whose metrics: a function, what of it was named (``name`` or ``name:qualifier``), and the version that an alias led to
    ("" where no alias was named, or none was drawn)."""

    function: str
    resource: str
    executed: str = ""


class Reading(NamedTuple):
    """``at``: the beginning of its minute, in seconds since the epoch."""

    name: str
    unit: str
    dimensions: Dimensions
    at: float
    values: Values


def place(function: str, qualifier: str, executed: str = "") -> Place:
    """``qualifier`` as it was named, "" for none; ``executed`` is a version."""
    if not qualifier:
        return Place(function, function)
    alias = not qualifier.isdecimal() and not qualifier.startswith("$")
    return Place(function, f"{function}:{qualifier}", executed if alias else "")


def dimensions(where: Place) -> tuple[Dimensions, ...]:
    """Those under which a function's metrics are told, from the narrowest to all functions."""
    function = ("FunctionName", where.function)
    own: Dimensions = (function, ("Resource", where.resource))
    more: tuple[Dimensions, ...] = ((("ExecutedVersion", where.executed), *own),) if where.executed else ()
    return (*more, own, (function,), ())


class _Level:
    """Something whose concurrency is told. ``seen``: so many ran when one more began → how often."""

    __slots__ = ("running", "seen")

    def __init__(self) -> None:
        self.running = 0
        self.seen: dict[float, float] = {}


class _Cell:
    """What began at one place within one minute. ``open``: of those, how many have not ended."""

    __slots__ = ("errors", "more", "open", "took")

    def __init__(self) -> None:
        self.open = 0
        self.errors = 0
        self.took: list[float] = []
        self.more: dict[str, dict[float, float]] = {}

    def add(self, name: str, value: float) -> None:
        values = self.more.setdefault(name, {})
        values[value] = values.get(value, 0.0) + 1.0

    def read(self) -> Iterator[tuple[str, Values]]:
        """What is there, which it forgets."""
        took, errors, more = self.took, self.errors, self.more
        self.took, self.errors, self.more = [], 0, {}
        if took:
            ran = float(len(took))
            yield "Invocations", {1.0: ran}
            yield "Throttles", {0.0: ran}
            yield "Errors", {value: count for value, count in ((0.0, ran - errors), (1.0, float(errors))) if count}
            yield "Duration", {value: float(count) for value, count in Counter(took).items()}
        yield from more.items()


class _Site:
    """A place with its cell of this minute, and what of its concurrency is told."""

    __slots__ = ("cell", "levels")

    def __init__(self, levels: tuple[_Level, ...]) -> None:
        self.levels = levels
        self.cell = _Cell()


class Run:
    """One invocation; it ends once."""

    __slots__ = ("_cell", "_levels")

    def __init__(self, site: _Site) -> None:
        self._cell = site.cell
        self._levels = site.levels

    def ended(self, duration: float, failed: bool) -> None:
        """The function has run, for so many milliseconds."""
        cell = self._cell
        cell.took.append(duration)
        if failed:
            cell.errors += 1
        self.abandoned()

    def abandoned(self) -> None:
        """It has not come to be an invocation of the function, or nobody knows."""
        for level in self._levels:
            level.running -= 1
        self._levels = ()
        self._cell.open -= 1


class Meters:
    """Of one account in one region. ``now`` is in seconds since the epoch, and does not go back."""

    def __init__(self, now: float) -> None:
        self._sites: dict[Place, _Site] = {}
        self._levels: dict[Dimensions, _Level] = {(): _Level()}
        self._minute = now // MINUTE * MINUTE
        self._ends = self._minute + MINUTE
        self._older: list[tuple[float, Place, _Cell]] = []
        self._read: list[Reading] = []
        self._unreserved: dict[float, float] = {}
        self._claimed: dict[float, float] = {}

    # --- on the way of an invocation
    def began(self, where: Place, now: float, unreserved: int, claimed: int) -> Run:
        """One has been let in. ``unreserved`` run outside of reservations by now, ``claimed`` of the account's concurrency
        are taken or spoken for."""
        if now >= self._ends:
            self._turn(now)
        site = self._sites.get(where)
        if site is None:
            site = self._open(where)
        site.cell.open += 1
        for level in site.levels:
            level.running = running = level.running + 1
            level.seen[running] = level.seen.get(running, 0.0) + 1.0
        self._unreserved[unreserved] = self._unreserved.get(unreserved, 0.0) + 1.0
        self._claimed[claimed] = self._claimed.get(claimed, 0.0) + 1.0
        return Run(site)

    def throttled(self, where: Place, now: float) -> None:
        self.add(where, "Throttles", 1.0, now)
        self.add(where, "Errors", 0.0, now)

    def add(self, where: Place, name: str, value: float, now: float) -> None:
        """Of a metric that is no invocation's."""
        if now >= self._ends:
            self._turn(now)
        site = self._sites.get(where)
        if site is None:
            site = self._open(where)
        site.cell.add(name, value)

    def _open(self, where: Place) -> _Site:
        """Its metrics are counted under the place alone, and put together when they are read; concurrency, which does not
        add up, is counted at each level."""
        levels = tuple(self._levels.setdefault(each, _Level()) for each in dimensions(where))
        found = self._sites[where] = _Site(levels)
        return found

    @property
    def running(self) -> int:
        return self._levels[()].running

    # --- what is read
    def drain(self, now: float) -> list[Reading]:
        """What has come since the last time. ``now`` in the same minute may bring more of the same series."""
        if now >= self._ends:
            self._turn(now)
        self._gather()
        for where, site in self._sites.items():
            self._older.append((self._minute, where, site.cell))
        found, self._read = self._read, []
        together: dict[tuple[float, Dimensions, str], dict[float, float]] = {}
        for at, where, cell in self._older:
            for name, values in cell.read():
                for dims in dimensions(where):
                    if _told(name, dims):
                        _merge(together.setdefault((at, dims, name), {}), values)
        current = {id(site.cell) for site in self._sites.values()}
        self._older = [each for each in self._older if each[2].open and id(each[2]) not in current]
        for (at, dims, name), values in together.items():
            found.append(Reading(name, "Milliseconds" if name in MILLISECONDS else "Count", dims, at, values))
        return found

    def _gather(self) -> None:
        """Concurrency as it was in this minute; what ran on through the whole of it is seen at its end."""
        for dims, level in self._levels.items():
            if level.seen:
                self._read.append(Reading("ConcurrentExecutions", "Count", dims, self._minute, level.seen))
                level.seen = {}
        for name, values in (
            ("UnreservedConcurrentExecutions", self._unreserved),
            ("ClaimedAccountConcurrency", self._claimed),
        ):
            if values:
                self._read.append(Reading(name, "Count", (), self._minute, values))
        self._unreserved, self._claimed = {}, {}

    def _turn(self, now: float) -> None:
        """To the minute that ``now`` is in. What still runs is seen in it as well."""
        self._gather()
        idle = []
        for where, site in self._sites.items():
            cell = site.cell
            if cell.open or cell.took or cell.more:
                self._older.append((self._minute, where, cell))
                site.cell = _Cell()
            elif not site.levels[0].running:
                idle.append(where)
        for where in idle:
            del self._sites[where]
        self._minute = now // MINUTE * MINUTE
        self._ends = self._minute + MINUTE
        kept = {each for where in self._sites for each in dimensions(where)} | {()}
        self._levels = {dims: level for dims, level in self._levels.items() if dims in kept}
        for level in self._levels.values():
            if level.running:
                level.seen[float(level.running)] = 1.0


def _told(name: str, dims: Dimensions) -> bool:
    least = 2 if name in _OF_RESOURCES else 1 if name in _OF_FUNCTIONS else 0
    return len(dims) >= least


def _merge(into: dict[float, float], values: Values) -> None:
    for value, count in values.items():
        into[value] = into.get(value, 0.0) + count
