"""What is counted, added up as CloudWatch would, for tests of who counts."""

from __future__ import annotations

from collections.abc import Callable

from havre.control.metrics import Dimensions, Tally


class CountedMetrics:
    """``control.metrics.Metrics``."""

    def __init__(self) -> None:
        self.drains: list[Callable[[], None]] = []
        self.seen: dict[tuple[str, str, Dimensions], dict[float, float]] = {}
        self.units: dict[str, str] = {}
        self.times: dict[str, set[float]] = {}

    def add(
        self,
        account: str,
        region: str,
        namespace: str,
        name: str,
        dimensions: Dimensions = (),
        value: float = 1.0,
        unit: str = "Count",
    ) -> None:
        self.put(Tally(account, region, namespace, name, dimensions, unit, 0.0, {value: 1.0}))

    def put(self, tally: Tally) -> None:
        found = self.seen.setdefault((tally.namespace, tally.name, tuple(sorted(tally.dimensions))), {})
        self.units[tally.name] = tally.unit
        self.times.setdefault(tally.name, set()).add(tally.at)
        for value, count in tally.values.items():
            found[value] = found.get(value, 0.0) + count

    def feed(self, drain: Callable[[], None]) -> Callable[[], None]:
        self.drains.append(drain)
        return lambda: None

    def of(self, name: str, namespace: str = "AWS/Lambda", **dimensions: str) -> dict[float, float]:
        """Value → how often it was seen."""
        for drain in self.drains:
            drain()
        return self.seen.get((namespace, name, tuple(sorted(dimensions.items()))), {})

    def sum(self, name: str, namespace: str = "AWS/Lambda", **dimensions: str) -> float:
        return sum(value * count for value, count in self.of(name, namespace, **dimensions).items())
