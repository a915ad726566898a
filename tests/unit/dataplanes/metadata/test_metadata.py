"""The endpoint that containers ask: who gets what, in AWS's shapes, and who does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from tests.unit.dataplanes.metadata.metadata_bench import (
    SECRET,
    Json,
    Setting,
    ask,
    awsvpc,
    bridge,
    credentials_path,
    inside,
    path_of,
    view,
)

from havre.control.workloads.parts import View
from havre.dataplanes.metadata.credentials import RENEW_BEFORE
from havre.dataplanes.metadata.ids import Ids
from havre.dataplanes.metadata.stats import network_rate
from havre.engines.ports import Image, Mounted
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.vpc import Subnet, Vpc


async def test_a_container_in_aws_documented_shape() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    app = await inside(setting, work)
    status, told = await ask(app, path_of(setting, work))
    assert status == 200
    assert told == {
        "DockerId": "f" * 64,
        "Name": "web",
        "DockerName": "havre-h-web",
        "Image": "000000000000.dkr.ecr/web:1",
        "ImageID": "sha256:1",
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 32768, "HostIp": "0.0.0.0"}],
        "Labels": {"com.amazonaws.ecs.task-arn": work.arn},
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 10, "Memory": 128},
        "CreatedAt": "2027-01-15T07:59:59.500000Z",
        "StartedAt": "2027-01-15T08:00:00.000000Z",
        "Type": "NORMAL",
        "Health": {"status": "HEALTHY"},
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": "/ecs/web",
            "awslogs-region": "us-east-1",
            "awslogs-stream": f"ecs/web/{work.id}",
        },
        "ContainerARN": work.containers[0].arn,
        "Networks": [
            {
                "NetworkMode": "awsvpc",
                "IPv4Addresses": ["10.0.2.100"],
                "AttachmentIndex": 0,
                "MACAddress": "0e:9e:32:c7:48:85",
                "IPv4SubnetCIDRBlock": "10.0.2.0/24",
                "DomainNameServers": ["169.254.169.253"],
                "DomainNameSearchList": ["ec2.internal"],
                "PrivateDNSName": "ip-10-0-2-100.ec2.internal",
                "SubnetGatewayIpv4Address": "10.0.2.1/24",
            }
        ],
    }


async def test_a_task_and_its_older_shape() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    app = await inside(setting, work)
    _, told = await ask(app, path_of(setting, work, "/task"))
    assert (told["Cluster"], told["Family"], told["Revision"], told["ServiceName"]) == ("arn:cluster", "web", "24", "s")
    assert told["Limits"] == {"CPU": 0.25, "Memory": 512}
    assert told["KnownStatus"] == "RUNNING"
    assert [c["Name"] for c in told["Containers"]] == ["web"]
    _, older = await ask(app, path_of(setting, work, "/task", "v3"))
    assert "LaunchType" not in older
    assert older["Containers"][0]["Networks"] == [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.100"]}]
    assert "ContainerARN" not in older["Containers"][0]


async def test_volumes_are_told_as_docker_mounts_them() -> None:
    work = awsvpc()
    seen = view(work)
    mounts = (
        Mounted("havre-h-data", "/var/lib/docker/volumes/havre-h-data/_data", "/data"),
        Mounted("", "/srv", "/host"),
    )
    states = {name: msgspec.structs.replace(state, mounts=mounts) for name, state in seen.containers.items()}
    setting = Setting(View(work, seen.status, states))
    app = await inside(setting, work)
    for version in ("v3", "v4"):
        _, told = await ask(app, path_of(setting, work, "", version))
        assert told["Volumes"] == [
            {
                "DockerName": "havre-h-data",
                "Source": "/var/lib/docker/volumes/havre-h-data/_data",
                "Destination": "/data",
            },
            {"Source": "/srv", "Destination": "/host"},
        ]


async def test_tags_come_from_the_server_and_their_absence_is_told() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    app = await inside(setting, work)
    assert (await ask(app, path_of(setting, work, "/taskWithTags")))[1]["TaskTags"] == {"team": "a"}
    setting.trouble = Permanent("no such task")
    _, told = await ask(app, path_of(setting, work, "/taskWithTags"))
    assert told["Errors"][0]["ErrorMessage"] == "no such task"
    assert told["Family"] == "web"


async def test_credentials_are_kept_renewed_in_time_and_outlive_a_lost_server() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    app = await inside(setting, work)
    path = credentials_path(setting, work)
    assert (await ask(app, path))[1]["AccessKeyId"] == "ASIA1"
    setting.now += 3600 - RENEW_BEFORE - 1
    assert (await ask(app, path))[1]["AccessKeyId"] == "ASIA1"
    setting.now += 2
    setting.trouble = Temporary("the server is not connected")
    assert (await ask(app, path))[1]["AccessKeyId"] == "ASIA1"
    setting.now += RENEW_BEFORE
    status, told = await ask(app, path)
    assert (status, told["code"]) == (503, "CredentialsUninitialized")
    setting.trouble = None
    assert (await ask(app, path))[1]["AccessKeyId"].startswith("ASIA")


async def test_a_role_that_may_not_be_assumed_is_said() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    app = await inside(setting, work)
    setting.trouble = Permanent("ecs-tasks is not authorized to perform: sts:AssumeRole")
    status, told = await ask(app, credentials_path(setting, work))
    assert status == 400
    assert told == {
        "code": "NoCredentialsAssociated",
        "message": "CredentialsV2Request: ecs-tasks is not authorized to perform: sts:AssumeRole",
        "HTTPErrorCode": 400,
    }


@pytest.mark.parametrize(
    "path", ["/v2/credentials/nope", "/v2/credentials", "/v2/credentials/", "/v4/nope", "/", "/v9/x", "/v4/nope/task"]
)
async def test_unknown_ids_and_paths(path: str) -> None:
    work = awsvpc()
    setting = Setting(view(work))
    status, _ = await ask(await inside(setting, work), path)
    assert status == (400 if "credentials" in path else 404)
    assert setting.asked == []


async def test_only_get() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    assert (await ask(await inside(setting, work), path_of(setting, work), method="POST"))[0] == 405


async def test_no_task_gets_what_another_one_has() -> None:
    """Even with the other's ids."""
    mine, other = awsvpc("a" * 32), awsvpc("b" * 32)
    assert other.interface is not None
    neighbour = msgspec.structs.replace(other.interface, address="10.0.2.101")
    other = msgspec.structs.replace(other, interface=neighbour)
    setting = Setting(view(mine), view(other))
    app = await inside(setting, mine)
    assert (await ask(app, credentials_path(setting, mine)))[0] == 200
    assert (await ask(app, credentials_path(setting, other)))[0] == 400
    for what in ("", "/task", "/stats", "/task/stats", "/taskWithTags"):
        assert (await ask(app, path_of(setting, other, what)))[0] == 404
    assert setting.asked == [mine.id]


async def test_a_task_without_a_role_has_no_credentials() -> None:
    work = awsvpc(role="")
    setting = Setting(view(work))
    app = await inside(setting, work)
    assert (await ask(app, credentials_path(setting, work)))[0] == 400
    told = setting.endpoint.environment(work, work.containers[0])
    assert not [name for name in told if "CREDENTIALS" in name]
    assert told["ECS_CONTAINER_METADATA_URI_V4"] == f"http://169.254.170.2{path_of(setting, work)}"


async def test_on_the_host_the_address_tells_who_asks() -> None:
    a, b, c = bridge("a" * 32), bridge("b" * 32), bridge("c" * 32, network="host")
    setting = Setting(view(a, "172.17.0.2"), view(b, "172.17.0.3"), view(c))
    await setting.endpoint.open(a, 0)
    app = setting.host_app
    for work, peer, status in (
        (a, "172.17.0.2", 200),
        (a, "172.17.0.3", 400),
        (a, "169.254.170.2", 400),
        (a, "192.168.1.7", 400),
        (c, "169.254.170.2", 200),
        (c, "172.17.0.2", 400),
        (c, "192.168.1.7", 400),
    ):
        assert (await ask(app, credentials_path(setting, work), peer))[0] == status, (work.network, peer)
    inner = awsvpc("d" * 32)
    setting.views.append(view(inner))
    assert (await ask(app, credentials_path(setting, inner), "172.17.0.2"))[0] == 400


async def test_a_container_that_has_just_started_is_known_by_asking_the_engine() -> None:
    work = bridge("a" * 32)
    unseen = View(work, None, {})
    setting = Setting(unseen)
    await setting.endpoint.open(work, 0)
    made = await setting.engine.create(work, work.containers[0], Image("i"), None)
    await setting.engine.start(made.id)
    held = setting.engine._containers[made.id]
    held.state = msgspec.structs.replace(held.state, address="172.17.0.9")
    assert (await ask(setting.host_app, credentials_path(setting, work), "172.17.0.9"))[0] == 200
    assert await setting.endpoint.admits("172.17.0.9")
    assert not await setting.endpoint.admits("172.17.0.10")
    setting.engine.leave()
    assert (await ask(setting.host_app, credentials_path(setting, work), "172.17.0.9"))[0] == 400


async def test_each_vpc_has_one_endpoint_and_tasks_have_their_ports_to_themselves() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    for _ in range(2):
        await inside(setting, work)
    await setting.network.ensure_vpc(Vpc("vpc-2", ("10.0.0.0/16",)))
    assert list(setting.network.doors) == [("vpc-1", "169.254.170.2", 80), ("vpc-2", "169.254.170.2", 80)]
    assert setting.network.listening == []
    await setting.network.remove_vpc("vpc-1")
    assert setting.closed == 1


async def test_the_same_address_in_another_vpc_is_someone_else() -> None:
    work = awsvpc()
    setting = Setting(view(work))
    here = await inside(setting, work)
    await setting.network.ensure_vpc(Vpc("vpc-2", ("10.0.0.0/16",)))
    there = setting.apps[-1]
    statuses = [(await ask(app, credentials_path(setting, work)))[0] for app in (here, there)]
    assert statuses == [200, 400]


async def test_where_each_network_mode_finds_the_api() -> None:
    setting = Setting()
    await setting.network.ensure_vpc(Vpc("vpc-1", ("10.0.0.0/16",), (Subnet("subnet-1", "10.0.2.0/24", "a"),)))
    for work, api in (
        (awsvpc(), "http://169.254.169.1:4566"),
        (bridge("b" * 32), "http://169.254.169.1:4566"),
        (bridge("c" * 32, network="host"), "http://127.0.0.1:4566"),
        (bridge("d" * 32, network="none"), None),
    ):
        await setting.endpoint.open(work, 77 if work.interface else 0)
        told = setting.endpoint.environment(work, work.containers[0])
        assert told.get("AWS_ENDPOINT_URL") == api
        assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == "us-east-1"
        assert ("ECS_CONTAINER_METADATA_URI_V4" in told) == (work.network != "none")


async def test_containers_in_no_vpc_are_told_a_name_server() -> None:
    setting = Setting()
    works = [bridge("a" * 32), bridge("b" * 32, network="host"), bridge("c" * 32, network="none"), awsvpc()]
    assert setting.endpoint.resolvers(works[0]) == ()
    await setting.endpoint.open(works[0], 0)
    assert [setting.endpoint.resolvers(w) for w in works] == [("169.254.130.7",), ("169.254.130.7",), (), ()]


async def test_without_networks_containers_are_told_of_no_endpoint() -> None:
    work = bridge("b" * 32)
    setting = Setting(view(work))
    setting.network.why_not = "needs root"
    await setting.endpoint.open(work, 0)
    told = setting.endpoint.environment(work, work.containers[0])
    assert set(told) == {"AWS_REGION", "AWS_DEFAULT_REGION"}
    assert setting.host_app is None


async def test_another_port_is_told_by_the_full_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    work = bridge("b" * 32)
    setting = Setting(view(work))

    async def elsewhere(app: Any, admits: Any) -> tuple[str, str, str]:
        return "http://169.254.170.2:4566", "http://169.254.169.1:4566", ""

    monkeypatch.setattr(setting, "open", elsewhere)
    await setting.endpoint.open(work, 0)
    told = setting.endpoint.environment(work, work.containers[0])
    assert told["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == f"http://169.254.170.2:4566{credentials_path(setting, work)}"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in told
    assert setting.endpoint.resolvers(work) == (), "the engine's own will do"


def test_ids_are_the_same_after_a_restart_and_differ_between_installations() -> None:
    assert Ids(SECRET).credentials("a") == Ids(SECRET).credentials("a")
    assert Ids(SECRET).credentials("a") != Ids(b"t" * 32).credentials("a")
    made = {Ids(SECRET).container(w, c) for w in ("a", "b") for c in ("x", "y")} | {Ids(SECRET).credentials("a")}
    assert len(made) == 5


def _sample(second: int, rx: int, tx: int) -> Json:
    counters = {"rx_bytes": rx, "tx_bytes": tx}
    return {
        "read": f"2026-11-25T19:00:{second:02d}.123456789Z",
        "networks": {"eth0": counters},
        "cpu_stats": {"x": second},
    }


def test_rates_need_two_moments() -> None:
    assert network_rate(_sample(1, 0, 100), _sample(3, 500, 100)) == {
        "rx_bytes_per_sec": 250.0,
        "tx_bytes_per_sec": 0.0,
    }
    assert network_rate(_sample(1, 0, 0), _sample(1, 500, 100)) == {}
    assert network_rate({"read": ""}, _sample(1, 0, 0)) == {}


async def test_statistics_carry_the_sample_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    work = awsvpc()
    setting = Setting(view(work))
    samples: AsyncIterator[Json] = _samples([_sample(1, 0, 0), _sample(2, 10, 20), _sample(4, 30, 20)])

    async def stats(id: str) -> Mapping[str, object]:
        return await anext(samples)

    monkeypatch.setattr(setting.engine, "stats", stats)
    monkeypatch.setattr("havre.dataplanes.metadata.stats._FIRST_WAIT", 0.0)
    app = await inside(setting, work)
    _, told = await ask(app, path_of(setting, work, "/stats"))
    assert told["precpu_stats"] == {"x": 1}
    assert told["network_rate_stats"] == {"rx_bytes_per_sec": 10.0, "tx_bytes_per_sec": 20.0}
    _, told = await ask(app, path_of(setting, work, "/task/stats"))
    assert told["f" * 64]["precpu_stats"] == {"x": 2}


async def _samples(given: Sequence[Json]) -> AsyncIterator[Json]:
    for each in given:
        yield each
