"""What goes wrong, and what is said of it: states, codes and reasons that scripts depend on."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.images import busybox_image, own
from tests.ports import free_port

from .conftest import HAVRE, Instance, eventually, push

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(600)]
IMAGE = own("havre-test-trouble")


@pytest.fixture(scope="module")
def uri(shared: Instance) -> Iterator[str]:
    """An image that sleeps and does not listen to SIGTERM."""
    shared.client("ecs").create_cluster(clusterName="c")
    with busybox_image(IMAGE, "trap '' TERM; while :; do sleep 1; done"):
        yield push(shared, IMAGE, "trouble")


def _define(instance: Instance, family: str, image: str, **container: Any) -> str:
    ecs = instance.client("ecs")
    main = {"name": "main", "image": image, "memory": 32, "cpu": 16, **container}
    ecs.register_task_definition(family=family, networkMode="bridge", containerDefinitions=[main])
    return family


def _secret_reader(instance: Instance) -> str:
    """A role for tasks that may read every secret."""
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    may = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    iam = instance.client("iam")
    role = iam.create_role(RoleName="pulls", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="pulls", PolicyName="p", PolicyDocument=policy)
    return str(role["Arn"])


def test_a_registry_that_wants_a_password(shared: Instance, uri: str) -> None:
    with busybox_image(f"{IMAGE}-private", "exit 4"):
        image = push(shared, f"{IMAGE}-private", "private")
    token = shared.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    login, ends = {"username": "AWS", "password": base64.b64decode(token).decode().partition(":")[2]}, []
    role, secrets = _secret_reader(shared), shared.client("secretsmanager")
    for name, value in (("wrong", {**login, "password": "no"}), ("right", login)):
        secrets.create_secret(Name=name, SecretString=json.dumps(value))
        own = {"repositoryCredentials": {"credentialsParameter": name}}
        main = {"name": "main", "image": image, "memory": 32, **own}
        shared.client("ecs").register_task_definition(
            family="private", containerDefinitions=[main], executionRoleArn=role
        )
        ends.append(_ended(shared, _run(shared, "private"))["containers"][0])
    assert "CannotPullContainerError" in ends[0]["reason"] and "exitCode" not in ends[0]
    assert ends[1]["exitCode"] == 4
    store = b"".join(path.read_bytes() for path in shared.state.glob("store.db*"))
    assert login["password"].encode() not in store


def _run(instance: Instance, family: str) -> str:
    answer = instance.client("ecs").run_task(cluster="c", taskDefinition=family)
    assert not answer["failures"]
    return str(answer["tasks"][0]["taskArn"])


def _task(instance: Instance, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = instance.client("ecs").describe_tasks(cluster="c", tasks=[arn])["tasks"][0]
    return found


def _ended(instance: Instance, arn: str) -> dict[str, Any]:
    eventually(lambda: _task(instance, arn)["lastStatus"] == "STOPPED")
    return _task(instance, arn)


def test_an_image_that_is_not_there(shared: Instance, uri: str) -> None:
    missing = f"{uri.rpartition(':')[0]}:nowhere"
    task = _ended(shared, _run(shared, _define(shared, "missing", missing)))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "CannotPullContainerError" in task["containers"][0]["reason"]
    assert "exitCode" not in task["containers"][0]


def test_a_container_that_ignores_sigterm_is_killed_after_its_timeout(shared: Instance, uri: str) -> None:
    arn = _run(shared, _define(shared, "deaf", uri, stopTimeout=2))
    eventually(lambda: _task(shared, arn)["lastStatus"] == "RUNNING")
    shared.client("ecs").stop_task(cluster="c", task=arn, reason="enough")
    task = _ended(shared, arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 137


def test_a_command_that_is_not_there(shared: Instance, uri: str) -> None:
    task = _ended(shared, _run(shared, _define(shared, "typo", uri, entryPoint=["/no/such/program"])))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "CannotStartContainerError" in task["containers"][0]["reason"]


def test_memory_that_is_used_up(shared: Instance, uri: str) -> None:
    hungry = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    task = _ended(shared, _run(shared, _define(shared, "hungry", uri, command=hungry, memory=8)))
    container = task["containers"][0]
    assert container["exitCode"] == 137 and "OutOfMemoryError" in container.get("reason", ""), container


def test_a_port_that_two_tasks_want(shared: Instance, uri: str) -> None:
    mapped = [{"containerPort": 80, "hostPort": free_port()}]
    family = _define(shared, "port", uri, portMappings=mapped, stopTimeout=2)
    first = _run(shared, family)
    refused = shared.client("ecs").run_task(cluster="c", taskDefinition=family)
    assert [f["reason"] for f in refused["failures"]] == ["RESOURCE:PORTS"]
    shared.client("ecs").stop_task(cluster="c", task=first)
    _ended(shared, first)


def test_a_port_that_another_program_has(shared: Instance, uri: str) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        mapped = [{"containerPort": 80, "hostPort": port}]
        family, ecs = _define(shared, "taken", uri, portMappings=mapped, stopTimeout=2), shared.client("ecs")
        eventually(lambda: str(port) in _ports(ecs))
        refused = ecs.run_task(cluster="c", taskDefinition=family)
        assert [f["reason"] for f in refused["failures"]] == ["RESOURCE:PORTS"]
        ecs.create_service(cluster="c", serviceName="waits", taskDefinition=family, desiredCount=1, launchType="EC2")
        eventually(lambda: "is already using a port required by your task" in _events(ecs, "waits"))
    ecs.get_waiter("services_stable").wait(cluster="c", services=["waits"], WaiterConfig={"Delay": 1})
    refused = ecs.run_task(cluster="c", taskDefinition=family)
    assert [f["reason"] for f in refused["failures"]] == ["RESOURCE:PORTS"]
    ecs.delete_service(cluster="c", service="waits", force=True)
    eventually(lambda: str(port) not in _ports(ecs))


def _ports(ecs: Any) -> list[str]:
    """Those of the container instance that nobody can have any more."""
    arns = ecs.list_container_instances(cluster="c")["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster="c", containerInstances=arns)["containerInstances"][0]
    taken = next(r["stringSetValue"] for r in found["remainingResources"] if r["name"] == "PORTS")
    return [str(port) for port in taken]


def _events(ecs: Any, service: str) -> str:
    return "\n".join(
        e["message"] for e in ecs.describe_services(cluster="c", services=[service])["services"][0]["events"]
    )


def test_a_service_without_room_says_so(shared: Instance, uri: str) -> None:
    ecs = shared.client("ecs")
    family = _define(shared, "giant", uri, memory=10_000_000)
    arn = ecs.create_service(cluster="c", serviceName="giant", taskDefinition=family, desiredCount=1, launchType="EC2")[
        "service"
    ]["serviceArn"]

    def told() -> bool:
        events = ecs.describe_services(cluster="c", services=["giant"])["services"][0]["events"]
        return any("was unable to place a task because" in e["message"] for e in events)

    eventually(told)
    explained = subprocess.run(
        [HAVRE, "explain", arn, "--state", str(shared.state)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "memory" in explained.stdout.lower()
    ecs.delete_service(cluster="c", service="giant", force=True)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "code"),
    [
        ("ecs", "describe_services", {"cluster": "nowhere", "services": ["s"]}, "ClusterNotFoundException"),
        ("ecs", "update_service", {"cluster": "c", "service": "nothing"}, "ServiceNotFoundException"),
        ("ecs", "stop_task", {"cluster": "c", "task": "0" * 32}, "InvalidParameterException"),
        ("ecs", "run_task", {"cluster": "c", "taskDefinition": "nothing:1"}, "ClientException"),
        ("ecr", "describe_images", {"repositoryName": "nothing"}, "RepositoryNotFoundException"),
        ("ecr", "create_repository", {"repositoryName": "../../etc"}, "InvalidParameterException"),
        ("elbv2", "describe_load_balancers", {"Names": ["nothing"]}, "LoadBalancerNotFound"),
        ("ec2", "describe_vpcs", {"VpcIds": ["vpc-00000000000000000"]}, "InvalidVpcID.NotFound"),
        ("iam", "get_user", {"UserName": "nobody"}, "NoSuchEntity"),
        ("logs", "get_log_events", {"logGroupName": "x", "logStreamName": "y"}, "ResourceNotFoundException"),
        ("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-1"}, "NotImplemented"),
    ],
)
def test_bad_input_gets_awss_code(
    shared: Instance, uri: str, service: str, call: str, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(shared.client(service), call)(**arguments)
    assert refused.value.response["Error"]["Code"].startswith(code)


def test_malformed_bodies_change_nothing(shared: Instance) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    env = shared.env
    keys = Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    target = "AmazonEC2ContainerServiceV20141113.CreateCluster"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    before = shared.client("ecs").list_clusters()["clusterArns"]
    for body in (b'{"clusterName": ', b"\xff\xfe", b"[]", b'{"clusterName": 7}'):
        request = AWSRequest("POST", f"{shared.endpoint}/", headers=headers, data=body)
        SigV4Auth(keys, "ecs", "us-east-1").add_auth(request)
        sent = urllib.request.Request(f"{shared.endpoint}/", data=body, headers=dict(request.headers), method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(sent, timeout=30)
        assert refused.value.code == 400
        assert json.loads(refused.value.read())["__type"].rpartition("#")[2] == "SerializationException"
    assert shared.client("ecs").list_clusters()["clusterArns"] == before
