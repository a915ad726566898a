"""Server slots: places for targets that the proxy has from the start, so that a target comes without a reload."""

from __future__ import annotations

from collections.abc import Mapping
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
    """``number`` names it (``s3``); ``target`` is whose work it takes, None when it is free."""

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

    def assign(self, routes: Mapping[str, Route]) -> list[str]:
        """Give every route a slot and take the others' away; the commands that tell the proxy, newcomers first.

        Raises ValueError when ``grow`` was not asked before.
        """
        held = {slot.target: slot for slot in self.all if slot.target is not None}
        leaving = [s for t, s in held.items() if t not in routes or (s.route and _moved(s.route, routes[t]))]
        out: list[str] = []
        stay = {t for t, s in held.items() if s not in leaving}
        for target in sorted(stay):
            out += self._reweigh(held[target], routes[target])
        newcomers = [t for t in routes if t not in stay]
        for target in newcomers:
            slot = self._free(routes[target].vpc)
            if slot is None:
                out += self._release(next(s for s in leaving if s.vpc == routes[target].vpc))
                leaving = [s for s in leaving if s.target is not None]
                slot = self._free(routes[target].vpc)
            assert slot is not None, "grow() makes room first"
            out += self._take(slot, target, routes[target])
        for slot in leaving:
            out += self._release(slot)
        return out

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
        slot.target = slot.route = None
        self.all.remove(slot)
        self.all.append(slot)
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
