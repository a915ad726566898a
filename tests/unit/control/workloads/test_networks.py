"""A node's VPCs: there while something needs them, whatever the order in which the server and tasks change their minds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from tests.unit.control.workloads.test_agent import VPC, Node, work

from havre.control.nodelink.messages import Assign, Assignment
from havre.kernel.balancer import Balancer
from havre.kernel.vpc import SecurityGroup
from havre.kernel.workload import Interface

pytestmark = pytest.mark.looptime
NOTHING_MORE = Assign(removed_vpcs=(VPC.id,))


async def until(seen: object) -> None:
    async with asyncio.timeout(60):
        while not seen():  # type: ignore[operator]
            await asyncio.sleep(0.05)


async def test_a_vpc_goes_with_the_last_task_in_it() -> None:
    node = Node()
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        await node.until("w", "RUNNING")
        node.agent.changed(NOTHING_MORE)
        await asyncio.sleep(5)
        assert VPC.id in node.network.vpcs, "a task is in it"
        node.want_stopped("w")
        await until(lambda: VPC.id not in node.network.vpcs)
        assert node.phase("w") == "STOPPED"


async def test_interfaces_that_functions_have_stay_when_everything_is_told_anew() -> None:
    node = Node()
    node.agent.parts.kept = lambda: ("eni-function-1",)
    for eni in ("eni-function-1", "eni-of-a-former-life"):
        node.network.attached[eni] = (Interface(eni, VPC.id, "subnet-1", "10.0.0.8", "02:00:00:00:00:02"), 1)
    async with node.life():
        await until(lambda: "eni-of-a-former-life" not in node.network.attached)
        node.snapshot()
        await asyncio.sleep(5)
        assert set(node.network.attached) == {"eni-function-1"}


@pytest.mark.parametrize("wait", [0.0, 0.01, 0.5, 0.99, 1.01])
async def test_a_task_that_comes_while_its_vpc_is_taken_down_finds_it_built_again(wait: float) -> None:
    node = Node()
    node.network.delay["remove_vpc"] = 1.0
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        await node.until("w", "RUNNING")
        node.want_stopped("w")
        await node.until("w", "STOPPED")
        await node.gone()
        node.agent.changed(NOTHING_MORE)
        await asyncio.sleep(wait)
        node.agent.changed(Assign(vpcs=(VPC,)))
        node.assign(work("x", network="awsvpc"))
        await node.until("x", "RUNNING")
        await asyncio.sleep(5)
        assert set(node.network.attached) == {"eni-x"} and VPC.id in node.network.vpcs


async def test_a_vpc_that_is_built_holds_nobody_up_while_balancers_are_applied() -> None:
    node = Node()
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        await node.until("w", "RUNNING")
        held, apply = asyncio.Event(), node.balancer.apply

        async def slow(*arguments: object) -> None:
            await held.wait()
            await apply(*arguments)  # type: ignore[arg-type]

        node.balancer.apply = slow  # type: ignore[method-assign]
        balancer = Balancer("lb", "lb-1.us-east-1.elb.localhost", VPC.id, (("subnet-1", "10.0.0.20"),), "127.77.0.1")
        node.agent.changed(Assign(balancers=(balancer,)))
        node.assign(work("x", network="awsvpc"))
        await node.until("x", "RUNNING")
        held.set()


async def test_changed_groups_reach_a_vpc_that_is_built() -> None:
    node = Node()
    changed = msgspec.structs.replace(VPC, security_groups=(SecurityGroup("sg-1"),))
    async with node.life():
        node.agent.changed(Assign(vpcs=(changed,)))
        await asyncio.sleep(5)
        assert node.network.vpcs == {}, "nothing needs it"
        node.agent.changed(Assign(vpcs=(VPC,)))
        node.assign(work("w", network="awsvpc"))
        await node.until("w", "RUNNING")
        node.agent.changed(Assign(vpcs=(changed,)))
        await until(lambda: node.network.vpcs[VPC.id] == changed)


@pytest.mark.parametrize("slow", [1.0, 1000.0])
async def test_a_task_ends_once_load_balancers_have_heard_of_it_or_could_have(
    slow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a lost connection both come in one message."""
    node, seen = Node(), []
    stop, apply = node.engine.stop, node.balancer.apply

    async def stopped(id: str, timeout: float, signal: str = "") -> None:
        seen.append(([b.id for b in node.balancer.balancers], asyncio.get_running_loop().time()))
        await stop(id, timeout, signal)

    async def applied(balancers: Sequence[Balancer], namespaces: Mapping[str, str]) -> None:
        if not balancers:
            await asyncio.sleep(slow)
        await apply(balancers, namespaces)

    monkeypatch.setattr(node.engine, "stop", stopped)
    monkeypatch.setattr(node.balancer, "apply", applied)
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        node.agent.changed(Assign(balancers=(Balancer("lb", "lb.localhost", VPC.id, (), "127.9.0.1", ()),)))
        await node.until("w", "RUNNING")
        await until(lambda: [b.id for b in node.balancer.balancers] == ["lb"])
        began = asyncio.get_running_loop().time()
        ending = msgspec.structs.replace(node.known["w"], desired="STOPPED", stop_code="UserInitiated")
        node.agent.snapshot([Assignment(ending, node.told["w"])], [VPC], [])
        await node.until("w", "STOPPED")
    ((served, at),) = seen
    assert served == ([] if slow == 1.0 else ["lb"])
    assert at - began == pytest.approx(min(slow, 3.0), abs=0.2)
