"""A gateway with CloudWatch on points in memory, and short ways to put and get."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, Running

from havre.control.metrics import Recorder
from havre.core.metrics.values import merge
from havre.services import cloudwatch
from havre.store.memory_points import MemoryPoints

NAMESPACE, METRIC = "App", "Latency"
__all__ = ["ACCOUNT", "METRIC", "NAMESPACE", "CloudWatch", "refusal"]


class CloudWatch:
    """Minutes are counted from the one in which it was made, so that a test does not mind when the next one begins."""

    def __init__(self, *besides: Any) -> None:
        self.points = MemoryPoints(merge)
        self.recorder = Recorder(lambda: self.running.world.now(), lambda: self.points)
        self.facilities = cloudwatch.Facilities(lambda: self.points, self.recorder.flush)
        self.running = Running(besides=(cloudwatch.service(self.facilities), *besides), metrics=self.recorder)
        self._minute = int(time.time()) // 60 * 60
        self.running.hold_answers()
        self.client = self.running.client("cloudwatch", parameter_validation=False)

    def close(self) -> None:
        self.running.close()

    def now(self) -> float:
        return time.time() + self.running.offset

    def minute(self, ago: int = 0) -> int:
        """The start of a minute: the one that this was made in, or so many before."""
        return self._minute - 60 * ago

    def put(self, *values: float, ago: int = 0, metric: str = METRIC, **more: Any) -> None:
        data = [{"MetricName": metric, "Value": v, "Timestamp": self.minute(ago), **more} for v in values]
        self.client.put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def put_data(self, **datum: Any) -> None:
        self.client.put_metric_data(Namespace=NAMESPACE, MetricData=[{"MetricName": METRIC, **datum}])

    def statistics(self, *names: str, minutes: int = 10, period: int = 60, **more: Any) -> list[dict[str, Any]]:
        """Of the last minutes, the present one included, without times and units."""
        asked = {"Namespace": NAMESPACE, "MetricName": METRIC, "Period": period, **more}
        plain = [name for name in names if name[0].isupper() and "(" not in name and name != "IQM"]
        if plain:
            asked["Statistics"] = plain
        if extended := [name for name in names if name not in plain]:
            asked["ExtendedStatistics"] = extended
        asked.setdefault("StartTime", self.minute(minutes - 1))
        asked.setdefault("EndTime", self.minute() + 60)
        answer = self.client.get_metric_statistics(**asked)
        return list(answer["Datapoints"])

    def data(self, *queries: dict[str, Any], minutes: int = 10, **more: Any) -> list[dict[str, Any]]:
        span = {"StartTime": self.minute(minutes - 1), "EndTime": self.minute() + 60, "ScanBy": "TimestampAscending"}
        return list(
            self.client.get_metric_data(MetricDataQueries=list(queries), **{**span, **more})["MetricDataResults"]
        )

    def values(self, expression: str, *metrics: str, minutes: int = 10, stat: str = "Sum") -> list[float]:
        """Of an expression over metrics whose names are their ids."""
        given = [stat_query(name, metric=name, stat=stat, ReturnData=False) for name in metrics]
        (result,) = self.data(*given, {"Id": "e", "Expression": expression}, minutes=minutes)
        return list(result["Values"])


def stat_query(id: str, metric: str = METRIC, stat: str = "Sum", period: int = 60, **more: Any) -> dict[str, Any]:
    dimensions = more.pop("Dimensions", [])
    named = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": dimensions}
    unit = {"Unit": more.pop("Unit")} if "Unit" in more else {}
    return {"Id": id, "MetricStat": {"Metric": named, "Period": period, "Stat": stat, **unit}, **more}


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
    return "", ""
