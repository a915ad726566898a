"""Alarms: how they are shown, how they change, what they do."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from tests.running_gateway import ACCOUNT
from tests.unit.services.cloudwatch.alarm_world import ARN, SIMPLE, AlarmWorld, function_arn, stat
from tests.unit.services.cloudwatch.cloudwatch_harness import refusal

from havre.services.cloudwatch.resources import ACTION


def test_an_alarm_is_shown_as_it_was_put(world: AlarmWorld) -> None:
    topic = world.topic()
    dimensions = [{"Name": "InstanceId", "Value": "abc"}]
    window: dict[str, Any] = {"EvaluationWindow": {"SlidingWindow": {}}}
    given = {
        "AlarmDescription": "d",
        "Unit": "Seconds",
        **window,
        "TreatMissingData": "ignore",
        "Dimensions": dimensions,
    }
    world.alarm(**given, EvaluationPeriods=2, DatapointsToAlarm=1, OKActions=[topic], AlarmActions=[topic])
    found = world.described()
    stamps = ("AlarmConfigurationUpdatedTimestamp", "StateTransitionedTimestamp", "StateUpdatedTimestamp")
    assert {name: found.pop(name) for name in stamps}.keys() == set(stamps)
    assert found == {
        **SIMPLE,
        **given,
        "AlarmName": "a",
        "AlarmArn": f"{ARN}:a",
        "EvaluationPeriods": 2,
        "DatapointsToAlarm": 1,
        "ActionsEnabled": True,
        "OKActions": [topic],
        "AlarmActions": [topic],
        "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
    }


def test_an_alarm_follows_its_metric_and_tells_a_topic(world: AlarmWorld) -> None:
    topic = world.topic()
    world.put(2.5)
    world.put(2.5)
    world.alarm(AlarmActions=[topic], OKActions=[topic], AlarmDescription="too many", Dimensions=[])
    found = world.until_state("ALARM")
    assert found["StateReason"].startswith("Threshold Crossed: 1 datapoint [5.0 (")
    assert found["StateReason"].endswith(")] was greater than the threshold (2.0).")
    data = json.loads(found["StateReasonData"])
    assert {name: data[name] for name in ("version", "statistic", "period", "recentDatapoints", "threshold")} == {
        "version": "1.0",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [5.0],
        "threshold": 2.0,
    }
    (point,) = data["evaluatedDatapoints"]
    assert (point["sampleCount"], point["value"]) == (2.0, 5.0)
    (message,) = world.messages()
    assert message["AlarmName"] == "a"
    assert (message["OldStateValue"], message["NewStateValue"]) == ("INSUFFICIENT_DATA", "ALARM")
    assert message["NewStateReason"] == found["StateReason"]
    assert (message["Region"], message["AWSAccountId"]) == ("US East (N. Virginia)", ACCOUNT)
    assert message["Trigger"] == {
        "MetricName": "Errors",
        "Namespace": "App",
        "StatisticType": "Statistic",
        "Statistic": "SUM",
        "Unit": None,
        "Dimensions": [],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 2.0,
        "TreatMissingData": "",
        "EvaluateLowSampleCountPercentile": "",
    }
    world.put(-4.0)
    assert world.until_state("OK")["StateReason"].endswith("was not greater than the threshold (2.0).")
    world.until(lambda: len(world.messages()) == 2)
    assert world.messages()[1]["NewStateValue"] == "OK"


def test_eventbridge_hears_of_every_change(world: AlarmWorld) -> None:
    world.put(5.0)
    world.alarm(AlarmDescription="too many", Dimensions=[])
    world.until_state("ALARM")
    world.alarm(Threshold=3.0)
    world.client.delete_alarms(AlarmNames=["a"])
    world.settled(ACTION)
    (change,) = world.told("State Change")
    assert (change["Source"], change["Resources"]) == ("aws.cloudwatch", [f"{ARN}:a"])
    detail = change["Detail"]
    assert (detail["state"]["value"], detail["previousState"]["value"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert json.loads(detail["state"]["reasonData"])["threshold"] == 2.0
    assert detail["configuration"]["description"] == "too many"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {"namespace": "App", "name": "Errors", "dimensions": {}},
        "period": 60,
        "stat": "Sum",
    }
    assert [each["Detail"]["operation"] for each in world.told("Configuration Change")] == [
        "create",
        "update",
        "delete",
    ]


def test_missing_data_are_treated_as_the_alarm_says(world: AlarmWorld) -> None:
    world.alarm("breaching", TreatMissingData="breaching", EvaluationPeriods=2)
    world.alarm("good", TreatMissingData="notBreaching")
    world.alarm("ignored", TreatMissingData="ignore")
    world.client.set_alarm_state(AlarmName="ignored", StateValue="OK", StateReason="by hand")
    reason = "no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching]."
    assert world.until_state("ALARM", "breaching")["StateReason"] == f"Threshold Crossed: {reason}"
    data = json.loads(world.described("breaching")["StateReasonData"])
    assert data["recentDatapoints"] == []
    assert len(data["evaluatedDatapoints"]) == 2
    assert "startDate" not in data
    assert world.until_state("OK", "good")["StateReason"].endswith("1 missing datapoint was treated as [NonBreaching].")
    assert world.described("ignored")["StateReason"] == "by hand"


def test_periods_may_be_those_of_the_clock(world: AlarmWorld) -> None:
    hour = int(time.time()) // 3600 * 3600
    for at in (hour - 1800, hour - 3600 - 60):
        data = [{"MetricName": "Errors", "Value": 5.0, "Timestamp": at}]
        world.client.put_metric_data(Namespace="App", MetricData=data)
    world.alarm(Period=3600, EvaluationWindow={"WallClockWindow": {"Timezone": "+01:00"}}, Threshold=4.0)
    data = json.loads(world.until_state("ALARM")["StateReasonData"])
    assert data["recentDatapoints"] == [5.0]
    assert data["startDate"] == datetime.fromtimestamp(hour - 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def test_expressions_raise_alarms(world: AlarmWorld) -> None:
    for ago in (1, 2):
        world.put(30.0, ago, "errors")
        world.put(100.0, ago, "requests")
    metrics = [stat("e", "errors"), stat("r", "requests"), {"Id": "rate", "Expression": "100 * e / r", "Label": "rate"}]
    topic = world.topic()
    world.expression("rate", metrics, EvaluationPeriods=2, Threshold=25.0, AlarmActions=[topic])
    found = world.until_state("ALARM", "rate")
    assert found["StateReason"].startswith("Threshold Crossed: 2 datapoints [30.0 (")
    assert [each["ReturnData"] for each in found["Metrics"]] == [False, False, True]
    (message,) = world.messages()
    assert [each["Id"] for each in message["Trigger"]["Metrics"]] == ["e", "r", "rate"]
    assert "MetricName" not in message["Trigger"]


def test_a_function_is_invoked_for_the_alarms_sake(world: AlarmWorld) -> None:
    function = function_arn("f")
    allow = {"Effect": "Allow", "Principal": {"Service": "lambda.alarms.cloudwatch.amazonaws.com"}, "Action": "*"}
    condition = {"ArnLike": {"aws:SourceArn": f"{ARN}:a"}}
    world.policies[function] = {
        "Version": "2012-10-17",
        "Statement": {**allow, "Resource": "*", "Condition": condition},
    }
    for name in ("a", "b"):
        world.alarm(name, AlarmActions=[function])
        world.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="testing alarm")
    world.settled(ACTION)
    (event,) = world.invoked("f")
    assert event["alarmArn"] == f"{ARN}:a"
    assert event["alarmData"]["state"]["reason"] == "testing alarm"
    assert event["alarmData"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    (done,) = world.history("a", HistoryItemType="Action")
    assert done["HistorySummary"] == f"Successfully executed action {function}"
    (failed,) = world.history("b", HistoryItemType="Action")
    assert failed["HistorySummary"] == f"Failed to execute action {function}"
    assert "AccessDenied" in failed["HistoryData"]


def test_a_topics_own_policy_decides(world: AlarmWorld) -> None:
    allow = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish"}
    condition = {"ArnEquals": {"aws:SourceArn": f"{ARN}:a"}}
    policy = {"Version": "2012-10-17", "Statement": {**allow, "Resource": "*", "Condition": condition}}
    topic = world.topic(Policy=json.dumps(policy))
    for name in ("a", "b"):
        world.alarm(name, AlarmActions=[topic])
        world.client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="r")
    world.settled(ACTION)
    world.until(lambda: world.messages())
    assert [each["AlarmName"] for each in world.messages()] == ["a"]
    (failed,) = world.history("b", HistoryItemType="Action")
    assert "AuthorizationError" in failed["HistoryData"]


def test_actions_can_be_switched_off(world: AlarmWorld) -> None:
    topic = world.topic()
    world.alarm(AlarmActions=[topic], OKActions=[topic], TreatMissingData="ignore")
    world.client.disable_alarm_actions(AlarmNames=["a", "nobody"])
    assert world.described()["ActionsEnabled"] is False
    world.client.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="r")
    world.client.enable_alarm_actions(AlarmNames=["a"])
    world.client.set_alarm_state(AlarmName="a", StateValue="OK", StateReason="r")
    world.client.set_alarm_state(AlarmName="a", StateValue="OK", StateReason="again")
    world.settled(ACTION)
    world.until(lambda: world.messages())
    assert [each["NewStateValue"] for each in world.messages()] == ["OK"]
    assert world.described()["StateReason"] == "again"


def test_the_history_has_what_happened(world: AlarmWorld) -> None:
    world.alarm(TreatMissingData="ignore")
    for state in ("ALARM", "OK", "ALARM"):
        data = json.dumps({"by": state})
        world.client.set_alarm_state(AlarmName="a", StateValue=state, StateReason="r", StateReasonData=data)
    summaries = [each["HistorySummary"] for each in world.history()]
    assert summaries == [
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        'Alarm "a" created',
    ]
    first = json.loads(world.history(HistoryItemType="StateUpdate", ScanBy="TimestampAscending")[0]["HistoryData"])
    assert first["oldState"] == {"stateValue": "INSUFFICIENT_DATA", "stateReason": "Unchecked: Initial alarm creation"}
    assert first["newState"] == {"stateValue": "ALARM", "stateReason": "r", "stateReasonData": {"by": "ALARM"}}
    pages = world.client.get_paginator("describe_alarm_history").paginate(
        AlarmName="a", PaginationConfig={"PageSize": 3}
    )
    assert [len(page["AlarmHistoryItems"]) for page in pages] == [3, 1]
    assert world.history("other") == []


def test_alarms_are_found(world: AlarmWorld) -> None:
    topic = world.topic()
    world.alarm("one", TreatMissingData="ignore", AlarmActions=[topic])
    world.alarm("two", TreatMissingData="ignore", Statistic="Average")
    world.client.put_composite_alarm(AlarmName="sum", AlarmRule="ALARM(one) OR ALARM(two)")

    def names(**asked: Any) -> list[str]:
        answer = world.client.describe_alarms(**asked)
        return [each["AlarmName"] for each in answer["MetricAlarms"] + answer["CompositeAlarms"]]

    assert names() == ["one", "two"]
    assert names(AlarmTypes=["CompositeAlarm"]) == ["sum"]
    assert names(AlarmNamePrefix="t") == ["two"]
    assert names(ActionPrefix="arn:aws:sns") == ["one"]
    assert names(StateValue="ALARM") == []
    assert names(ChildrenOfAlarmName="sum") == ["one", "two"]
    assert names(ParentsOfAlarmName="one") == ["sum"]
    pages = world.client.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["MetricAlarms"]) for page in pages] == [1, 1]
    of_metric = world.client.describe_alarms_for_metric
    asked = {"MetricName": "Errors", "Namespace": "App"}
    assert [each["AlarmName"] for each in of_metric(**asked)["MetricAlarms"]] == ["one", "two"]
    assert [each["AlarmName"] for each in of_metric(**asked, Statistic="Average")["MetricAlarms"]] == ["two"]
    assert of_metric(**asked, Dimensions=[{"Name": "x", "Value": "y"}])["MetricAlarms"] == []


def test_an_update_keeps_the_state_and_the_tags(world: AlarmWorld) -> None:
    world.alarm(TreatMissingData="ignore", Tags=[{"Key": "team", "Value": "x"}])
    world.client.set_alarm_state(AlarmName="a", StateValue="OK", StateReason="r")
    world.alarm(TreatMissingData="ignore", Threshold=9.0, Tags=[{"Key": "other", "Value": "y"}])
    found = world.described()
    assert (found["StateValue"], found["Threshold"]) == ("OK", 9.0)
    arn = found["AlarmArn"]
    assert world.client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "x"}]
    world.client.tag_resource(ResourceARN=arn, Tags=[{"Key": "tier", "Value": "1"}])
    world.client.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert world.client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "tier", "Value": "1"}]
    for call, more in (("tag_resource", {"Tags": []}), ("list_tags_for_resource", {})):
        assert refusal(getattr(world.client, call), ResourceARN=f"{ARN}:none", **more)[0] == "ResourceNotFoundException"
    assert refusal(world.client.list_tags_for_resource, ResourceARN="arn:x")[0] == "InvalidParameterValue"


def test_permission_hangs_on_the_alarms_arn(world: AlarmWorld) -> None:
    iam = world.running.client("iam")
    iam.create_user(UserName="u")
    statement = {"Effect": "Allow", "Action": "cloudwatch:*", "Resource": f"{ARN}:mine-*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy)
    user = world.running.client("cloudwatch", iam.create_access_key(UserName="u")["AccessKey"])
    user.put_metric_alarm(AlarmName="mine-1", **SIMPLE)
    assert len(user.describe_alarms(AlarmNames=["mine-1"])["MetricAlarms"]) == 1
    for call, more in (
        (user.put_metric_alarm, {"AlarmName": "yours", **SIMPLE}),
        (user.describe_alarms, {}),
        (user.delete_alarms, {"AlarmNames": ["mine-1", "yours"]}),
        (user.set_alarm_state, {"AlarmName": "yours", "StateValue": "OK", "StateReason": "r"}),
    ):
        assert refusal(call, **more)[0] in ("AccessDenied", "AccessDeniedException")
