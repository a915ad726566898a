"""Server slots: places for targets that the proxy has from the start, so that a target comes without a reload."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from havre.engines.haproxy.text import name

FIRST = 8


class Route(msgspec.Struct, frozen=True):
    """A target that gets work. ``vpc`` "" is the host's own network."""

    address: str
    port: int
    vpc: str = ""
    weight: int = 1


@dataclass
class Slot:
    """``number`` names it (``s3``); ``target`` is whose it is, None when it is free; ``route`` None while it has no work."""

    number: int
    vpc: str
    target: str | None = None
    route: Route | None = None


@dataclass
class Slots:
    """The slots of one pool. Freed ones go to the end of the queue: the work of the last holder has time to end."""

    pool: str
    all: list[Slot] = field(default_factory=list)

    def grow(self, needed: Mapping[str, int]) -> bool:
        """Make room for so many targets a VPC, with some to spare; whether that took more slots (a reload, then)."""
        before = len(self.all)
        for vpc, count in needed.items():
            have = sum(1 for slot in self.all if slot.vpc == vpc)
            if count > have or not have:
                size = max(FIRST, count + count // 2, 2 * have)
                self.all += [Slot(len(self.all) + i + 1, vpc) for i in range(size - have)]
        return len(self.all) > before

    def assign(self, routes: Mapping[str, Route], known: Collection[str] = ()) -> list[str]:
        """Give every route a slot and take work from the others; the commands that tell the proxy, newcomers first.

        ``known`` targets without a route (they drain, they are ill) keep their slots: an answer that is under way leaves a
        connection behind, which must not carry another target's work. Raises StopIteration when ``grow`` was not asked.
        """
        held = {slot.target: slot for slot in self.all if slot.target is not None}
        staying, resting, leaving = self._sort(held, routes, known)
        out: list[str] = []
        for target, slot in staying.items():
            out += self._reweigh(slot, routes[target]) if slot.route else self._take(slot, target, routes[target])
        for target in [t for t in routes if t not in staying]:
            free = self._free(routes[target].vpc)
            if free is None:
                free = next(slot for slot in leaving if slot.vpc == routes[target].vpc)
                leaving.remove(free)
                out += self._release(free)
            out += self._take(free, target, routes[target])
        for slot in leaving:
            out += self._release(slot)
        for slot in resting:
            out += self._rest(slot)
        return out

    @staticmethod
    def _sort(
        held: Mapping[str, Slot], routes: Mapping[str, Route], known: Collection[str]
    ) -> tuple[dict[str, Slot], list[Slot], list[Slot]]:
        """(whose target goes on, by target; whose target has no work now; that are given up)"""
        staying: dict[str, Slot] = {}
        resting: list[Slot] = []
        leaving: list[Slot] = []
        for target, slot in held.items():
            route = routes.get(target)
            if route is None:
                (resting if target in known else leaving).append(slot)
            elif slot.vpc != route.vpc or (slot.route and _moved(slot.route, route)):
                leaving.append(slot)
            else:
                staying[target] = slot
        return staying, resting, leaving

    def _free(self, vpc: str) -> Slot | None:
        return next((slot for slot in self.all if slot.target is None and slot.vpc == vpc), None)

    def _take(self, slot: Slot, target: str, route: Route) -> list[str]:
        slot.target, slot.route = target, route
        server = self.server(slot)
        return [
            f"set server {server} addr {route.address} port {route.port}",
            f"set server {server} weight {route.weight}",
            f"set server {server} state ready",
        ]

    def _release(self, slot: Slot) -> list[str]:
        out = self._rest(slot)
        slot.target = None
        self.all.remove(slot)
        self.all.append(slot)
        return out

    def _rest(self, slot: Slot) -> list[str]:
        if slot.route is None:
            return []
        slot.route = None
        return [f"set server {self.server(slot)} state maint"]

    def _reweigh(self, slot: Slot, route: Route) -> list[str]:
        assert slot.route is not None
        if slot.route.weight == route.weight:
            return []
        slot.route = route
        return [f"set server {self.server(slot)} weight {route.weight}"]

    def server(self, slot: Slot) -> str:
        return f"{name('p', self.pool)}/s{slot.number}"

    def in_order(self) -> list[Slot]:
        """By number: the order in which the configuration lists them."""
        return sorted(self.all, key=lambda slot: slot.number)


def _moved(old: Route, new: Route) -> bool:
    return (old.address, old.port, old.vpc) != (new.address, new.port, new.vpc)
