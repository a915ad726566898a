"""Alarms, and what has become of them, as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.resource import scoped
from havre.services.cloudwatch import history, names, present
from havre.services.cloudwatch.errors import no_alarm, validation
from havre.services.cloudwatch.paging import ALARMS
from havre.services.cloudwatch.resources import ALARM, COMPOSITE, METRIC, AlarmRecord
from havre.store.ports import Entry, Part

ops = Operations()
PAGE = 50
SCANNED = 10_000
"""Items of the history that one answer looks through at most."""
_TYPES = (METRIC, COMPOSITE, "LogAlarm")


@ops("DescribeAlarms", resources=names.of_described)
async def describe_alarms(call: Call, request: Request) -> Answer:
    if "AlarmNames" in request and "AlarmNamePrefix" in request:
        raise validation("The parameters AlarmNames and AlarmNamePrefix must not be specified together.")
    children, parents = request.get("ChildrenOfAlarmName"), request.get("ParentsOfAlarmName")
    family = children is not None or parents is not None
    if family and set(request) - {"ChildrenOfAlarmName", "MaxRecords", "NextToken"} and children is not None:
        raise validation("The parameter ChildrenOfAlarmName can be specified with MaxRecords and NextToken alone.")
    if parents is not None and set(request) - {"ParentsOfAlarmName", "MaxRecords", "NextToken"}:
        raise validation("The parameter ParentsOfAlarmName can be specified with MaxRecords and NextToken alone.")
    found = _family(call, children, parents) if family else _filtered(call, request)
    page, token = ALARMS.page(call, request, found, lambda each: each.spec.name, PAGE)
    show: Callable[[AlarmRecord], dict[str, Any]] = present.brief if family else present.alarm
    shown = {kind: [show(each) for each in page if each.spec.type == kind] for kind in (METRIC, COMPOSITE)}
    return {"MetricAlarms": shown[METRIC], "CompositeAlarms": shown[COMPOSITE], "NextToken": token}


def _family(call: Call, children: str | None, parents: str | None) -> Sequence[AlarmRecord]:
    name = children if children is not None else parents
    seen = call.store.get(ALARM, call.account, call.region, str(name))
    if seen is None:
        raise no_alarm()
    if children is None:
        return sorted(call.store.find(ALARM, "child", scoped(call.account, call.region, seen.spec.name)), key=_name)
    of = [call.store.get(ALARM, call.account, call.region, child) for child in seen.spec.children]
    return sorted((each for each in of if each is not None), key=_name)


def _name(record: AlarmRecord) -> str:
    return record.spec.name


def _filtered(call: Call, request: Request) -> Sequence[AlarmRecord]:
    types = request.get("AlarmTypes") or (METRIC,)
    wanted, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
    state, action = request.get("StateValue"), request.get("ActionPrefix")

    def fits(each: AlarmRecord) -> bool:
        actions = [arn for arns in each.spec.actions.values() for arn in arns]
        return (
            each.spec.type in types
            and (wanted is None or each.spec.name in wanted)
            and each.spec.name.startswith(prefix)
            and state in (None, each.status.state)
            and (action is None or any(arn.startswith(action) for arn in actions))
        )

    return sorted((each for each in call.store.list(ALARM, call.account, call.region) if fits(each)), key=_name)


@ops("DescribeAlarmsForMetric")
async def describe_alarms_for_metric(call: Call, request: Request) -> Answer:
    """Of this very metric, with these very dimensions; alarms on expressions are not among them, as on AWS."""
    dimensions = names.dimensions(request.get("Dimensions"))
    told = [name for name in ("Statistic", "ExtendedStatistic", "Period", "Unit") if name in request]

    def fits(each: AlarmRecord) -> bool:
        given = each.spec.given
        return (
            given.get("MetricName") == request["MetricName"]
            and given.get("Namespace") == request["Namespace"]
            and names.dimensions(given.get("Dimensions")) == dimensions
            and all(given.get(name) == request[name] for name in told)
        )

    every = call.store.list(ALARM, call.account, call.region)
    return {"MetricAlarms": [present.alarm(each) for each in sorted(every, key=_name) if fits(each)]}


@ops("DescribeAlarmHistory", resources=names.of_described)
async def describe_alarm_history(call: Call, request: Request) -> Answer:
    """The newest first, unless it is asked for otherwise."""
    newest = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    start, end = request.get("StartDate"), request.get("EndDate")
    place = ALARMS.read(call, request)
    most = request.get("MaxRecords") or 100
    part = Part(
        start=max(int((call.now - history.KEPT) * 1000), int((start or 0) * 1000)),
        end=None if end is None else int(end * 1000) + 1,
        after=None if place is None else (place[0], place[1]),
        reverse=newest,
    )
    entries = await call.journal.scan(history.stream(call.account, call.region), part, limit=SCANNED)
    shown: list[dict[str, Any]] = []
    for entry in entries:
        item = history.decode(entry.data)
        if _asked_for(request, item):
            shown.append(_item(entry, item))
        if len(shown) == most and entry is not entries[-1]:
            return {"AlarmHistoryItems": shown, "NextToken": _token(call, request, entry)}
    token = _token(call, request, entries[-1]) if len(entries) == SCANNED else None
    return {"AlarmHistoryItems": shown, "NextToken": token}


def _token(call: Call, request: Request, entry: Entry) -> str:
    return ALARMS.write(call, request, [entry.at, entry.seq])


def _asked_for(request: Request, item: history.Item) -> bool:
    """Of all types where none is named but the alarm is; of metric alarms where neither is."""
    types = request.get("AlarmTypes") or (_TYPES if "AlarmName" in request else (METRIC,))
    return (
        request.get("AlarmName", item.alarm) == item.alarm
        and item.type in types
        and request.get("HistoryItemType", item.item) == item.item
    )


def _item(entry: Entry, item: history.Item) -> dict[str, Any]:
    return {
        "AlarmName": item.alarm,
        "AlarmType": item.type,
        "Timestamp": entry.at / 1000,
        "HistoryItemType": item.item,
        "HistorySummary": item.summary,
        "HistoryData": history.shown_data(item),
    }
