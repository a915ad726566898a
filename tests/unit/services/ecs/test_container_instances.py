"""Container instances and their attributes: on fakes."""

from __future__ import annotations

import pytest
from tests.unit.services.ecs.ecs_calls import instances, refused, service
from tests.unit.services.ecs.ecs_services import ready


async def test_an_instance_shows_its_capacity_and_what_is_left():
    h = await ready(engine_version="20.10")
    await h.call("RunTask", taskDefinition="web")
    await h.settle()
    (arn,) = await instances(h)
    (shown,) = (await h.call("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"]
    left = {r["name"]: r for r in shown["remainingResources"]}
    all_ = {r["name"]: r for r in shown["registeredResources"]}
    assert all_["MEMORY"]["integerValue"] - left["MEMORY"]["integerValue"] == 64
    assert all_["CPU"]["integerValue"] - left["CPU"]["integerValue"] == 10
    assert (shown["runningTasksCount"], shown["pendingTasksCount"]) == (1, 0)
    assert shown["agentConnected"] and shown["status"] == "ACTIVE"
    assert {"name": "ecs.os-type", "value": "linux"} in shown["attributes"]
    answer = await h.call("DescribeContainerInstances", containerInstances=["no"])
    assert answer["failures"][0]["reason"] == "MISSING"


async def test_instances_are_listed_by_state_and_by_query():
    h = await ready(nodes=2)
    first, second = await instances(h)
    await h.call("UpdateContainerInstancesState", containerInstances=[first], status="DRAINING")
    await h.settle()
    assert (await h.call("ListContainerInstances", status="DRAINING"))["containerInstanceArns"] == [first]
    await h.call("PutAttributes", attributes=[{"name": "stack", "value": "prod", "targetId": second}])
    found = await h.call("ListContainerInstances", filter="attribute:stack == prod")
    assert found["containerInstanceArns"] == [second]
    await refused(h, "InvalidParameterException", "ListContainerInstances", filter="attribute:stack ==")


async def test_a_draining_instance_loses_the_tasks_of_services_and_gets_no_more():
    h = await ready(nodes=2)
    await service(h, desiredCount=4)
    first, _ = await instances(h)
    at_first = [t for t in await h.tasks() if t["containerInstanceArn"] == first]
    assert len(at_first) == 2
    answer = await h.call("UpdateContainerInstancesState", containerInstances=[first, "no"], status="DRAINING")
    assert answer["containerInstances"][0]["status"] == "DRAINING" and answer["failures"][0]["reason"] == "MISSING"
    await h.pass_time(30)
    tasks = await h.tasks()
    assert len(tasks) == 4 and first not in {t["containerInstanceArn"] for t in tasks}
    await h.call("UpdateContainerInstancesState", containerInstances=[first], status="ACTIVE")
    made = await h.call("RunTask", taskDefinition="web")
    assert made["tasks"][0]["containerInstanceArn"] == first


async def test_a_deregistered_instance_is_gone_and_comes_back_with_a_new_cluster():
    h = await ready()
    (arn,) = await instances(h)
    task = (await h.call("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    await h.settle()
    await refused(h, "InvalidParameterException", "DeregisterContainerInstance", containerInstance=arn)
    gone = await h.call("DeregisterContainerInstance", containerInstance=arn, force=True)
    assert gone["containerInstance"]["status"] == "INACTIVE"
    await h.settle()
    assert await instances(h) == []
    assert (await h.tasks())[0]["lastStatus"] == "RUNNING"
    await h.call("StopTask", task=task)
    await h.settle()
    await h.call("DeleteCluster", cluster="default")
    await h.settle()
    await h.call("CreateCluster")
    assert len(await instances(h)) == 1


async def test_attributes_are_put_listed_and_deleted():
    h = await ready()
    (arn,) = await instances(h)
    put = await h.call("PutAttributes", attributes=[{"name": "stack", "value": "prod", "targetId": arn}])
    assert put["attributes"] == [{"name": "stack", "value": "prod", "targetId": arn}]
    listed = await h.call("ListAttributes", targetType="container-instance", attributeName="stack")
    assert listed["attributes"] == put["attributes"]
    everything = await h.call("ListAttributes", targetType="container-instance")
    assert "ecs.os-type" in {a["name"] for a in everything["attributes"]}
    constraint = [{"type": "memberOf", "expression": "attribute:stack == test"}]
    refusal = await h.call("RunTask", taskDefinition="web", placementConstraints=constraint)
    assert refusal["failures"][0]["reason"] == "MemberOf placement constraint unsatisfied."
    await h.call("DeleteAttributes", attributes=[{"name": "stack", "targetId": arn}])
    listed = await h.call("ListAttributes", targetType="container-instance", attributeName="stack")
    assert listed["attributes"] == []


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ({"name": "a", "targetId": "no"}, "TargetNotFoundException"),
        ({"name": "ecs.os-type", "value": "x"}, "InvalidParameterException"),
        ({"name": "has space", "value": "x"}, "InvalidParameterException"),
        ({"name": "a", "value": " x"}, "InvalidParameterException"),
    ],
)
async def test_bad_attributes_are_refused(attribute, code):
    h = await ready()
    (arn,) = await instances(h)
    await refused(h, code, "PutAttributes", attributes=[{"targetId": arn, **attribute}])


async def test_an_instance_has_at_most_ten_custom_attributes():
    h = await ready()
    (arn,) = await instances(h)
    ten = [{"name": f"a{n}", "targetId": arn} for n in range(10)]
    await h.call("PutAttributes", attributes=ten)
    await refused(h, "AttributeLimitExceededException", "PutAttributes", attributes=[{"name": "b", "targetId": arn}])
