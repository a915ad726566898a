"""A balancer inside a VPC: it listens there, asks targets there from its own address, and groups decide who reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from havre.control.certificates.authority import Authority
from havre.engines.haproxy import HaproxyEngine
from havre.engines.host_network import HostNetwork
from havre.kernel.balancer import (
    LINK,
    Balancer,
    BalancerAction,
    BalancerCondition,
    BalancerHealthCheck,
    BalancerListener,
    BalancerPool,
    BalancerRule,
    BalancerTarget,
)
from havre.kernel.vpc import NetworkRule, Vpc
from tests.contracts.balancer_bench import PATIENCE, QUICK, fetch, listener, need_haproxy, real, states, until
from tests.contracts.balancer_load import load
from tests.contracts.network_bench import Machine, group, interface, state_of, tcp, vpc_of
from tests.ports import free_port

pytestmark = pytest.mark.root

HERE = "127.88.3.1"
INSIDE = "172.31.0.9"


@pytest.fixture
async def network() -> AsyncIterator[HostNetwork]:
    need_haproxy()
    instance = f"t{random.getrandbits(24):06x}"
    made = HostNetwork(instance)
    try:
        yield made
    finally:
        await made.remove_all()
        await made.close()
    assert state_of(instance) == ""


@pytest.fixture
async def engine(network: HostNetwork, tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    async with real(tmp_path / "haproxy") as made:
        yield made


@pytest.fixture
def port() -> int:
    return free_port()


async def serve(target: Machine, port: int, *, keep: bool = True) -> asyncio.Server:
    """Tells the address of whom it talks to; ``target`` in its answer says for whom the request was forwarded. It does not
    ``keep`` connections if told so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                clients = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("x-forwarded-for")]
                told = {"peer": writer.get_extra_info("peername")[0], "target": "task" if keep else ",".join(clients)}
                body = json.dumps(told).encode()
                more = b"" if keep else b"Connection: close\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(body), body))
                if not keep:
                    await writer.drain()
                    break
        writer.close()

    return await asyncio.start_server(answer, sock=target.serve(port))


def network_balancer(vpc: Vpc, port: int) -> Balancer:
    target = BalancerTarget("172.31.16.5:8080", "172.31.16.5", 8080, vpc.id)
    return Balancer(
        "web",
        "web-1.us-east-1.elb.localhost",
        vpc.id,
        (("subnet-a", INSIDE), ("subnet-b", "172.31.16.9")),
        HERE,
        ("sg-lb",),
        (listener(port),),
        (BalancerPool("pool", "HTTP", (target,), QUICK),),
    )


async def ask_from(who: Machine, address: str, port: int) -> bytes:
    sock = await who.connect(address, port)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(loop.sock_recv(sock, 4096), PATIENCE)
    finally:
        sock.close()


async def healthy(engine: HaproxyEngine) -> bool:
    seen = await states(engine)
    return bool(seen) and all(t.state == "healthy" for t in seen.values())


async def test_a_balancer_serves_its_vpc_and_this_machine(
    network: HostNetwork, engine: HaproxyEngine, machines: list[Machine], port: int
) -> None:
    task, client, stranger = machines
    lb_group = group("lb", tcp(port, "127.0.0.0/8"), tcp(port, group="sg-client"))
    vpc = vpc_of(lb_group, group("task", tcp(8080, group="sg-lb")), group("client"), group("stranger"))
    await network.ensure_vpc(vpc)
    await network.attach(interface(vpc, "172.31.16.5", "task"), task.pid)
    await network.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
    await network.attach(interface(vpc, "172.31.0.7", "stranger"), stranger.pid)
    server = await serve(task, 8080)
    wanted = network_balancer(vpc, port)
    await network.add_balancer(wanted)
    await engine.apply([wanted], network.namespaces())
    await until(lambda: healthy(engine))
    assert (await fetch(HERE, port)).json == {"peer": INSIDE, "target": "task"}
    for address in (INSIDE, "172.31.16.9"):
        assert b" 200 " in await ask_from(client, address, port)
        assert await stranger.misses(address, port)
    assert await client.misses("172.31.16.5", 8080)
    server.close()


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
async def test_reloads_cost_no_request_to_a_target_in_a_vpc(
    network: HostNetwork, engine: HaproxyEngine, machines: list[Machine], port: int, tmp_path: Path, protocol: str
) -> None:
    """A worker that was replaced has closed its namespaces, and clients keep their connections to it. The target closes
    each of its own, so that each request needs a new one."""
    vpc = vpc_of(group("lb", NetworkRule("tcp", 0, 65535, "0.0.0.0/0")), group("task", tcp(8080, group="sg-lb")))
    await network.ensure_vpc(vpc)
    await network.attach(interface(vpc, "172.31.16.5", "task"), machines[0].pid)
    server = await serve(machines[0], 8080, keep=False)
    authority = Authority(tmp_path / "ca", "test")
    bundle = authority.issue(["a.example.com"], "EC_prime256v1", time.time()).bundle
    tls = ssl.create_default_context(cafile=str(authority.certificate_file)) if protocol == "HTTPS" else None

    def listening(*rules: BalancerRule) -> tuple[BalancerListener]:
        certificates = (bundle,) if tls is not None else ()
        return (msgspec.structs.replace(listener(port, *rules), protocol=protocol, certificates=certificates),)

    wanted = msgspec.structs.replace(network_balancer(vpc, port), listeners=listening())
    await network.add_balancer(wanted)
    await engine.apply([wanted], network.namespaces())
    await until(lambda: healthy(engine))
    tea = BalancerAction("fixed-response", status=418)
    async with load(HERE, port, clients=16, host="a.example.com", tls=tls) as seen:
        for number in range(6):
            await seen.more(100)
            rule = BalancerRule(str(number), (BalancerCondition("path-pattern", (f"/{number}",)),), tea)
            changed = msgspec.structs.replace(wanted, listeners=listening(rule))
            await engine.apply([changed], network.namespaces())
        await seen.more(100)
    assert seen.failed == []
    assert set(seen.answered) == {"127.0.0.1"}, "the client's address, once"
    server.close()


async def test_tasks_reach_its_https_listener_inside_the_vpc(
    network: HostNetwork, engine: HaproxyEngine, machines: list[Machine], port: int, tmp_path: Path
) -> None:
    task, client, _ = machines
    lb_group = group("lb", tcp(port, group="sg-client"))
    vpc = vpc_of(lb_group, group("task", tcp(8080, group="sg-lb")), group("client"))
    await network.ensure_vpc(vpc)
    await network.attach(interface(vpc, "172.31.16.5", "task"), task.pid)
    await network.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
    server = await serve(task, 8080)
    authority = Authority(tmp_path / "ca", "test")
    bundle = authority.issue(["a.example.com"], "EC_prime256v1", time.time()).bundle
    secure = msgspec.structs.replace(listener(port), protocol="HTTPS", certificates=(bundle,))
    wanted = msgspec.structs.replace(network_balancer(vpc, port), listeners=(secure,))
    await network.add_balancer(wanted)
    await engine.apply([wanted], network.namespaces())
    await until(lambda: healthy(engine))
    trust = ssl.create_default_context(cafile=str(authority.certificate_file))
    sock = await client.connect(INSIDE, port)
    reader, writer = await asyncio.open_connection(sock=sock, ssl=trust, server_hostname="a.example.com")
    writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    writer.close()
    assert b" 200 " in answer and INSIDE.encode() in answer
    server.close()


def way(vpc: Vpc, id: str, address: str, group: str, port: int) -> Balancer:
    """A link to the balancer's listener."""
    action = BalancerAction("forward", ((id, 1),))
    entry = BalancerListener(id, port, "TCP", (BalancerRule("all", (), action),))
    target = BalancerTarget(INSIDE, INSIDE, port, vpc.id)
    pool = BalancerPool(id, "TCP", (target,), BalancerHealthCheck(enabled=False))
    addresses = (("subnet-a", address),)
    return Balancer(id, "", vpc.id, addresses, "", (f"sg-{group}",), (entry,), (pool,), kind=LINK)


async def ask_by(socket: Path, seconds: float) -> bytes:
    """What comes through a link in this time."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(reader.read(4096), seconds)
    finally:
        writer.close()


async def test_links_reach_a_balancer_as_its_groups_let_them(
    network: HostNetwork, engine: HaproxyEngine, port: int, tmp_path: Path
) -> None:
    """One address of the VPC's own calls another there: no packet leaves the namespace."""
    vpc = vpc_of(group("lb", tcp(port, group="sg-link")), group("link"), group("other"))
    await network.ensure_vpc(vpc)
    tea = BalancerRule("tea", (), BalancerAction("fixed-response", status=418, content_type="text/plain", body="tea"))
    web = msgspec.structs.replace(network_balancer(vpc, port), listeners=(listener(port, tea),), pools=())
    both = [way(vpc, "way", "172.31.0.20", "link", port), way(vpc, "wrong", "172.31.0.21", "other", port)]
    for each in (web, *both):
        await network.add_balancer(each)
    await engine.apply([web, *both], network.namespaces())
    places = tmp_path / "haproxy"
    assert b" 418 " in await ask_by(places / "way.sock", PATIENCE)
    with pytest.raises(TimeoutError):
        await ask_by(places / "wrong.sock", 1)
    assert all(each.state == "active" for each in await engine.status() if each.id in ("way", "wrong"))
    assert (places / "way.sock").stat().st_mode & 0o777 == 0o600


async def test_targets_must_let_the_balancer_in(
    network: HostNetwork, engine: HaproxyEngine, machines: list[Machine], port: int
) -> None:
    vpc = vpc_of(group("lb", NetworkRule("tcp", 0, 65535, "0.0.0.0/0")), group("task"))
    await network.ensure_vpc(vpc)
    await network.attach(interface(vpc, "172.31.16.5", "task"), machines[0].pid)
    server = await serve(machines[0], 8080)
    quick = msgspec.structs.replace(QUICK, timeout=0.2)
    wanted = network_balancer(vpc, port)
    wanted = msgspec.structs.replace(wanted, pools=(msgspec.structs.replace(wanted.pools[0], health_check=quick),))
    await network.add_balancer(wanted)
    await engine.apply([wanted], network.namespaces())

    async def timed_out() -> bool:
        return {t.reason for t in (await states(engine)).values()} == {"Target.Timeout"}

    await until(timed_out)
    await network.ensure_vpc(
        msgspec.structs.replace(vpc, security_groups=(vpc.security_groups[0], group("task", tcp(8080, group="sg-lb"))))
    )
    await until(lambda: healthy(engine))
    server.close()


async def test_a_vpc_that_is_made_anew_is_served_again(
    network: HostNetwork, engine: HaproxyEngine, machines: list[Machine], port: int
) -> None:
    vpc = vpc_of(group("lb", NetworkRule("tcp", 0, 65535, "0.0.0.0/0")), group("client"))
    wanted = msgspec.structs.replace(network_balancer(vpc, port), pools=(BalancerPool("pool", "HTTP"),))
    for client in machines[:2]:
        await network.ensure_vpc(vpc)
        await network.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
        await network.add_balancer(wanted)
        await engine.apply([wanted], network.namespaces())
        assert b" 503 " in await ask_from(client, INSIDE, port)
        await network.remove_balancer(wanted.id)
        await network.remove_vpc(vpc.id)
    await engine.apply([wanted], {})
    (status,) = await engine.status()
    assert f"the network of {vpc.id} is not there" in status.reason
    assert (await fetch(HERE, port)).status == 503
