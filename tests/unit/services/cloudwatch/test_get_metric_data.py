"""GetMetricStatistics and GetMetricData: statistics, periods, metric math, labels, pages."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.cloudwatch.cloudwatch_harness import METRIC, NAMESPACE, CloudWatch, refusal, stat_query

from havre.services.cloudwatch import reading


def test_extended_statistics_are_computed_from_the_values(watch: CloudWatch) -> None:
    watch.put(*(float(n) for n in range(1, 101)))
    (point,) = watch.statistics("p99", "p50.5", "tm90", "TM(10%:90%)", "PR(:50)", "tc50", "ts50", "IQM", "WM(:90%)")
    found = point["ExtendedStatistics"]
    assert found["p99"] == 99
    assert found["p50.5"] == 51
    assert found["tm90"] == pytest.approx(sum(range(1, 91)) / 90)
    assert found["TM(10%:90%)"] == pytest.approx(sum(range(11, 91)) / 80)
    assert found["PR(:50)"] == 50
    assert (found["tc50"], found["ts50"]) == (50, sum(range(1, 51)))
    assert found["IQM"] == pytest.approx(sum(range(26, 76)) / 50)
    assert found["WM(:90%)"] == pytest.approx((sum(range(1, 91)) + 10 * 90) / 100)


def test_units_are_told_apart(watch: CloudWatch) -> None:
    watch.put(1.0, Unit="Count")
    watch.put(2.0, Unit="Seconds")
    assert {p["Unit"]: p["Sum"] for p in watch.statistics("Sum")} == {"Count": 1, "Seconds": 2}
    assert [p["Sum"] for p in watch.statistics("Sum", Unit="Seconds")] == [2]
    (result,) = watch.data(stat_query("m"))
    assert result["Values"] == [1]
    assert result["Messages"] == [{"Code": "MultipleUnits", "Value": "Multiple units returned: '[Count, Seconds]'"}]
    (result,) = watch.data(stat_query("m", Unit="Seconds"))
    assert result["Values"] == [2]


def test_periods_gather_what_is_in_them(watch: CloudWatch) -> None:
    for ago in range(10):
        watch.put(float(ago), ago=ago)
    found = sorted(watch.statistics("Sum", period=300), key=lambda p: p["Timestamp"])
    assert [p["Sum"] for p in found] == [9 + 8 + 7 + 6 + 5, 4 + 3 + 2 + 1 + 0]
    assert found[0]["Timestamp"].timestamp() == watch.minute(9)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"Statistics": []}, "ValidationError", "Member must have length greater than or equal to 1"),
        ({}, "MissingParameter", "Must specify either Statistics or ExtendedStatistics"),
        ({"Statistics": ["Sum"], "Period": 90}, "InvalidParameterValue", "Period"),
        ({"ExtendedStatistics": ["p101"]}, "InvalidParameterValue", "p101"),
        ({"ExtendedStatistics": ["TM(5:2)"]}, "InvalidParameterValue", "TM(5:2)"),
        (
            {"Statistics": ["Sum"], "back": 1441},
            "InvalidParameterCombination",
            "You have requested up to 1441 datapoints",
        ),
        ({"Statistics": ["Sum"], "back": -1}, "InvalidParameterCombination", "StartTime must be less than"),
    ],
)
def test_bad_statistics_are_refused(watch: CloudWatch, more: dict[str, Any], code: str, said: str) -> None:
    end = watch.minute()
    span = {"StartTime": end - 60 * more.pop("back", 10), "EndTime": end, "Period": 60}
    asked = {"Namespace": NAMESPACE, "MetricName": METRIC, **span, **more}
    found = refusal(watch.client.get_metric_statistics, **asked)
    assert found[0] == code, found
    assert said in found[1]


def test_expressions_over_metrics(watch: CloudWatch) -> None:
    for ago, (a, b) in enumerate(((1.0, 10.0), (2.0, 0.0), (4.0, 40.0))):
        watch.put(a, ago=ago, metric="a")
        watch.put(b, ago=ago, metric="b")
    assert watch.values("a / b", "a", "b") == [0.1, 0.1]
    assert watch.values("100 * (b - a) / SUM(b)", "a", "b") == [72.0, -4.0, 18.0]
    assert watch.values("SUM(METRICS())", "a", "b") == [44, 2, 11]
    assert watch.values("MAX([a, b])", "a", "b") == [40, 2, 10]
    assert watch.values("IF(b > 5 AND a < 4, b, -1)", "a", "b") == [-1, -1, 10]
    assert watch.values("DIFF(a)", "a") == [-2, -1]
    assert watch.values("RATE(b) * PERIOD(b)", "b") == [-40, 10]
    assert watch.values("RUNNING_SUM(a)", "a") == [4, 6, 7]
    assert watch.values("-a ^ 2 + CEIL(a / 3)", "a") == [-14, -3, 0]
    assert watch.values("FIRST(SORT(METRICS(), SUM, DESC, 1))", "a", "b") == [40, 0, 10]
    assert watch.values("a - AVG(a)", "a") == pytest.approx([5 / 3, -1 / 3, -4 / 3])


def test_gaps_are_filled(watch: CloudWatch) -> None:
    watch.put(1.0, ago=4, metric="m")
    watch.put(7.0, ago=1, metric="m")
    assert watch.values("FILL(m, 0)", "m", minutes=6) == [0, 1, 0, 0, 7, 0]
    assert watch.values("FILL(m, REPEAT)", "m", minutes=6) == [1, 1, 1, 7, 7]
    assert watch.values("FILL(m, LINEAR)", "m", minutes=6) == [1, 3, 5, 7]
    assert watch.values("TIME_SERIES(3)", minutes=2) == [3, 3]


def test_arrays_give_a_result_each(watch: CloudWatch) -> None:
    for host in "ab":
        watch.put(1.0, Dimensions=[{"Name": "Host", "Value": host}])
    watch.put(5.0, metric="Errors", Dimensions=[{"Name": "Host", "Value": "a"}])
    search = {"Id": "s", "Expression": f"SEARCH('{{{NAMESPACE},Host}} MetricName=\"{METRIC}\"', 'Sum', 60)"}
    found = watch.data(search)
    assert [(r["Id"], r["Label"], r["Values"]) for r in found] == [("s", "a", [1]), ("s", "b", [1])]
    (total,) = watch.data({**search, "Expression": "SUM(" + search["Expression"] + ")"})
    assert total["Values"] == [2]
    (errors,) = watch.data({**search, "Expression": f"SEARCH('{{{NAMESPACE},Host}} errors NOT b', 'Sum')"})
    assert (errors["Values"], errors["Label"]) == ([5], "Errors")
    several = watch.data({**search, "Expression": f"SEARCH('{{{NAMESPACE},Host}} a', 'Sum')"})
    assert [each["Label"] for each in several] == ["Errors", METRIC]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("nobody + 1", "Unknown identifier: 'nobody'"),
        ("e + 1", "refers to itself"),
        ("ANOMALY_DETECTION_BAND(m)", "ANOMALY_DETECTION_BAND"),
        ("SELECT AVG(x) FROM y", "Metrics Insights"),
        ("1 + 2", "results in a number"),
        ("m +", "Unexpected"),
        ("(" * 60 + "m" + ")" * 60, "nested too deeply"),
        ("m" + "+m" * 400, "too long"),
        ("AVG(m, m)", "does not take 2 arguments"),
        ("m & m", "Unexpected '&'"),
    ],
)
def test_bad_expressions_are_refused_in_words(watch: CloudWatch, expression: str, said: str) -> None:
    watch.put(1.0)
    queries = [stat_query("m"), {"Id": "e", "Expression": expression}]
    span = {"StartTime": watch.minute(5), "EndTime": watch.minute() + 60}
    code, message = refusal(watch.client.get_metric_data, MetricDataQueries=queries, **span)
    assert code == "ValidationError"
    assert "Error in expression 'e'" in message
    assert said in message


def test_chains_of_expressions_may_be_long(watch: CloudWatch) -> None:
    watch.put(1.0)
    chain = [{"Id": f"e{n}", "Expression": f"e{n + 1} + 1", "ReturnData": n == 0} for n in range(400)]
    (result,) = watch.data(*chain, stat_query("e400", ReturnData=False))
    assert result["Values"] == [401]


def test_labels(watch: CloudWatch) -> None:
    watch.put(1.0, 4.0)
    sums = watch.data(stat_query("a"), stat_query("b", stat="Minimum", period=300))
    assert [r["Label"] for r in sums] == [f"{METRIC} Sum 60", f"{METRIC} Minimum 300"]
    (own,) = watch.data(stat_query("a", Label="top ${MAX} of ${PROP('MetricName')} (${LABEL}) ${WHAT}"))
    assert own["Label"] == f"top 5 of {METRIC} ({METRIC}) ${{WHAT}}"
    (named,) = watch.data(stat_query("a", ReturnData=False), {"Id": "e", "Expression": "a"})
    assert named["Label"] == "e"


def test_data_come_in_pages(watch: CloudWatch) -> None:
    for ago in range(5):
        watch.put(float(ago), ago=ago)
        watch.put(float(10 + ago), ago=ago, metric="n")
    queries = [stat_query("a"), stat_query("b", metric="n"), stat_query("none", metric="none")]
    span = {"StartTime": watch.minute(9), "EndTime": watch.minute() + 60}
    pages, token = [], {}
    for _ in range(4):
        answer = watch.client.get_metric_data(MetricDataQueries=queries, MaxDatapoints=3, **span, **token)
        pages.append([(r["Id"], r["Values"], r["StatusCode"]) for r in answer["MetricDataResults"]])
        token = {"NextToken": answer.get("NextToken")}
    assert token == {"NextToken": None}
    assert pages == [
        [("a", [0, 1, 2], "PartialData")],
        [("a", [3, 4], "Complete"), ("b", [10], "PartialData")],
        [("b", [11, 12, 13], "PartialData")],
        [("b", [14], "Complete"), ("none", [], "Complete")],
    ]
    assert (
        refusal(watch.client.get_metric_data, MetricDataQueries=queries, NextToken="x", **span)[0] == "InvalidNextToken"
    )


def test_bad_queries_are_refused(watch: CloudWatch) -> None:
    span = {"StartTime": watch.minute(9), "EndTime": watch.minute()}

    def refused(*queries: dict[str, Any], **more: Any) -> str:
        return refusal(watch.client.get_metric_data, MetricDataQueries=list(queries), **{**span, **more})[0]

    assert refused(stat_query("a"), stat_query("a")) == "ValidationError"
    assert refused(stat_query("A")) == "ValidationError"
    assert refused(stat_query("a", stat="Median")) == "ValidationError"
    assert refused(stat_query("a", period=90)) == "ValidationError"
    assert refused(stat_query("a", Expression="1")) == "ValidationError"
    assert refused({"Id": "a"}) == "ValidationError"
    assert refused(stat_query("a", ReturnData=False)) == "ValidationError"
    assert refused(stat_query("a"), EndTime=watch.minute(10)) == "ValidationError"
    assert refused(*(stat_query(f"a{n}") for n in range(501))) == "ValidationError"
    assert refused(stat_query("a", AccountId="999999999999")) == "NotImplementedException"
    assert refused(stat_query("a"), LabelOptions={"Timezone": "+0100"}) == "NotImplementedException"


def test_what_services_measured_is_there_at_once(watch: CloudWatch) -> None:
    async def add() -> None:
        watch.recorder.add("111122223333", "us-east-1", NAMESPACE, METRIC, (), 3.0, "Milliseconds")

    watch.running.wait(add())
    (result,) = watch.data(stat_query("m"), EndTime=watch.minute() + 600)
    assert result["Values"] == [3]


def test_a_request_that_reads_too_much_is_refused(watch: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_READ", 5)
    for ago in range(3):
        watch.put(1.0, ago=ago)
    span = {"StartTime": watch.minute(9), "EndTime": watch.minute() + 60}
    get = watch.client.get_metric_data
    assert len(get(MetricDataQueries=[stat_query("a")], **span)["MetricDataResults"][0]["Values"]) == 3
    for queries in ([stat_query("a"), stat_query("b")], [stat_query("a", stat="p90")]):
        code, message = refusal(get, MetricDataQueries=queries, **span)
        assert (code, message[:43]) == ("ValidationError", "The request reads too many data points. Ask")
