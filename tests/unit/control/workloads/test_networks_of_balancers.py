"""A node's load balancers: in order with their networks, one's trouble is not the others', all of it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from havre.control.workloads.networks import Networks
from havre.engines.fake_balancer import FakeBalancerEngine
from havre.engines.fake_network import FakeNetwork
from havre.kernel.balancer import Balancer, BalancerAction, BalancerListener, BalancerRule, BalancerStatus
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.vpc import NetworkRule, SecurityGroup, Vpc

WEB = SecurityGroup("sg-web", (NetworkRule("tcp", 80, 80, "10.0.0.0/8"),))
VPC = Vpc("vpc-1", ("172.31.0.0/16",), security_groups=(WEB,))


def balancer(id: str, vpc: str = "vpc-1") -> Balancer:
    rule = BalancerRule("default", (), BalancerAction("fixed-response", status=200))
    listener = BalancerListener(f"listener-{id}", 80, "HTTP", (rule,))
    return Balancer(id, f"{id}.localhost", vpc, (), "127.9.0.1", ("sg-web",), (listener,))


class Node:
    def __init__(self) -> None:
        self.network, self.engine = FakeNetwork(), FakeBalancerEngine()
        self.told: dict[str, BalancerStatus] = {}
        parts: Any = SimpleNamespace(network=self.network, balancer=self.engine, reports=self)
        self.networks = Networks(parts, set)

    def report_balancers(self, statuses: Sequence[BalancerStatus]) -> None:
        self.told |= {s.id: s for s in statuses}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loops = [asyncio.create_task(self.networks.run()), asyncio.create_task(self.networks.watch())]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    def serves(self) -> set[str]:
        return {b.id for b in self.engine.balancers}


@pytest.fixture
def node() -> Node:
    return Node()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_balancer_runs_after_its_network_and_ends_before_it(node: Node) -> None:
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: node.told.get("a") == BalancerStatus("a", "active", host_ports=(80,)))
        assert node.engine.namespaces == node.network.namespaces() and "a" in node.network.balancers
        node.networks.remove({"vpc-1"}, {"a"})
        await until(lambda: not node.network.vpcs)
        assert node.serves() == set() and not node.network.balancers


async def test_one_that_has_to_wait_holds_up_no_other(node: Node) -> None:
    async with node.running():
        node.networks.replace([VPC], [balancer("late", "vpc-2"), balancer("a")])
        await until(lambda: node.serves() == {"a"})
        node.networks.update([replace(VPC, id="vpc-2")], [])
        await until(lambda: node.serves() == {"a", "late"})


async def test_one_that_fails_is_told_with_the_reason(node: Node) -> None:
    node.network.fail["add_balancer"] = Permanent("no address is left")
    async with node.running():
        node.networks.replace([VPC], [balancer("bad"), balancer("a")])
        await until(lambda: node.serves() == {"a"} and "bad" in node.told)
        assert node.told["bad"] == BalancerStatus("bad", "failed", "no address is left")


async def test_a_machine_without_networks_says_so(node: Node) -> None:
    node.network.why_not = "it needs root"
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: "a" in node.told)
    assert node.told["a"].state == "failed" and "it needs root" in node.told["a"].reason


async def test_changed_groups_reach_the_proxy(node: Node) -> None:
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: node.serves() == {"a"})
        assert node.engine.balancers[0].listeners[0].clients == ("10.0.0.0/8",)
        wide = replace(WEB, ingress=(NetworkRule("-1", -1, -1, "0.0.0.0/0"),))
        node.networks.update([replace(VPC, security_groups=(wide,))], [])
        await until(lambda: node.engine.balancers[0].listeners[0].clients == ("0.0.0.0/0",))


async def test_a_proxy_that_does_not_answer_is_asked_again(node: Node) -> None:
    node.engine.failure = "it does not answer"
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: bool(node.network.balancers))
        node.engine.failure = ""
        await until(lambda: node.serves() == {"a"})


async def test_health_is_told_when_it_changes_and_all_again_to_a_new_connection(node: Node) -> None:
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: "a" in node.told)
        node.engine.taken["127.9.0.1", 80] = "in use"
        node.engine.changed()
        await until(lambda: node.told["a"].state == "failed")
        node.told.clear()
        node.networks.forget_told()
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: "a" in node.told)


async def test_nothing_begins_after_the_end(node: Node) -> None:
    """A snapshot that comes while everything is removed starts no proxy that would be left behind."""
    async with node.running():
        await node.networks.stop()
        node.networks.replace([VPC], [balancer("a")])
        await asyncio.sleep(0.05)
    assert node.serves() == set() and not node.network.vpcs


async def test_an_engine_that_is_away_ends_no_loop(node: Node) -> None:
    node.network.fail["ensure_vpc"] = Temporary("the kernel is busy", 0.01)
    async with node.running():
        node.networks.replace([VPC], [balancer("a")])
        await until(lambda: node.serves() == {"a"})
