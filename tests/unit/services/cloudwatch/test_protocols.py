"""CloudWatch has changed its protocol twice: clients of each of them are answered alike."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.running_gateway import ROOT
from tests.unit.services.cloudwatch.cloudwatch_harness import CloudWatch

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
JSON = {"Content-Type": "application/x-amz-json-1.0"}


def post(watch: CloudWatch, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    request = AWSRequest("POST", watch.running.url + "/", headers=headers, data=body)
    SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), "monitoring", "us-east-1").add_auth(request)
    sent = urllib.request.Request(request.url, data=body, headers=dict(request.headers.items()), method="POST")
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


def query(watch: CloudWatch, action: str, **parameters: Any) -> tuple[int, str]:
    given = {"Action": action, "Version": "2010-08-01", **parameters}
    status, _, body = post(watch, urlencode(given).encode(), FORM)
    return status, body.decode()


def as_json(watch: CloudWatch, action: str, request: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
    target = {"X-Amz-Target": f"GraniteServiceVersion20100801.{action}"}
    status, headers, body = post(watch, json.dumps(request).encode(), {**JSON, **target})
    return status, headers, json.loads(body or b"{}")


def test_clients_of_the_query_protocol(watch: CloudWatch) -> None:
    at = watch.minute()
    datum = {"MetricData.member.1.MetricName": "M", "MetricData.member.1.Value": "2.5"}
    pairs = {"MetricData.member.1.Dimensions.member.1.Name": "H", "MetricData.member.1.Dimensions.member.1.Value": "a"}
    assert query(watch, "PutMetricData", Namespace="N", **datum, **pairs)[0] == 200
    status, text = query(watch, "ListMetrics", Namespace="N")
    assert status == 200
    assert "<MetricName>M</MetricName>" in text
    span = {"StartTime": at - 60, "EndTime": at + 180, "Period": 60, "Statistics.member.1": "Sum"}
    named = {"Namespace": "N", "MetricName": "M", "Dimensions.member.1.Name": "H", "Dimensions.member.1.Value": "a"}
    status, text = query(watch, "GetMetricStatistics", **named, **span)
    assert (status, "<Sum>2.5</Sum>" in text) == (200, True)
    status, text = query(watch, "PutMetricData", Namespace="N", **{"MetricData.member.1.MetricName": "M"})
    assert (status, "<Code>MissingParameter</Code>" in text) == (400, True)
    status, text = query(watch, "SetAlarmState", AlarmName="x", StateValue="OK", StateReason="r")
    assert (status, "<Code>ResourceNotFound</Code>" in text) == (404, True)
    status, text = query(watch, "PutMetricStream", Name="x")
    assert (status, "PutMetricStream" in text) == (501, True)


def test_clients_of_the_json_protocol(watch: CloudWatch) -> None:
    data = [{"MetricName": "M", "Value": 2.5, "Timestamp": watch.minute()}]
    assert as_json(watch, "PutMetricData", {"Namespace": "N", "MetricData": data})[0] == 200
    status, _, found = as_json(watch, "ListMetrics", {})
    assert (status, found["Metrics"][0]["MetricName"]) == (200, "M")
    status, headers, found = as_json(watch, "PutMetricData", {"Namespace": "N", "MetricData": [{"MetricName": "M"}]})
    assert status == 400
    assert headers["x-amzn-query-error"] == "MissingParameter;Sender"
    assert found["__type"].endswith("MissingRequiredParameterException")


@pytest.mark.parametrize("parameter", ["Namespace", "MetricName"])
def test_a_missing_parameter_is_told_in_either(watch: CloudWatch, parameter: str) -> None:
    given = {"Namespace": "N", "MetricName": "M", "StartTime": 0, "EndTime": 60, "Period": 60}
    del given[parameter]
    status, text = query(watch, "GetMetricStatistics", **given)
    assert (status, "<Code>ValidationError</Code>" in text) == (400, True)
    status, _, found = as_json(watch, "GetMetricStatistics", given)
    assert (status, found["__type"].endswith("ValidationException")) == (400, True)
