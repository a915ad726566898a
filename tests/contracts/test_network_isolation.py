"""What a VPC promises to those in it, tried with real packets: who reaches whom, who does not, names, restarts."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket

import msgspec
import pytest

from havre.engines.host_network import HostNetwork, namespaces, nft
from havre.engines.host_network import engine as engines
from havre.kernel.vpc import NetworkRule, Subnet
from tests.contracts.network_bench import (
    ALL,
    PATIENCE,
    QUIET,
    Machine,
    answers,
    balancer,
    elsewhere,
    group,
    interface,
    machine,
    state_of,
    tcp,
    vpc_of,
)

pytestmark = pytest.mark.root


async def test_groups_decide_who_reaches_whom(engine: HostNetwork, machines: list[Machine]) -> None:
    """In one subnet as well as across subnets; by a reference to a group, and by a block."""
    web, client, other = machines
    vpc = vpc_of(
        group(
            "web", tcp(80, group="sg-client"), tcp(82, "172.31.16.0/20"), NetworkRule("tcp", 9000, 9010, "0.0.0.0/0")
        ),
        group("client"),
        group("other"),
    )
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "web"), web.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
    await engine.attach(interface(vpc, "172.31.16.7", "other"), other.pid)
    for port in (80, 81, 82, 9005):
        web.serve(port)
    tries = [(client.reaches, 80), (client.misses, 81), (client.misses, 82), (client.reaches, 9005)]
    tries += [(other.misses, 80), (other.misses, 81), (other.reaches, 82), (other.reaches, 9005)]
    assert await asyncio.gather(*(tried("172.31.0.5", port) for tried, port in tries)) == [True] * 8


async def test_egress_rules_hold(engine: HostNetwork, machines: list[Machine]) -> None:
    web, client, mute = machines
    vpc = vpc_of(
        group("web", ALL),
        group("client", egress=(tcp(80, group="sg-web"),)),
        group("mute", egress=()),
    )
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "web"), web.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
    await engine.attach(interface(vpc, "172.31.0.7", "mute"), mute.pid)
    web.serve(80)
    web.serve(81)
    seen = await asyncio.gather(
        client.reaches("172.31.0.5", 80), client.misses("172.31.0.5", 81), mute.misses("172.31.0.5", 80)
    )
    assert seen == [True] * 3


async def test_changed_rules_reach_those_that_run(engine: HostNetwork, machines: list[Machine]) -> None:
    """At once; and a connection that was let in goes on when its rule is gone, as in AWS."""
    web, client, _ = machines
    vpc = vpc_of(group("web"), group("client"))
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "web"), web.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "client"), client.pid)
    listener = web.serve(80)
    assert await client.misses("172.31.0.5", 80)
    opened = msgspec.structs.replace(vpc, security_groups=(group("web", tcp(80, group="sg-client")), group("client")))
    await engine.ensure_vpc(opened)
    loop = asyncio.get_running_loop()
    connection = await client.connect("172.31.0.5", 80)
    accepted, _ = await loop.sock_accept(listener)
    await engine.ensure_vpc(vpc)
    assert await client.misses("172.31.0.5", 80)
    await loop.sock_sendall(connection, b"still there?")
    assert await asyncio.wait_for(loop.sock_recv(accepted, 100), PATIENCE) == b"still there?"
    connection.close()
    accepted.close()


async def test_groups_of_an_interface_change(engine: HostNetwork, machines: list[Machine]) -> None:
    web, client, _ = machines
    vpc = vpc_of(group("web", tcp(80, group="sg-client")), group("client"), group("other"))
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "web"), web.pid)
    who = interface(vpc, "172.31.0.6", "other")
    await engine.attach(who, client.pid)
    web.serve(80)
    assert await client.misses("172.31.0.5", 80)
    await engine.ensure_vpc(msgspec.structs.replace(vpc, regrouped={who.eni: ("sg-client",)}))
    assert await client.reaches("172.31.0.5", 80)


async def test_the_program_stands_in_for_nftables_library(
    instance: str, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nft, "_library", lambda: None)
    web, client, other = machines
    vpc = vpc_of(group("web", tcp(80, group="sg-client")), group("client"), group("other"), internet=True)
    engine = HostNetwork(instance)
    try:
        assert engine.available() == ""
        await engine.ensure_vpc(vpc)
        for address, name, who in (
            ("172.31.0.5", "web", web),
            ("172.31.0.6", "client", client),
            ("172.31.0.7", "other", other),
        ):
            await engine.attach(interface(vpc, address, name), who.pid)
        web.serve(80)
        assert await asyncio.gather(client.reaches("172.31.0.5", 80), other.misses("172.31.0.5", 80)) == [True, True]
    finally:
        await engine.remove_all()
        await engine.close()
    assert state_of(instance) == ""


def test_it_is_said_what_is_missing(instance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_library", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "install libnftables1" in HostNetwork(instance).available()
    monkeypatch.undo()
    made = HostNetwork(instance)
    with monkeypatch.context() as ordinary:
        ordinary.setattr(os, "geteuid", lambda: 1000)
        assert "need root" in made.available()
    assert "need root" in made.available(), "it is not tried at each question"
    monkeypatch.setattr(engines, "AGAIN", -1.0)
    assert made.available() == "", "what was missing is there by now"


async def test_vpcs_are_apart_though_their_addresses_are_the_same(engine: HostNetwork, machines: list[Machine]) -> None:
    web, friend, stranger = machines
    ours, theirs = vpc_of(group("a", ALL), internet=True), vpc_of(group("a", ALL), internet=True)
    await engine.ensure_vpc(ours)
    await engine.ensure_vpc(theirs)
    await engine.attach(interface(ours, "172.31.0.5", "a"), web.pid)
    await engine.attach(interface(ours, "172.31.0.6", "a"), friend.pid)
    await engine.attach(interface(theirs, "172.31.0.6", "a"), stranger.pid)
    web.serve(80)
    assert await asyncio.gather(friend.reaches("172.31.0.5", 80), stranger.misses("172.31.0.5", 80)) == [True, True]


async def test_a_task_cannot_take_an_address_that_is_not_its_own(engine: HostNetwork, machines: list[Machine]) -> None:
    web, client, _ = machines
    vpc = vpc_of(group("a", ALL))
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), web.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "a"), client.pid)
    web.serve(80)
    listener = await engine.listen(client.pid, "172.31.0.99", 80)  # an address more on its loopback interface
    os.close(listener)
    forged = client.socket()
    forged.bind(("172.31.0.99", 0))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(forged, ("172.31.0.5", 80)), QUIET)
    forged.close()


async def test_nothing_of_the_host_is_reached_but_the_api(instance: str, machines: list[Machine]) -> None:
    client = machines[0]
    with answers(0) as api, answers(0, "0.0.0.0") as private:
        port, secret = api.getsockname()[1], private.getsockname()[1]
        engine = HostNetwork(instance, port=port)
        try:
            vpc = vpc_of(group("a", ALL), internet=True)
            await engine.ensure_vpc(vpc)
            await engine.attach(interface(vpc, "172.31.0.5", "a"), client.pid)
            assert engine.endpoint_for(vpc.id) == f"http://169.254.169.1:{port}"
            loop = asyncio.get_running_loop()
            called = await client.connect("169.254.169.1", port)
            served, _ = await asyncio.wait_for(loop.sock_accept(api), PATIENCE)
            await loop.sock_sendall(called, b"GET / HTTP/1.0\r\n\r\n")
            assert (await loop.sock_recv(served, 100)).startswith(b"GET /")
            served.close()
            called.close()
            link = engine._host.links()[vpc.id].host
            tries = [("169.254.169.1", secret), (link, secret), (link, port), ("172.31.0.1", secret), ("127.0.0.1", 1)]
            reached = await asyncio.gather(*(_reach(client, *each) for each in tries))
            assert reached == [False] * len(tries)
        finally:
            await engine.remove_all()
            await engine.close()
    assert state_of(instance) == ""


async def test_what_answers_in_a_vpc_knows_who_calls_and_takes_no_port_of_a_task(
    instance: str, machines: list[Machine]
) -> None:
    """Also of a task whose groups let nothing out."""
    mute, other, stranger = machines
    engine, callers = HostNetwork(instance), asyncio.Queue[tuple[str, str]]()

    async def answer(vpc: str, descriptor: int) -> asyncio.Server:
        async def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            callers.put_nowait((vpc, writer.get_extra_info("peername")[0]))
            writer.close()

        return await asyncio.start_server(called, sock=socket.socket(fileno=descriptor))

    engine.answer("169.254.170.2", 80, answer)
    try:
        one, two = vpc_of(group("mute", egress=())), vpc_of(group("a", ALL))
        for vpc, address, who, name in (
            (one, "172.31.0.5", mute, "mute"),
            (one, "172.31.0.6", other, "mute"),
            (two, "172.31.0.5", stranger, "a"),
        ):
            await engine.ensure_vpc(vpc)
            await engine.attach(interface(vpc, address, name), who.pid)
        for vpc, address, who in ((one, "172.31.0.5", mute), (one, "172.31.0.6", other), (two, "172.31.0.5", stranger)):
            who.serve(80)
            assert await who.reaches("169.254.170.2", 80)
            assert await asyncio.wait_for(callers.get(), PATIENCE) == (vpc.id, address)
        assert await mute.misses("172.31.0.6", 80)
    finally:
        await engine.remove_all()
        await engine.close()
    assert state_of(instance) == ""


async def _reach(client: Machine, address: str, port: int) -> bool:
    try:
        return await client.reaches(address, port, QUIET)
    except OSError:
        return False


async def test_nothing_link_local_leaves_the_vpc(engine: HostNetwork, machines: list[Machine]) -> None:
    """The machine that Havre runs on may have a metadata service, whose credentials are not the tasks'. It is refused at
    once: SDKs that look for it do not wait."""
    vpc = vpc_of(group("a", ALL), internet=True)
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), machines[0].pid)
    for address in ("169.254.169.254", "169.254.169.123"):
        with pytest.raises(OSError, match="Errno 113"):  # no route to host
            await machines[0].connect(address, 80)


async def test_only_public_subnets_have_a_way_out(engine: HostNetwork, machines: list[Machine]) -> None:
    """The way out leads over the host: to an address of a machine beyond it, which a namespace stands for here."""
    public, private, beyond = machines
    subnets = (Subnet("subnet-a", "172.31.0.0/20", "a"), Subnet("subnet-b", "172.31.16.0/20", "b", ()))
    vpc = vpc_of(group("a", ALL), internet=True, subnets=subnets)
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), public.pid)
    await engine.attach(interface(vpc, "172.31.16.5", "a"), private.pid)
    with elsewhere(beyond) as address:
        beyond.serve(80)
        assert await asyncio.gather(public.reaches(address, 80), private.misses(address, 80)) == [True, True]
        closed = msgspec.structs.replace(vpc, internet=False)
        await engine.ensure_vpc(closed)
        assert not await _reach(public, address, 80)


async def test_balancers_have_addresses_in_the_vpc_and_on_the_host(
    engine: HostNetwork, machines: list[Machine]
) -> None:
    """Groups filter on both; the balancer's own calls pass the targets' groups as calls of the balancer."""
    client, target, _ = machines
    vpc = vpc_of(
        group("lb", tcp(80, "0.0.0.0/0"), tcp(8080, "10.0.0.0/8")),
        group("task", tcp(90, group="sg-lb")),
        group("client"),
    )
    host = f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "client"), client.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "task"), target.pid)
    lb = balancer(vpc, "lb", host, "172.31.0.9", groups=("lb",))
    await engine.add_balancer(lb)
    target.serve(90)
    space = engine._spaces[vpc.id]
    inner = space.sockets(["172.31.0.9"], 80, socket.SOCK_STREAM) + space.sockets(
        ["172.31.0.9"], 81, socket.SOCK_STREAM
    )
    with answers(80, host), answers(8080, host):
        loop = asyncio.get_running_loop()
        assert await asyncio.gather(
            client.reaches("172.31.0.9", 80),
            client.misses("172.31.0.9", 81),
            client.misses("172.31.0.6", 90),
            asyncio.to_thread(_host_reaches, host, 80),
            asyncio.to_thread(_host_reaches, host, 8080, QUIET),
        ) == [True, True, True, True, False]
        for each in inner:
            each.close()
        with namespaces.inside(space.fd):
            own = socket.socket()
        own.setblocking(False)
        own.bind(("172.31.0.9", 0))
        await asyncio.wait_for(loop.sock_connect(own, ("172.31.0.6", 90)), PATIENCE)
        own.close()
        await engine.remove_balancer("lb")
        assert await asyncio.to_thread(_host_reaches, host, 8080)


def _host_reaches(address: str, port: int, within: float = PATIENCE) -> bool:
    try:
        socket.create_connection((address, port), within).close()
    except TimeoutError:
        return False
    return True


async def test_a_process_that_died_leaves_networks_that_its_successor_finds(
    instance: str, machines: list[Machine]
) -> None:
    """Rules hold in the meantime, and when the VPC is described again before its tasks are."""
    web, client, other = machines
    vpc = vpc_of(group("web", tcp(80, group="sg-client")), group("client"), group("other"))
    first = HostNetwork(instance)
    await first.ensure_vpc(vpc)
    kept, gone = interface(vpc, "172.31.0.5", "web"), interface(vpc, "172.31.0.6", "client")
    await first.attach(kept, web.pid)
    await first.attach(gone, client.pid)
    await first.attach(interface(vpc, "172.31.0.7", "other"), other.pid)
    web.serve(80)
    await first.close()
    assert await asyncio.gather(client.reaches("172.31.0.5", 80), other.misses("172.31.0.5", 80)) == [True, True]

    second = HostNetwork(instance)
    try:
        assert set(await second.interfaces()) >= {kept.eni, gone.eni}
        await second.ensure_vpc(vpc)
        assert await asyncio.gather(client.reaches("172.31.0.5", 80), other.misses("172.31.0.5", 80)) == [True, True]
        await second.attach(kept, web.pid)
        anew = machine()
        machines.append(anew)
        await second.attach(gone, anew.pid)  # as if its first process had ended
        assert await anew.reaches("172.31.0.5", 80)
        await second.detach(kept.eni)
        assert await anew.misses("172.31.0.5", 80)
    finally:
        await second.remove_all()
        await second.close()
    assert state_of(instance) == ""


async def test_instances_leave_each_other_alone(engine: HostNetwork, machines: list[Machine]) -> None:
    web, client, _ = machines
    other = HostNetwork(f"t{random.getrandbits(24):06x}")
    vpc = vpc_of(group("a", ALL), internet=True)
    await engine.ensure_vpc(vpc)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), web.pid)
    await engine.attach(interface(vpc, "172.31.0.6", "a"), client.pid)
    web.serve(80)
    try:
        await other.ensure_vpc(vpc_of(group("a", ALL), internet=True))
        assert await other.interfaces() == []
    finally:
        await other.remove_all()
        await other.close()
    assert await client.reaches("172.31.0.5", 80)
    assert vpc.id in engine.namespaces()
