"""Filters, then strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from havre.core.placement.model import Demand, Place, Strategy
from havre.core.placement.query import parse

Pick = Callable[[int], int]
"""``pick(n)`` gives a number below n: chance, handed in."""


class Refusal(NamedTuple):
    """Why one place does not take the task: ECS's code (``RESOURCE:MEMORY``), and the rest of the sentence "the closest
    matching container instance …"."""

    place: Place
    code: str
    words: str


_WORDS = {
    "AGENT": 'encountered error "AGENT"',
    "ATTRIBUTE": "is missing an attribute required by your task",
    "MemberOf placement constraint unsatisfied.": 'encountered error "MemberOf placement constraint unsatisfied."',
    "distinctInstance placement constraint unsatisfied.": (
        'encountered error "distinctInstance placement constraint unsatisfied."'
    ),
    "RESOURCE:PORTS": "is already using a port required by your task",
    "RESOURCE:CPU": "has insufficient CPU units available",
    "RESOURCE:MEMORY": "has insufficient memory available",
}
_RANK = {code: rank for rank, code in enumerate(_WORDS)}


def place(demand: Demand, places: Iterable[Place], count: int, pick: Pick) -> tuple[list[Place], list[Refusal]]:
    """Choose up to ``count`` places (a place may come several times) and reserve on them at once.

    Refusals are given, the nearest miss first, only if fewer than ``count`` were found.
    """
    everything = places if isinstance(places, list) else list(places)
    fitting = _fitting(demand, everything)
    chosen: list[Place] = []
    if len(fitting) == 1 or count == 1:
        chosen = _one_by_one(demand, fitting, everything, count, pick)
    elif fitting:
        chosen = _batch(demand, fitting, everything, count, pick)
    if len(chosen) == count:
        return chosen, []
    return chosen, refusals(demand, everything)


def refusals(demand: Demand, places: Iterable[Place]) -> list[Refusal]:
    """Why each place refuses, the nearest miss first."""
    found = [Refusal(p, code, _words(p, code)) for p in places if (code := refusal(demand, p))]
    return sorted(found, key=lambda r: -_RANK[r.code])


def _words(at: Place, code: str) -> str:
    """AWS's words; where it is the machine that cannot, also what it says of itself."""
    error = f" ({at.machine.error})" if code == "AGENT" and at.machine.error else ""
    return _WORDS[code] + error


def refusal(demand: Demand, at: Place) -> str:
    """ECS's code, "" when the place takes the task."""
    m = at.machine
    if m.error or not at.accepting:
        return "AGENT"
    unsuited = _unsuited(demand, at)
    if unsuited:
        return unsuited
    if demand.group in at.counts and any(c.type == "distinctInstance" for c in demand.constraints):
        return "distinctInstance placement constraint unsatisfied."
    if not m.ports_free(demand):
        return "RESOURCE:PORTS"
    if m.free_cpu < demand.cpu:
        return "RESOURCE:CPU"
    return "RESOURCE:MEMORY" if m.free_memory < demand.memory else ""


def suits(demand: Demand, at: Place) -> bool:
    """Whether the place has what the task asks for by its nature, whatever room there is and whoever is there."""
    return not _unsuited(demand, at)


def _unsuited(demand: Demand, at: Place) -> str:
    m = at.machine
    if (demand.architecture and demand.architecture != m.architecture) or (demand.awsvpc and m.network_error):
        return "ATTRIBUTE"
    for constraint in demand.constraints:
        if constraint.type == "memberOf" and not parse(constraint.expression)(at.fact):
            return "MemberOf placement constraint unsatisfied."
    return ""


def _fitting(demand: Demand, places: list[Place]) -> list[Place]:
    """Those without a refusal; the cheap and selective checks first, in one pass."""
    cpu, memory = demand.cpu, demand.memory
    fits = [
        p
        for p in places
        if (m := p.machine).free_memory >= memory and m.free_cpu >= cpu and p.accepting and not m.error
    ]
    if demand.tcp or demand.udp or demand.constraints or demand.awsvpc or demand.architecture:
        fits = [p for p in fits if not refusal(demand, p)]
    return fits


class _Ranking:
    """The strategies of one demand: leading spreads over attributes group the places, the rest scores each place."""

    def __init__(self, demand: Demand, pick: Pick) -> None:
        self.group = demand.group
        self.fields: list[str] = []
        self.pick = pick
        rest = list(demand.strategies)
        while rest and rest[0].type == "spread" and rest[0].field.startswith("attribute:"):
            self.fields.append(rest.pop(0).field[10:])
        self.scores = [self._score(s) for s in rest]

    def _score(self, strategy: Strategy) -> Callable[[Place], int]:
        group = self.group
        if strategy.type == "binpack":
            if strategy.field.lower() == "cpu":
                return lambda p: p.machine.free_cpu
            return lambda p: p.machine.free_memory
        if strategy.type == "random":
            return lambda p: self.pick(1 << 30)
        return lambda p: p.counts.get(group, 0)

    def score(self, at: Place) -> tuple[Any, ...]:
        """Less is better. Without strategies, or when they tie: the emptiest machine."""
        return (*[s(at) for s in self.scores], -at.machine.free_memory, at.running)


def _one_by_one(
    demand: Demand, fitting: list[Place], everything: Sequence[Place], count: int, pick: Pick
) -> list[Place]:
    ranking = _Ranking(demand, pick)
    chosen: list[Place] = []
    while fitting and len(chosen) < count:
        rest, whole = fitting, everything
        for field in ranking.fields:
            value = _least_used(rest, whole, field, demand.group)
            rest, whole = _with(rest, field, value), _with(whole, field, value)
        best = rest[0] if len(rest) == 1 else min(rest, key=ranking.score)
        best.take(demand)
        chosen.append(best)
        if refusal(demand, best):
            fitting.remove(best)
    return chosen


def _with(places: Sequence[Place], field: str, value: str) -> list[Place]:
    return [p for p in places if p.attributes.get(field, "") == value]


def _least_used(fitting: Sequence[Place], whole: Sequence[Place], field: str, group: str) -> str:
    """The value of the field, of those that fit, with the fewest tasks; those on full machines count as well."""
    totals = dict.fromkeys((p.attributes.get(field, "") for p in fitting), 0)
    if len(totals) > 1:
        for p in whole:
            value = p.attributes.get(field, "")
            if value in totals:
                totals[value] += p.counts.get(group, 0)
    return min(totals, key=lambda v: (totals[v], v))


class _Level:
    """Places grouped by the attributes left, each group in a heap by how many tasks it holds; at the bottom a heap of
    places by score. A placement changes the one path that it takes, so heaps stay exact."""

    __slots__ = ("count", "heap", "leaf")

    def __init__(
        self, fitting: Sequence[Place], whole: Sequence[Place], ranking: _Ranking, fields: Sequence[str]
    ) -> None:
        """``whole`` are the places whose tasks count, those that are full among them."""
        self.leaf = not fields
        self.count = sum(p.counts.get(ranking.group, 0) for p in whole)
        self.heap: list[tuple[Any, str, Any]]
        if self.leaf:
            self.heap = [(ranking.score(p), p.name, p) for p in fitting]
        else:
            all_of = _grouped(whole, fields[0])
            self.heap = []
            for value, members in _grouped(fitting, fields[0]).items():
                level = _Level(members, all_of[value], ranking, fields[1:])
                self.heap.append((level.count, value, level))
        heapify(self.heap)

    def place(self, demand: Demand, ranking: _Ranking) -> Place | None:
        while self.heap:
            _, name, child = heappop(self.heap)
            if self.leaf:
                return self._at(child, name, demand, ranking)
            chosen: Place | None = child.place(demand, ranking)
            if chosen is not None:
                if child.heap:
                    heappush(self.heap, (child.count, name, child))
                self.count += 1
                return chosen
        return None

    def _at(self, at: Place, name: str, demand: Demand, ranking: _Ranking) -> Place:
        at.take(demand)
        self.count += 1
        if not refusal(demand, at):
            heappush(self.heap, (ranking.score(at), name, at))
        return at


def _grouped(places: Sequence[Place], field: str) -> dict[str, list[Place]]:
    groups: dict[str, list[Place]] = {}
    for p in places:
        groups.setdefault(p.attributes.get(field, ""), []).append(p)
    return groups


def _batch(
    demand: Demand, fitting: Sequence[Place], everything: Sequence[Place], count: int, pick: Pick
) -> list[Place]:
    ranking = _Ranking(demand, pick)
    root = _Level(fitting, everything, ranking, ranking.fields)
    chosen: list[Place] = []
    while len(chosen) < count and (at := root.place(demand, ranking)) is not None:
        chosen.append(at)
    return chosen
