"""What alarms may be: the request of PutMetricAlarm and PutCompositeAlarm, checked and made a record of."""

from __future__ import annotations

from collections.abc import Mapping

from havre.control.operation import Call, Request
from havre.core.metrics.alarm_rules import RuleError, children, parse
from havre.core.metrics.alarms import COMPARISONS, offset_of
from havre.core.metrics.statistics import SIMPLE, statistic
from havre.kernel.errors import not_built
from havre.services.cloudwatch import actions, metric_queries, names
from havre.services.cloudwatch.errors import validation
from havre.services.cloudwatch.resources import COMPOSITE, METRIC, Alarm

PERIODS = (10, 20, 30)
DAY, WEEK, HOUR, MINUTE = 86_400, 604_800, 3600, 60
STATES = {"OK": "OKActions", "ALARM": "AlarmActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_OWN = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
_KEPT = (
    *_OWN, "AlarmDescription", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator",
    "TreatMissingData", "EvaluateLowSampleCountPercentile", "Metrics", "EvaluationWindow",
)  # fmt: skip
_ABSENT = (
    "ThresholdMetricId", "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval", "ActionConfiguration",
)  # fmt: skip
_SUPPRESSING = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_OPTIONS = {
    "TreatMissingData": ("breaching", "notBreaching", "ignore", "missing"),
    "EvaluateLowSampleCountPercentile": ("evaluate", "ignore"),
}


def metric_alarm(call: Call, request: Request, tags: Mapping[str, str]) -> Alarm:
    """Raises ApiError."""
    _built(call, request)
    _options(request)
    if ("Metrics" in request) == ("MetricName" in request):
        raise validation("Exactly one of the parameters MetricName and Metrics must be specified.")
    period = _of_metrics(call, request) if "Metrics" in request else _of_metric(request)
    for name in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if name not in request:
            raise validation(f"The parameter {name} is required for alarms on a static threshold.")
    if request["ComparisonOperator"] not in COMPARISONS:
        raise not_built("cloudwatch", f"alarms that are {request['ComparisonOperator']}: there is no anomaly detection")
    _window(request, period)
    periods = request["EvaluationPeriods"]
    if request.get("DatapointsToAlarm", 1) > periods:
        raise validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if period < HOUR and periods * period > DAY:
        raise validation(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
        )
    if periods * period > WEEK:
        raise validation(
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800)."
        )
    given = {name: request[name] for name in _KEPT if name in request}
    enabled = request.get("ActionsEnabled", True)
    return Alarm(request["AlarmName"], METRIC, given, call.now, enabled, _actions(call, request), tags=tags)


def _built(call: Call, request: Request) -> None:
    absent = [name for name in _ABSENT if name in request]
    if absent:
        raise not_built("cloudwatch", f"{call.operation} with {', '.join(absent)}")


def _window(request: Request, period: int) -> None:
    clock = request.get("EvaluationWindow", {}).get("WallClockWindow")
    if clock is None:
        return
    if period not in (MINUTE, 5 * MINUTE, HOUR, DAY, WEEK):
        raise validation("The period of an alarm with a WallClockWindow must be 60, 300, 3600, 86400 or 604800.")
    if period == WEEK:
        raise not_built("cloudwatch", "alarms with a WallClockWindow of weeks")
    zone = clock.get("Timezone", "UTC")
    if offset_of(zone) is None:
        raise not_built("cloudwatch", f"the Timezone {zone} of a WallClockWindow: it may be UTC, or an offset")


def _options(request: Request) -> None:
    for name, options in _OPTIONS.items():
        if name in request and request[name] not in options:
            raise validation(
                f"Option {request[name]} is not supported. "
                f"Supported options for parameter {name} are {', '.join(options)}."
            )


def _of_metric(request: Request) -> int:
    """The period of an alarm on a metric."""
    if "Namespace" not in request:
        raise validation("The parameter Namespace is required with the parameter MetricName.")
    if ("Statistic" in request) == ("ExtendedStatistic" in request):
        raise validation("Exactly one of the parameters Statistic and ExtendedStatistic must be specified.")
    extended = request.get("ExtendedStatistic")
    if extended is not None and (extended in SIMPLE or statistic(extended) is None):
        raise validation(f"The value {extended} for parameter ExtendedStatistic is not supported.")
    if "EvaluateLowSampleCountPercentile" in request and not (extended or "").lower().startswith("p"):
        raise validation("EvaluateLowSampleCountPercentile can only be specified for alarms based on percentiles.")
    names.dimensions(request.get("Dimensions"))
    if "Period" not in request:
        raise validation("The parameter Period is required with the parameter MetricName.")
    return _period(request["Period"])


def _period(period: int) -> int:
    if period not in PERIODS and period % 60:
        raise validation("Period must be 10, 20, 30 or a multiple of 60.")
    return period


def _of_metrics(call: Call, request: Request) -> int:
    """The period of an alarm on an expression: the longest of its metrics'."""
    own = [name for name in _OWN if name in request]
    if own:
        raise validation(f"The parameters {', '.join(own)} must not be specified with the parameter Metrics.")
    queries = metric_queries.read(request["Metrics"], "Metrics", call.account)
    returned = [query for query in queries if query.returned]
    if len(returned) != 1:
        raise validation("Exactly one element of the Metrics list should return data.")
    for query in queries:
        _period(query.period)
    return metric_queries.longest(queries)


def composite_alarm(call: Call, request: Request, tags: Mapping[str, str]) -> Alarm:
    """Raises ApiError."""
    _built(call, request)
    try:
        found = children(parse(request["AlarmRule"]))
    except RuleError as wrong:
        raise validation(f"Error in AlarmRule: {wrong}") from None
    _suppressor(request)
    given = {name: request[name] for name in ("AlarmDescription", *_SUPPRESSING) if name in request}
    enabled = request.get("ActionsEnabled", True)
    done = _actions(call, request)
    for arn in (arn for arns in done.values() for arn in arns if arn.split(":")[2] == "autoscaling"):
        raise validation(f"Composite alarms have no auto scaling actions: {arn}")
    where = (request["AlarmName"], COMPOSITE, given, call.now, enabled, done)
    return Alarm(*where, request["AlarmRule"], found, tags)


def _suppressor(request: Request) -> None:
    said = [name for name in _SUPPRESSING if name in request]
    if said and len(said) < len(_SUPPRESSING):
        raise validation(f"The parameters {', '.join(_SUPPRESSING)} must be specified together.")
    if any(request[name] < 0 for name in said[1:]):
        raise validation(f"The parameters {', '.join(_SUPPRESSING[1:])} must not be negative.")
    if said and names.alarm_name(request["ActionsSuppressor"]) == request["AlarmName"]:
        raise validation("An alarm cannot be its own ActionsSuppressor.")


def _actions(call: Call, request: Request) -> Mapping[str, tuple[str, ...]]:
    found = {state: tuple(dict.fromkeys(request.get(member) or ())) for state, member in STATES.items()}
    for arns in found.values():
        actions.check(call.region, arns)
    return found
