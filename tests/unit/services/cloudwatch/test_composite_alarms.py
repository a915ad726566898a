"""Alarms on other alarms; and alarms of either kind through restarts and disks that refuse."""

from __future__ import annotations

import json

from tests.unit.services.cloudwatch.alarm_world import ARN, AlarmWorld
from tests.unit.services.cloudwatch.cloudwatch_harness import refusal

from havre.kernel.errors import Temporary


def test_composite_alarms_follow_their_children(world: AlarmWorld) -> None:
    topic = world.topic()
    for name in ("one", "two"):
        world.alarm(name, TreatMissingData="ignore")
    rule = f'ALARM(one) AND NOT (OK("{ARN}:two"))'
    world.client.put_composite_alarm(AlarmName="both", AlarmRule=rule, AlarmActions=[topic], AlarmDescription="d")
    found = world.until_state("OK", "both")
    assert found["StateReason"] == f"{ARN}:both was created and its alarm rule evaluates to OK"
    world.client.put_composite_alarm(AlarmName="above", AlarmRule="ALARM(both)")
    world.client.set_alarm_state(AlarmName="one", StateValue="ALARM", StateReason="r")
    found = world.until_state("ALARM", "both")
    assert found["StateReason"].startswith(f"{ARN}:one transitioned to ALARM at ")
    (triggering,) = json.loads(found["StateReasonData"])["triggeringAlarms"]
    assert (triggering["arn"], triggering["state"]["value"]) == (f"{ARN}:one", "ALARM")
    world.until_state("ALARM", "above")
    (message,) = world.messages()
    assert (message["AlarmRule"], message["AlarmDescription"]) == (rule, "d")
    assert message["TriggeringChildren"][0]["Arn"] == f"{ARN}:one"
    world.client.set_alarm_state(AlarmName="two", StateValue="OK", StateReason="r")
    world.until_state("OK", "both")
    assert [
        each["Detail"]["configuration"]["alarmRule"]
        for each in world.told("State Change")
        if "both" in each["Resources"][0]
    ]


def test_composite_alarms_are_refused_in_words(world: AlarmWorld) -> None:
    put = world.client.put_composite_alarm
    assert refusal(put, AlarmName="c", AlarmRule="ALARM(none)") == (
        "ValidationError",
        "Could not save the composite alarm as alarms [none] do not exist",
    )
    assert "Error in AlarmRule" in refusal(put, AlarmName="c", AlarmRule="ALARM(none")[1]
    periods = {"ActionsSuppressorWaitPeriod": 1, "ActionsSuppressorExtensionPeriod": 1}
    for suppressing, said in (
        ({"ActionsSuppressor": "a"}, "must be specified together"),
        ({"ActionsSuppressor": "a", **periods, "ActionsSuppressorWaitPeriod": -1}, "must not be negative"),
        ({"ActionsSuppressor": f"{ARN}:c", **periods}, "its own"),
        ({"ActionsSuppressor": "a", **periods}, "does not exist"),
        (
            {"AlarmActions": ["arn:aws:autoscaling:us-east-1:1:scalingPolicy:u:resource/ecs/s:policyName/p"]},
            "auto scaling",
        ),
    ):
        code, message = refusal(put, AlarmName="c", AlarmRule="TRUE", **suppressing)
        assert (code, said in message) == ("ValidationError", True), message
    world.alarm()
    put(AlarmName="c", AlarmRule="ALARM(a)")
    put(AlarmName="d", AlarmRule="FALSE")
    delete = world.client.delete_alarms
    assert "depend on it" in refusal(delete, AlarmNames=["a"])[1]
    assert "At most one composite" in refusal(delete, AlarmNames=["c", "d"])[1]
    assert "of another type" in refusal(put, AlarmName="a", AlarmRule="TRUE")[1]
    delete(AlarmNames=["a", "c"])
    assert world.client.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]["AlarmName"] == "d"


def test_another_alarm_holds_actions_back(world: AlarmWorld) -> None:
    topic = world.topic()
    for name in ("cause", "deploying"):
        world.alarm(name, TreatMissingData="ignore")
    terms = {"ActionsSuppressorWaitPeriod": 600, "ActionsSuppressorExtensionPeriod": 0}
    suppressing = {"ActionsSuppressor": f"{ARN}:deploying", **terms}
    world.client.put_composite_alarm(AlarmName="all", AlarmRule="ALARM(cause)", AlarmActions=[topic], **suppressing)
    world.client.set_alarm_state(AlarmName="cause", StateValue="ALARM", StateReason="r")
    found = world.until_state("ALARM", "all")
    assert (found["ActionsSuppressedBy"], found["ActionsSuppressedReason"]) == (
        "WaitPeriod",
        "Actions suppressed by WaitPeriod",
    )
    assert {name: found[name] for name in suppressing} == suppressing
    world.client.set_alarm_state(AlarmName="deploying", StateValue="ALARM", StateReason="r")
    world.until(lambda: world.described("all").get("ActionsSuppressedBy") == "Alarm")
    assert world.messages() == []
    world.client.set_alarm_state(AlarmName="deploying", StateValue="OK", StateReason="r")
    world.until(lambda: world.messages())
    assert [(each["AlarmName"], each["NewStateValue"]) for each in world.messages()] == [("all", "ALARM")]
    found = world.described("all")
    assert "ActionsSuppressedBy" not in found
    assert found["StateTransitionedTimestamp"] < found["StateUpdatedTimestamp"]
    details = [each["Detail"] for each in world.told("State Change") if each["Detail"]["alarmName"] == "all"]
    held = [each["state"].get("actionsSuppressedBy") for each in details if each["state"]["value"] == "ALARM"]
    assert held == ["WaitPeriod", "Alarm", None]


def test_alarms_go_on_after_a_restart(world: AlarmWorld) -> None:
    topic = world.topic()
    world.alarm(AlarmActions=[topic])
    world.stop()
    world.put(5.0, Dimensions=[])
    world.start()
    world.until_state("ALARM")
    world.until(lambda: world.messages())
    assert [each["NewStateValue"] for each in world.messages()] == ["ALARM"]


def test_alarms_wait_for_a_disk_that_refuses(world: AlarmWorld) -> None:
    world.alarm("one", TreatMissingData="notBreaching")
    world.client.put_composite_alarm(AlarmName="all", AlarmRule="ALARM(one)")
    world.until_state("OK", "one")
    world.until_state("OK", "all")
    refused: list[int] = []

    def refuse() -> None:
        refused.append(1)
        raise Temporary("full")

    world.running.store.fault = refuse
    world.put(5.0)
    world.until(lambda: len(refused) >= 3, "the third attempt")
    assert world.state("one") == "OK"
    world.running.store.fault = None
    world.until_state("ALARM", "one")
    world.until_state("ALARM", "all")
