"""Evaluates alarms: metric alarms when they are put and every ten seconds, over the last whole minutes; composite ones
whenever an alarm has changed. While there are no alarms it waits for the next."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.core.metrics import alarms
from havre.core.metrics.alarm_rules import holds, parse
from havre.kernel.errors import ApiError, Conflict, Gone, Temporary
from havre.kernel.resource import Key, Meta
from havre.services.cloudwatch import history, metric_queries, names, notices, transitions
from havre.services.cloudwatch.facilities import Facilities
from havre.services.cloudwatch.metric_queries import Computing, Query
from havre.services.cloudwatch.resources import ALARM, COMPOSITE, METRIC, Alarm, AlarmRecord
from havre.store.ports import Change, Subscription, Transaction

log = logging.getLogger("havre.cloudwatch")
EVERY = 10.0
DEEPEST = 10
"""Composite alarms of composite alarms: so often is looked again whether one has changed by another's change."""
MOST_DATA = 4000


class Alarming:
    def __init__(self, deps: ReconcilerDeps, facilities: Facilities) -> None:
        self._deps = deps
        self._facilities = facilities
        self.progress: float | None = None

    async def follow(self, changes: Subscription) -> None:
        """For ever. ``changes`` are those of alarms."""
        due, news = 0.0, frozenset[Key]()
        while True:
            found = self._deps.store.list(ALARM)
            if not found:
                news = _put(await anext(changes))
                continue
            now = self._deps.world.now()
            turn = now >= due
            due = (now // EVERY + 1) * EVERY if turn else due
            await self._metrics([each for each in found if each.spec.type == METRIC and (turn or each.key in news)])
            try:
                await self._composites()
            except (Temporary, Conflict, Gone) as passing:
                log.info("composite alarms are evaluated later: %s", passing)
            self.progress = self._deps.world.now()
            news = frozenset()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._deps.world.now())):
                    news = _put(await anext(changes))

    # ------------------------------------------------------------------ metric alarms

    async def _metrics(self, found: Sequence[AlarmRecord]) -> None:
        if found:
            await self._facilities.flush()
        for each in found:
            try:
                await self._metric(each)
            except ApiError as refusal:
                log.warning("alarm %s cannot be evaluated: %s", each.meta.arn, refusal)
            except (Temporary, Conflict, Gone) as passing:
                log.info("alarm %s is evaluated later: %s", each.meta.arn, passing)
            await asyncio.sleep(0)

    async def _metric(self, alarm: AlarmRecord) -> None:
        now, check = self._deps.world.now(), checked(alarm.spec)
        queries = watched(alarm)
        period = metric_queries.longest(queries)
        readings = await self._readings(alarm, queries, check.range, period, now)
        verdict = alarms.judge(check, readings)
        if verdict.state is None or verdict.state == alarm.status.state:
            return
        data = reason_data(alarm.spec, verdict, period, now)
        await self._enter(alarm, verdict.state, verdict.reason, data)

    async def _readings(
        self, alarm: AlarmRecord, queries: Sequence[Query], many: int, period: int, now: float
    ) -> list[alarms.Reading]:
        """The last whole periods, newest first."""
        clock = alarm.spec.given.get("EvaluationWindow", {}).get("WallClockWindow")
        offset = alarms.offset_of((clock or {}).get("Timezone", "UTC")) or 0
        end = alarms.window_end(now, period, clock is not None, offset)
        where = (alarm.meta.account, alarm.meta.region)
        computing = Computing(self._facilities.points(), *where, queries, end - many * period, end, now)
        await computing.compute()
        (returned,) = [query for query in queries if query.returned]
        lines = computing.lines(returned)
        points: Mapping[int, float] = lines[0].points if lines else {}
        samples = computing.counts.get(returned.id, {})
        begins = [end - (n + 1) * period for n in range(many)]
        return [alarms.Reading(at, points.get(at), samples.get(at)) for at in begins]

    async def _enter(self, seen: AlarmRecord, state: str, reason: str, data: str) -> None:
        """Unless it has been put anew, or set, since it was seen."""
        place = (seen.meta.account, seen.meta.region)

        def change(tx: Transaction) -> list[history.Item]:
            current = tx.get(ALARM, *place, seen.meta.name)
            if current is None or current.meta.version != seen.meta.version:
                return []
            return transitions.enter(tx, self._deps.world, current, state, reason, data)

        items = await self._deps.store.transact(change)
        await history.note(self._deps.journal, *place, self._deps.world.now(), *items)

    # ------------------------------------------------------------------ composite alarms

    async def _composites(self) -> None:
        """Again, as long as one has changed by another's change: a circle of them comes to rest, or is left as it is."""
        for _ in range(DEEPEST):
            changed = False
            for each in self._deps.store.list(ALARM):
                if each.spec.type == COMPOSITE:
                    changed |= await self._composite(each)
            if not changed:
                break
        for each in self._deps.store.list(ALARM):
            if each.status.hold is not None:
                await self._release(each.meta)

    async def _release(self, meta: Meta) -> None:
        def change(tx: Transaction) -> None:
            current = tx.get(ALARM, meta.account, meta.region, meta.name)
            if current is not None:
                transitions.release(tx, self._deps.world, current)

        await self._deps.store.transact(change)

    async def _composite(self, alarm: AlarmRecord) -> bool:
        where = (alarm.meta.account, alarm.meta.region)
        children = [self._deps.store.get(ALARM, *where, name) for name in alarm.spec.children]
        known = [child for child in children if child is not None]
        states = {child.spec.name: child.status.state for child in known}
        state = alarms.ALARM if holds(parse(alarm.spec.rule), states) else alarms.OK
        if state == alarm.status.state and alarm.status.evaluated:
            return False
        reason, data = composite_reason(alarm, known, state)
        await self._enter(alarm, state, reason, data)
        return state != alarm.status.state


def _put(changes: Sequence[Change]) -> frozenset[Key]:
    """The alarms that were put, or put anew."""
    return frozenset(c.key for c in changes if c.new is not None and (c.old is None or c.old.spec != c.new.spec))


def checked(spec: Alarm) -> alarms.Check:
    given = spec.given
    low = given.get("EvaluateLowSampleCountPercentile") == "ignore"
    return alarms.Check(
        given["ComparisonOperator"],
        given["Threshold"],
        given["EvaluationPeriods"],
        given.get("DatapointsToAlarm"),
        given.get("TreatMissingData", alarms.MISSING),
        alarms.least_samples(given.get("ExtendedStatistic", "")) if low else 0.0,
    )


def watched(alarm: AlarmRecord) -> Sequence[Query]:
    """What an alarm looks at, as queries of which one is returned."""
    given = alarm.spec.given
    if given.get("Metrics"):
        return metric_queries.read(given["Metrics"], "Metrics", alarm.meta.account)
    pairs = names.dimensions(given.get("Dimensions"))
    stat = given.get("Statistic") or given["ExtendedStatistic"]
    return [Query("m", given["Namespace"], given["MetricName"], pairs, given["Period"], stat, given.get("Unit", ""))]


def reason_data(spec: Alarm, verdict: alarms.Verdict, period: int, now: float) -> str:
    given = spec.given
    real = [each for each in verdict.evaluated if each.value is not None]
    told: dict[str, Any] = {"version": "1.0", "queryDate": notices.moment(now)}
    if real:
        told["startDate"] = notices.moment(real[-1].at)
    told |= {"unit": given["Unit"]} if "Unit" in given else {}
    if "MetricName" in given:
        told["statistic"] = given.get("Statistic") or given["ExtendedStatistic"]
    told |= {"period": period, "recentDatapoints": [each.value for each in real[::-1]], "threshold": given["Threshold"]}
    told["evaluatedDatapoints"] = [_evaluated(each) for each in verdict.evaluated]
    while len(text := json.dumps(told, separators=(",", ":"))) > MOST_DATA:
        told["evaluatedDatapoints"] = told["evaluatedDatapoints"][:-10]
        told["recentDatapoints"] = told["recentDatapoints"][10:]
    return text


def _evaluated(reading: alarms.Reading) -> dict[str, Any]:
    told: dict[str, Any] = {"timestamp": notices.moment(reading.at)}
    if reading.samples is not None:
        told["sampleCount"] = reading.samples
    return told if reading.value is None else {**told, "value": reading.value}


def composite_reason(alarm: AlarmRecord, children: Sequence[AlarmRecord], state: str) -> tuple[str, str]:
    """The child that has changed last brought it about; at first it is the rule itself."""
    arn = alarm.meta.arn
    triggering = sorted(children, key=lambda child: child.status.since)[-1:]
    if not alarm.status.evaluated:
        done = "created" if alarm.status.state == alarms.INSUFFICIENT else "updated"
        reason = f"{arn} was {done} and its alarm rule evaluates to {state}"
        triggering = list(children)
    elif triggering:
        status = triggering[0].status
        at = datetime.fromtimestamp(status.since, UTC).strftime("%A %d %B, %Y %H:%M:%S UTC")
        reason = f"{triggering[0].meta.arn} transitioned to {status.state} at {at}"
    else:
        reason = f"The alarm rule of {arn} evaluates to {state}"
    told = [
        {"arn": each.meta.arn, "state": {"value": each.status.state, "timestamp": notices.moment(each.status.since)}}
        for each in triggering
    ]
    data = json.dumps({"triggeringAlarms": told}, separators=(",", ":"))
    while len(data) > MOST_DATA:
        told = told[:-1]
        data = json.dumps({"triggeringAlarms": told}, separators=(",", ":"))
    return reason[:1023], data
