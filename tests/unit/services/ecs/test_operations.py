"""Settings, tags, protection, service deployments: on fakes."""

from __future__ import annotations

import pytest
from tests.simulation.harness import ACCOUNT, DEFINITION, REGION, Harness
from tests.unit.services.ecs.ecs_calls import instances, refused, service
from tests.unit.services.ecs.ecs_services import ready

from havre.kernel.errors import ApiError

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"


async def described(h):
    return (await h.call("DescribeServices", services=["web"], include=["TAGS"]))["services"][0]


# Account settings


async def test_settings_of_a_user_hold_before_the_accounts_and_both_before_the_default():
    h = await ready()

    async def holds(principal):
        wanted = {"name": "containerInsights", "effectiveSettings": True, "principalArn": principal}
        answer = await h.call("ListAccountSettings", wanted)
        return answer["settings"][0]["value"]

    assert await holds(USER) == "disabled"
    await h.call("PutAccountSettingDefault", {"name": "containerInsights", "value": "enabled"})
    assert (await holds(USER), await holds(ROOT)) == ("enabled", "enabled")
    made = await h.call("PutAccountSetting", {"name": "containerInsights", "value": "enhanced", "principalArn": USER})
    assert made["setting"] == {
        "name": "containerInsights",
        "value": "enhanced",
        "principalArn": USER,
        "type": "user",
    }
    assert (await holds(USER), await holds(ROOT)) == ("enhanced", "enabled")
    await h.call("DeleteAccountSetting", {"name": "containerInsights", "principalArn": USER})
    assert await holds(USER) == "enabled"
    own = await h.call("ListAccountSettings", principalArn=USER)
    assert own["settings"] == []


async def test_container_insights_of_new_clusters_are_as_the_setting_says():
    h = await ready()
    await h.call("PutAccountSetting", {"name": "containerInsights", "value": "enabled"})
    made = await h.call("CreateCluster", clusterName="two")
    assert made["cluster"]["settings"] == [{"name": "containerInsights", "value": "enabled"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noSuchSetting", "enabled"),
        ("awsvpcTrunking", "maybe"),
        ("taskLongArnFormat", "disabled"),
        ("guardDutyActivate", "on"),
        ("tagResourceAuthorization", "off"),
    ],
)
async def test_settings_that_cannot_be_so_are_refused(name, value):
    h = await ready()
    await refused(h, "InvalidParameterException", "PutAccountSetting", name=name, value=value)
    assert (await h.call("ListAccountSettings"))["settings"] == []


# Tags


async def test_everything_with_an_arn_takes_tags():
    h = await ready()
    arn = await service(h)
    (instance,) = await instances(h)
    task = (await h.tasks())[0]["taskArn"]
    for each in (
        arn,
        instance,
        task,
        f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default",
        f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/web:1",
    ):
        await h.call("TagResource", resourceArn=each, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
        await h.call("UntagResource", resourceArn=each, tagKeys=["a"])
        assert (await h.call("ListTagsForResource", resourceArn=each))["tags"] == [{"key": "b", "value": "2"}]
    assert (await described(h))["tags"] == [{"key": "b", "value": "2"}]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/no", "ClusterNotFoundException"),
        (f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/no", "ResourceNotFoundException"),
        (f"arn:aws:ecs:eu-west-1:{ACCOUNT}:service/default/web", "ResourceNotFoundException"),
        ("web", "InvalidParameterException"),
        ("arn:aws:s3:::bucket", "InvalidParameterException"),
    ],
)
async def test_tags_of_what_is_not_there_are_refused(arn, code):
    h = await ready()
    await refused(h, code, "TagResource", resourceArn=arn, tags=[{"key": "a", "value": "1"}])
    await refused(h, code, "ListTagsForResource", resourceArn=arn)


async def test_tags_are_propagated_to_tasks():
    h = await ready()
    await service(h, tags=[{"key": "a", "value": "1"}], propagateTags="SERVICE", enableECSManagedTags=True)
    arns = (await h.call("ListTasks"))["taskArns"]
    task = (await h.call("DescribeTasks", tasks=arns, include=["TAGS"]))["tasks"][0]
    assert {t["key"]: t["value"] for t in task["tags"]} == {
        "a": "1",
        "aws:ecs:clusterName": "default",
        "aws:ecs:serviceName": "web",
    }


async def test_tagging_at_creation_needs_permission():
    h = await ready()
    h.allowed = lambda action, resources: action != "ecs:TagResource"
    with pytest.raises(ApiError) as error:
        await service(h, tags=[{"key": "a", "value": "1"}])
    assert error.value.code == "AccessDeniedException"
    assert (await h.call("ListServices"))["serviceArns"] == []


async def test_a_service_needs_permission_to_pass_the_roles_of_its_definition():
    h = Harness()
    await h.ready({**DEFINITION, "taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/r"})
    h.allowed = lambda action, resources: action != "iam:PassRole"
    with pytest.raises(ApiError) as error:
        await service(h)
    assert error.value.code == "AccessDeniedException"


# Protection


async def test_a_protected_task_survives_scaling_in_until_protection_ends():
    h = await ready()
    await service(h)
    keep = (await h.tasks())[0]["taskArn"]
    answer = await h.call(
        "UpdateTaskProtection", cluster="default", tasks=[keep], protectionEnabled=True, expiresInMinutes=10
    )
    assert answer["protectedTasks"][0]["expirationDate"] == h.now + 600
    await h.call("UpdateService", service="web", desiredCount=0)
    await h.pass_time(60)
    assert [t["taskArn"] for t in await h.tasks()] == [keep]
    shown = await h.call("GetTaskProtection", cluster="default", tasks=[keep])
    assert shown["protectedTasks"][0]["protectionEnabled"]
    await h.pass_time(600)
    assert await h.tasks() == []


async def test_only_running_tasks_of_services_can_be_protected():
    h = await ready()
    alone = (await h.call("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    answer = await h.call("UpdateTaskProtection", cluster="default", tasks=[alone, "0" * 32], protectionEnabled=True)
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
    await refused(
        h,
        "InvalidParameterException",
        "UpdateTaskProtection",
        cluster="default",
        tasks=[alone],
        protectionEnabled=True,
        expiresInMinutes=2881,
    )


async def test_identifiers_that_can_be_nobodys_are_refused():
    h = await ready()
    invalid = "InvalidParameterException"
    for operation, more in (("DescribeTasks", {"tasks": ["abc"]}), ("StopTask", {"task": "abc"})):
        words = await refused(h, invalid, operation, **more)
        assert words == "taskId length should be one of [32,36]"
    await h.call("CreateCluster", clusterName="other")
    task = (await h.call("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    elsewhere = [
        ("DescribeTasks", {"tasks": [task]}),
        ("DescribeServices", {"services": [await service(h)]}),
        ("DescribeContainerInstances", {"containerInstances": [(await instances(h))[0]]}),
    ]
    for operation, more in elsewhere:
        words = await refused(h, invalid, operation, cluster="other", **more)
        assert words == "Invalid identifier: Identifier is for cluster default. Your cluster is other"


# Service deployments


async def test_deployments_are_listed_and_described():
    h = await ready()
    arn = await service(h)
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    await h.settle()
    going, done = (await h.call("ListServiceDeployments", service=arn))["serviceDeployments"]
    assert (going["status"], done["status"]) == ("IN_PROGRESS", "SUCCESSFUL")
    only = await h.call("ListServiceDeployments", service="web", status=["SUCCESSFUL"])
    assert [d["serviceDeploymentArn"] for d in only["serviceDeployments"]] == [done["serviceDeploymentArn"]]
    shown = await h.call("DescribeServiceDeployments", serviceDeploymentArns=[going["serviceDeploymentArn"], "no"])
    (full,) = shown["serviceDeployments"]
    assert full["sourceServiceRevisions"][0]["arn"] == done["targetServiceRevisionArn"]
    assert shown["failures"] == [{"arn": "no", "reason": "MISSING"}]
    target = going["targetServiceRevisionArn"]
    (revision,) = (await h.call("DescribeServiceRevisions", serviceRevisionArns=[target]))["serviceRevisions"]
    assert revision["taskDefinition"].endswith("web:2")
    assert revision["containerImages"][0]["image"] == "example/app:1"
    current = await described(h)
    assert current["currentServiceDeployment"] == going["serviceDeploymentArn"]


async def test_a_deployment_is_stopped_by_rolling_back():
    h = await ready()
    await service(h)
    h.nodes.behave = lambda workload: "fail" if workload.metadata.get("Revision") == "2" else "ok"
    await h.call("UpdateService", service="web", taskDefinition="web:2")
    going = (await described(h))["currentServiceDeployment"]
    await h.call("StopServiceDeployment", serviceDeploymentArn=going)
    await h.pass_time(60)
    now = await described(h)
    assert now["taskDefinition"].endswith("web:1") and now["runningCount"] == 2
    shown = await h.call("DescribeServiceDeployments", serviceDeploymentArns=[going])
    assert shown["serviceDeployments"][0]["status"] == "ROLLBACK_SUCCESSFUL"
    await refused(h, "ConflictException", "StopServiceDeployment", serviceDeploymentArn=going)
    await refused(h, "ServiceDeploymentNotFoundException", "StopServiceDeployment", serviceDeploymentArn="no")


# UpdateService


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"service": "no"}, "ServiceNotFoundException", "Service not found."),
        ({"taskDefinition": "no:1"}, "ClientException", "TaskDefinition not found."),
        ({"desiredCount": -1}, "InvalidParameterException", "desired count"),
        (
            {"capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
            "InvalidParameterException",
            "you must force a new deployment",
        ),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "NotImplementedException", "BLUE_GREEN"),
        ({"serviceConnectConfiguration": {"enabled": True}}, "NotImplementedException", "serviceConnect"),
    ],
)
async def test_updates_that_aws_refuses_change_nothing(members, code, words):
    h = await ready()
    await service(h)
    before = await described(h)
    assert words in await refused(h, code, "UpdateService", **{"service": "web", **members})
    assert await described(h) == before


async def test_what_needs_no_new_deployment_makes_none():
    h = await ready()
    await service(h)
    before = (await described(h))["deployments"][0]["id"]
    configuration = {"minimumHealthyPercent": 50}
    await h.call("UpdateService", service="web", desiredCount=3, deploymentConfiguration=configuration)
    await h.call("UpdateService", service="web", taskDefinition="web:1", propagateTags="SERVICE")
    strategy = [{"type": "spread", "field": "instanceId"}]
    await h.call("UpdateService", service="web", placementStrategy=strategy)
    await h.pass_time(10)
    now = await described(h)
    assert now["deployments"][0]["id"] == before and now["runningCount"] == 3
    assert now["deploymentConfiguration"]["minimumHealthyPercent"] == 50
    assert now["deploymentConfiguration"]["maximumPercent"] == 200
    assert now["placementStrategy"] == strategy
    await h.call("UpdateService", service="web", forceNewDeployment=True)
    await h.pass_time(10)
    assert (await described(h))["deployments"][0]["id"] != before


async def test_an_inactive_service_cannot_be_updated():
    h = await ready()
    await service(h)
    await h.call("DeleteService", service="web", force=True)
    await refused(h, "ServiceNotActiveException", "UpdateService", service="web", desiredCount=1)
    await h.pass_time(10)
    await refused(h, "ServiceNotActiveException", "UpdateService", service="web", desiredCount=1)
    await refused(h, "ServiceNotFoundException", "DeleteService", service="web")
