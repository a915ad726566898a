"""Dashboards: kept as they are given, refused where they are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.cloudwatch.cloudwatch_harness import ACCOUNT, CloudWatch, refusal

from havre.core.metrics.dashboards import problems

METRIC = {"metrics": [["AWS/EC2", "CPUUtilization", "InstanceId", "i-1"]], "region": "us-east-1"}
WIDGET = {"type": "metric", "x": 0, "y": 0, "width": 6, "height": 6, "properties": METRIC}
BODY = json.dumps({"widgets": [WIDGET, {"type": "text", "properties": {"markdown": "# hi"}}]})


def test_a_dashboard_comes_back_as_it_was_given(watch: CloudWatch) -> None:
    client = watch.client
    assert (
        client.put_dashboard(DashboardName="one", DashboardBody='{"widgets": []}')["DashboardValidationMessages"] == []
    )
    client.put_dashboard(DashboardName="one", DashboardBody=BODY, Tags=[{"Key": "late", "Value": "x"}])
    arn = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/one"
    found = client.get_dashboard(DashboardName="one")
    assert (found["DashboardArn"], found["DashboardBody"], found["DashboardName"]) == (arn, BODY, "one")
    elsewhere = watch.running.client("cloudwatch", region="eu-west-1")
    (entry,) = elsewhere.list_dashboards(DashboardNamePrefix="on")["DashboardEntries"]
    assert (entry["DashboardName"], entry["Size"]) == ("one", len(BODY))
    assert client.list_dashboards(DashboardNamePrefix="two")["DashboardEntries"] == []
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    client.tag_resource(ResourceARN=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    client.put_dashboard(DashboardName="two", DashboardBody=BODY)
    assert refusal(client.delete_dashboards, DashboardNames=["one", "none"]) == (
        "ResourceNotFound",
        "The specified dashboard does not exist. [none]",
    )
    client.delete_dashboards(DashboardNames=["one", "two"])
    assert client.list_dashboards()["DashboardEntries"] == []
    assert refusal(client.get_dashboard, DashboardName="one")[0] == "ResourceNotFound"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ([], "", "Should be object"),
        ({}, "", "Should have required property 'widgets'"),
        ({"widgets": {}}, "/widgets", "Should be array"),
        ({"widgets": [1]}, "/widgets/0", "Should be object"),
        (
            {"widgets": [{"type": "pie", "properties": {}}]},
            "/widgets/0/type",
            "Should be equal to one of the allowed values",
        ),
        ({"widgets": [{**WIDGET, "x": 24}]}, "/widgets/0/x", "Should be <= 23"),
        ({"widgets": [{**WIDGET, "height": 0}]}, "/widgets/0/height", "Should be >= 1"),
        ({"widgets": [{**WIDGET, "y": "0"}]}, "/widgets/0/y", "Should be integer"),
        ({"widgets": [{"type": "metric"}]}, "/widgets/0", "Should have required property 'properties'"),
        (
            {"widgets": [{**WIDGET, "properties": {}}]},
            "/widgets/0/properties",
            "The metric widget should have specified a region and a data source or an alarm annotation",
        ),
        (
            {"widgets": [{**WIDGET, "properties": {**METRIC, "metrics": ["a"]}}]},
            "/widgets/0/properties/metrics/0",
            "Should be array",
        ),
        (
            {"widgets": [{"type": "text", "properties": {}}]},
            "/widgets/0/properties",
            "Should have required property 'markdown'",
        ),
    ],
)
def test_bad_bodies_are_refused_with_where_and_why(watch: CloudWatch, body: Any, path: str, message: str) -> None:
    code, said = refusal(watch.client.put_dashboard, DashboardName="d", DashboardBody=json.dumps(body))
    assert code == "InvalidParameterInput"
    assert said.startswith("The dashboard body is invalid, there ")
    assert f'"dataPath": "{path}",' in said
    assert message in said
    assert watch.client.list_dashboards()["DashboardEntries"] == []


def test_bad_names_and_texts_are_refused(watch: CloudWatch) -> None:
    put = watch.client.put_dashboard
    assert refusal(put, DashboardName="a b", DashboardBody=BODY)[0] == "InvalidParameterInput"
    assert (
        refusal(put, DashboardName="d", DashboardBody="{")[1] == "The field DashboardBody must be a valid JSON object"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["widgets", "type", "properties", "metrics", "x", "a"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_looked_at(body: Any) -> None:
    assert all(isinstance(path, str) and message for path, message in problems(body))
