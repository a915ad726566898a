"""Every network engine keeps these promises: the fake, and the host's own network."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from havre.engines.fake_network import FakeNetwork
from havre.engines.host_network import HostNetwork
from havre.engines.ports import Door, NetworkEngine
from havre.kernel.errors import Temporary
from tests.contracts.network_bench import Machine, balancer, group, interface, machine, state_of, vpc_of


@pytest.fixture(params=["fake", pytest.param("host", marks=pytest.mark.root)])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[NetworkEngine]:
    if request.param == "fake":
        yield FakeNetwork()
        return
    instance = f"t{random.getrandbits(24):06x}"
    made = HostNetwork(instance)
    assert made.available() == ""
    try:
        yield made
    finally:
        await made.remove_all()
        await made.close()
    assert state_of(instance) == ""


@pytest.fixture
def sandbox(engine: NetworkEngine) -> Iterator[Callable[[], int]]:
    """Gives the pid of a process with a network namespace of its own."""
    made: list[Machine] = []

    def make() -> int:
        if isinstance(engine, FakeNetwork):
            return os.getpid()
        made.append(machine())
        return made[-1].pid

    yield make
    for each in made:
        each.close()


async def test_a_vpc_is_there_when_ensured_and_gone_when_removed(engine: NetworkEngine) -> None:
    vpc = vpc_of(group("a"))
    assert vpc.id not in engine.namespaces()
    await engine.ensure_vpc(vpc)
    await engine.ensure_vpc(vpc)
    assert engine.namespaces()[vpc.id]
    await engine.remove_vpc(vpc.id)
    await engine.remove_vpc(vpc.id)
    assert vpc.id not in engine.namespaces()


async def test_interfaces_come_and_go(engine: NetworkEngine, sandbox: Callable[[], int]) -> None:
    vpc = vpc_of(group("a"))
    await engine.ensure_vpc(vpc)
    one, two = interface(vpc, "172.31.0.5", "a"), interface(vpc, "172.31.16.6", "a")
    pid = sandbox()
    await engine.attach(one, pid)
    await engine.attach(one, pid)
    await engine.attach(two, sandbox())
    assert sorted(await engine.interfaces()) == sorted([one.eni, two.eni])
    await engine.detach(one.eni)
    await engine.detach(one.eni)
    assert await engine.interfaces() == [two.eni]
    await engine.remove_vpc(vpc.id)
    assert await engine.interfaces() == []


async def test_what_is_not_built_yet_may_come(engine: NetworkEngine, sandbox: Callable[[], int]) -> None:
    vpc = vpc_of(group("a"))
    with pytest.raises(Temporary):
        await engine.attach(interface(vpc, "172.31.0.5", "a"), sandbox())
    with pytest.raises(Temporary):
        await engine.add_balancer(balancer(vpc, "lb", "127.77.0.1", "172.31.0.9"))
    await engine.ensure_vpc(vpc_of(group("a"), id=vpc.id, subnets=()))
    with pytest.raises(Temporary):
        await engine.attach(interface(vpc, "172.31.0.5", "a"), sandbox())


async def test_balancers_come_and_go(engine: NetworkEngine) -> None:
    vpc = vpc_of(group("a"))
    await engine.ensure_vpc(vpc)
    lb = balancer(vpc, "lb", "127.77.0.2", "172.31.0.9", "172.31.0.10", groups=("a",))
    await engine.add_balancer(lb)
    await engine.add_balancer(lb)
    await engine.remove_balancer("lb")
    await engine.remove_balancer("lb")
    await engine.remove_balancer("never there")


class Doors:
    """An answerer: keeps the listeners that it is given, by VPC."""

    def __init__(self) -> None:
        self.open: dict[str, socket.socket] = {}

    async def answer(self, vpc: str, descriptor: int) -> Door:
        listener = self.open[vpc] = socket.socket(fileno=descriptor)

        class One:
            def close(_) -> None:
                listener.close()
                del self.open[vpc]

        return One()


async def test_each_vpc_is_answered_while_it_is_there(engine: NetworkEngine) -> None:
    doors, one, two = Doors(), vpc_of(group("a")), vpc_of(group("a"))
    engine.answer("169.254.170.2", 80, doors.answer)
    await engine.ensure_vpc(one)
    await engine.ensure_vpc(one)
    await engine.ensure_vpc(two)
    assert doors.open.keys() == {one.id, two.id}
    assert all(d.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1 for d in doors.open.values())
    await engine.remove_vpc(one.id)
    assert doors.open.keys() == {two.id}
    await engine.ensure_vpc(one)
    await engine.remove_all()
    assert not doors.open


async def test_listening_gives_a_socket(engine: NetworkEngine, sandbox: Callable[[], int]) -> None:
    fd = await engine.listen(sandbox(), "169.254.170.2", 80)
    with socket.socket(fileno=fd) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert not os.get_blocking(listener.fileno())


async def test_endpoint_and_resolver_are_the_same_in_every_vpc(engine: NetworkEngine) -> None:
    assert engine.endpoint_for("vpc-1") == engine.endpoint_for("vpc-2") == "http://169.254.169.1:4566"
    assert engine.resolver_for("vpc-1") == engine.resolver_for("vpc-2") == ("169.254.169.253",)


async def test_remove_all_removes_all(engine: NetworkEngine, sandbox: Callable[[], int]) -> None:
    vpc, other = vpc_of(group("a")), vpc_of(group("a"))
    await engine.ensure_vpc(vpc)
    await engine.ensure_vpc(other)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), sandbox())
    await engine.attach(interface(other, "172.31.0.5", "a"), sandbox())
    late = asyncio.ensure_future(engine.remove_all())
    await asyncio.sleep(0)
    with pytest.raises(Temporary):  # the sandboxes of functions ask for their network until they end
        await engine.ensure_vpc(vpc)
    await late
    assert not engine.namespaces()
    assert await engine.interfaces() == []
    with pytest.raises(Temporary):
        await engine.ensure_vpc(vpc)
    assert not engine.namespaces()
