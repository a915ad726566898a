"""AWS/ApiGateway: what requests come to, by API, by stage, and by route where a stage's settings want that in detail.

Each request only adds to what is there of its stage and route; the rest is done when somebody drains it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from havre.control.metrics import Metrics, Tally
from havre.core.http_events import HttpAnswer
from havre.services.apigatewayv2.resources import Part
from havre.services.apigatewayv2.serving.story import Story

NAMESPACE = "AWS/ApiGateway"
DETAILED = "DetailedMetricsEnabled"
MINUTE = 60
Values = Mapping[float, float]
Dimensions = tuple[tuple[str, str], ...]


class _Place(NamedTuple):
    """``stage`` is "" where none was found, ``route`` where it is not told in detail. ``minute`` since the epoch."""

    account: str
    region: str
    api: str
    stage: str
    route: str
    minute: int

    def dimensions(self) -> Iterator[Dimensions]:
        own: Dimensions = (("ApiId", self.api),)
        yield own
        if self.stage:
            own = (*own, ("Stage", self.stage))
            yield own
        if self.route:
            method, _, path = self.route.rpartition(" ")
            yield (*own, ("Method", method or "ANY"), ("Resource", path))


class _Cell:
    __slots__ = ("bytes", "client_errors", "integration", "latency", "server_errors")

    def __init__(self) -> None:
        self.latency: list[float] = []
        self.integration: list[float] = []
        self.bytes: list[float] = []
        self.client_errors = self.server_errors = 0

    def read(self) -> Iterator[tuple[str, str, Values]]:
        count = float(len(self.latency))
        yield "Count", "Count", {1.0: count}
        for name, found in (("4xx", float(self.client_errors)), ("5xx", float(self.server_errors))):
            yield name, "Count", {value: times for value, times in ((0.0, count - found), (1.0, found)) if times}
        yield "Latency", "Milliseconds", Counter(self.latency)
        yield "IntegrationLatency", "Milliseconds", Counter(self.integration)
        yield "DataProcessed", "Bytes", Counter(self.bytes)


class Meters:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._cells: dict[_Place, _Cell] = {}
        self._wake = metrics.feed(self._drain)

    def note(self, story: Story, answer: HttpAnswer, now: float) -> None:
        """A request that was answered just now."""
        m, stage, asked = story.api.meta, story.stage, story.asked
        route = story.place.route if story.place is not None and stage is not None else ""
        place = _Place(
            m.account,
            m.region,
            story.api.spec.id,
            stage.spec.id if stage is not None else "",
            route if stage is not None and route and _detailed(stage, route) else "",
            int(asked.at) // MINUTE,
        )
        cell = self._cells.get(place)
        if cell is None:
            cell = self._cells[place] = _Cell()
        cell.latency.append(float(int(max(0.0, now - asked.at) * 1000)))
        cell.bytes.append(float(len(asked.body) + len(answer.body)))
        if story.latency is not None:
            cell.integration.append(float(int(story.latency * 1000)))
        cell.client_errors += answer.status // 100 == 4
        cell.server_errors += answer.status // 100 == 5
        self._wake()

    def _drain(self) -> None:
        cells, self._cells = self._cells, {}
        for place, cell in cells.items():
            at = float(place.minute * MINUTE)
            for name, unit, values in cell.read():
                for dimensions in place.dimensions() if values else ():
                    told = (place.account, place.region, NAMESPACE, name, dimensions, unit, at, values)
                    self._metrics.put(Tally(*told))


def _detailed(stage: Part, route: str) -> bool:
    """What is said of the route counts, else what is said of all."""
    members = stage.spec.members
    own = (members.get("RouteSettings") or {}).get(route) or {}
    usual = members.get("DefaultRouteSettings") or {}
    return bool(own.get(DETAILED, usual.get(DETAILED)))
