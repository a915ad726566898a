"""The node's agent on engines that misbehave: away, slow, losing answers; and a node that is started again."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.control.workloads.agent_bench import VPC, Node, work

from havre.control.nodelink.messages import USAGE, Assign
from havre.control.nodelink.spool import Spool
from havre.control.workloads.agent import remove_all
from havre.control.workloads.lines import LineKeeper
from havre.kernel.balancer import Balancer
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.workload import Container, LogTarget, PortMapping, Volume

pytestmark = pytest.mark.looptime
replace = msgspec.structs.replace


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.mark.parametrize("network", ["bridge", "host", "none", "awsvpc"])
async def test_a_life_from_end_to_end(node: Node, network: str) -> None:
    async with node.life():
        node.assign(work("w", "ok", "ok", network=network, volumes=(Volume("v"),)))
        status = await node.until("w", "RUNNING")
        assert [c.state for c in status.containers] == ["RUNNING", "RUNNING"]
        assert node.endpoint.open_at["w"] == (node.network.attached["eni-w"][1] if network == "awsvpc" else 0)
        assert list(node.engine.volumes.values()) == ["w"]
        node.want_stopped("w")
        status = await node.until("w", "STOPPED")
        assert (status.stop_code, status.stop_reason) == ("UserInitiated", "bye")
        assert [c.exit_code for c in status.containers] == [0, 0]
        await node.gone()
        assert node.engine.volumes == {}
        assert "w" not in node.endpoint.open_at
        assert node.phases["w"] == sorted(node.phases["w"], key=PHASE.index)


PHASE = ("PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [
        ("nowhere", "TaskFailedToStart", "CannotPullContainerError"),
        ("broken", "TaskFailedToStart", "CannotStartContainerError"),
        ("short", "EssentialContainerExited", "Essential container in task exited"),
    ],
)
async def test_how_it_ends_by_itself(node: Node, image: str, code: str, words: str) -> None:
    async with node.life():
        node.assign(work("w", image))
        status = await node.until("w", "STOPPED")
        assert status.stop_code == code
        assert words in status.stop_reason
        await node.gone()


async def test_an_engine_that_is_away_for_a_while_costs_only_time(node: Node) -> None:
    async with node.life():
        node.assign(work("w"))
        await node.until("w", "RUNNING")
        node.engine.leave()
        node.assign(work("x"))
        await asyncio.sleep(3)
        assert node.phase("x") == "PENDING"
        assert node.phase("w") == "RUNNING"
        node.engine.come_back()
        await node.until("x", "RUNNING")
        assert node.engine.starts == {("w", "c0"): 1, ("x", "c0"): 1}


async def test_an_engine_that_was_restarted_has_ended_everything(node: Node) -> None:
    async with node.life():
        node.assign(work("w"))
        await node.until("w", "RUNNING")
        node.engine.leave()
        node.engine.restart()
        await asyncio.sleep(1)
        node.engine.come_back()
        status = await node.until("w", "STOPPED")
        assert (status.stop_code, status.containers[0].exit_code) == ("EssentialContainerExited", 137)


@pytest.mark.parametrize("method", ["pull", "sandbox", "create", "start", "ensure_volume"])
@pytest.mark.parametrize("how", ["lose", "fail"])
async def test_a_lost_answer_starts_nothing_twice(node: Node, method: str, how: str) -> None:
    getattr(node.engine, how)[method] = Temporary("the answer was lost")
    async with node.life():
        node.assign(work("w", network="awsvpc", volumes=(Volume("v"),)))
        await node.until("w", "RUNNING")
        assert node.engine.starts[("w", "c0")] == 1
        assert node.engine.creations[("w", "c0")] == 1


@pytest.mark.parametrize("method", ["stop", "remove", "remove_volumes", "inspect"])
async def test_trouble_at_the_end_is_overcome(node: Node, method: str) -> None:
    async with node.life():
        node.assign(work("w", volumes=(Volume("v"),)))
        await node.until("w", "RUNNING")
        node.engine.fail[method] = Temporary("not now")
        node.want_stopped("w")
        await node.until("w", "STOPPED")
        await node.gone()


async def test_networks_that_do_not_work_are_said(node: Node) -> None:
    node.network.why_not = "VPC networks need root"
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        status = await node.until("w", "STOPPED")
        assert status.stop_code == "TaskFailedToStart"
        assert "VPC networks need root" in status.stop_reason
        await node.gone()


async def test_a_vpc_that_comes_later_is_waited_for(node: Node) -> None:
    loop = asyncio.get_running_loop().create_task(node.agent.run())
    node.agent.snapshot([], [], [])
    node.assign(work("w", network="awsvpc"))
    await asyncio.sleep(2)
    assert node.phase("w") == "PENDING"
    node.agent.changed(Assign(vpcs=(VPC,)))
    await node.until("w", "RUNNING")
    loop.cancel()


async def test_a_restarted_node_finds_what_runs(node: Node) -> None:
    async with node.life():
        node.assign(work("w", network="awsvpc"), work("x"))
        await node.until("w", "RUNNING")
        await node.until("x", "RUNNING")
    pid = node.network.attached["eni-w"][1]
    async with node.life():
        await asyncio.sleep(5)
        assert node.endpoint.open_at == {"w": pid, "x": 0}
        assert (node.phase("w"), node.phase("x")) == ("RUNNING", "RUNNING")
        assert set(node.engine.starts.values()) == {1}
        node.want_stopped("w")
        await node.until("w", "STOPPED")


async def test_what_ended_while_the_node_was_away(node: Node) -> None:
    async with node.life():
        node.assign(work("w"), work("x"))
        await node.until("w", "RUNNING")
        await node.until("x", "RUNNING")
    ids = {s.workload: s.id for s in node.engine.running}
    node.engine.kill(ids["w"], 9)
    node.engine.vanish(ids["x"])
    async with node.life():
        assert (await node.until("w", "STOPPED")).containers[0].exit_code == 9
        assert "removed from outside" in (await node.until("x", "STOPPED")).containers[0].reason
        assert set(node.engine.starts.values()) == {1}


@pytest.mark.parametrize("after", [0.0, 0.01, 0.2, 1.0])
async def test_killed_on_the_way_it_starts_nothing_twice(node: Node, after: float) -> None:
    for method in ("pull", "sandbox", "create", "start"):
        node.engine.delay[method] = 0.1
    async with node.life():
        node.assign(work("w", "ok", "ok", network="awsvpc"))
        await asyncio.sleep(after)
    async with node.life():
        await node.until("w", "RUNNING")
        await asyncio.sleep(5)
        assert {k: n for k, n in node.engine.starts.items() if k[1]} == {("w", "c0"): 1, ("w", "c1"): 1}


async def test_what_the_server_no_longer_knows_goes(node: Node) -> None:
    async with node.life():
        node.assign(work("w", network="awsvpc"), work("x"))
        await node.until("w", "RUNNING")
        await node.until("x", "RUNNING")
    node.forget("w")
    async with node.life():
        async with asyncio.timeout(60):
            while {s.workload for s in node.engine.existing} != {"x"} or node.network.attached:
                await asyncio.sleep(0.1)
        assert node.phase("x") == "RUNNING"


async def test_nothing_is_taken_down_without_a_word_from_the_server(node: Node) -> None:
    async with node.life():
        node.assign(work("w"))
        await node.until("w", "RUNNING")
    loop = asyncio.get_running_loop().create_task(node.agent.run())
    await asyncio.sleep(1000)
    assert len(node.engine.running) == 1
    loop.cancel()


async def test_the_end_stops_everything_and_says_why(node: Node) -> None:
    async with node.life():
        node.assign(work("w", "stubborn", network="awsvpc"), work("x"))
        await node.until("w", "RUNNING")
        await node.until("x", "RUNNING")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await node.agent.stop(True)
        assert loop.time() - began < 25
        assert node.told["w"].stop_code == "TerminationNotice"
        assert node.told["w"].stop_reason == "Host EC2 (instance i-1) terminated."
        assert (node.phase("w"), node.phase("x")) == ("STOPPED", "STOPPED")
        assert node.engine.existing == []
        assert (node.network.attached, node.network.vpcs) == ({}, {})
        assert node.balancer.stopped
        node.assign(work("y"))
        await asyncio.sleep(1)
        assert node.phase("y") == ""


async def test_the_end_without_a_server_that_listens(node: Node) -> None:
    async with node.life():
        node.assign(work("w"))
        await node.until("w", "RUNNING")
        node.deaf = True
        await node.agent.stop(True)
        assert node.engine.existing == []


async def test_an_end_that_keeps(node: Node) -> None:
    async with node.life():
        node.assign(work("w", network="awsvpc"))
        await node.until("w", "RUNNING")
        await node.agent.stop(False)
    assert len(node.engine.running) == 2
    assert node.phase("w") == "RUNNING"


async def test_clearing_up_without_an_agent(node: Node) -> None:
    async with node.life():
        node.assign(work("w", network="awsvpc", volumes=(Volume("v"),)))
        await node.until("w", "RUNNING")
    await remove_all(node.agent.parts)
    assert node.engine.existing == []
    assert node.engine.volumes == {}
    assert node.network.attached == {}


async def test_networks_go_although_the_engine_is_away(node: Node) -> None:
    await node.network.ensure_vpc(VPC)
    node.engine.leave("gone")
    with pytest.raises(Temporary, match="gone"):
        await remove_all(node.agent.parts)
    assert node.network.vpcs == {}


async def test_an_engine_that_never_answered_has_nothing_of_ours(node: Node) -> None:
    await node.network.ensure_vpc(VPC)
    node.engine.leave("gone")
    node.agent.parts.met = lambda: False
    await remove_all(node.agent.parts)
    assert node.network.vpcs == {}


async def test_an_engine_that_is_away_for_long_is_told_of_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    node.engine.leave("gone for lunch")
    async with node.life():
        await asyncio.sleep(60)
        assert caplog.text.count("sweep: gone for lunch") == 1
        node.engine.come_back()
        await asyncio.sleep(60)
        node.engine.leave("gone for lunch")
        await asyncio.sleep(60)
    assert caplog.text.count("sweep: gone for lunch") == 2


async def test_questions_of_the_server(node: Node) -> None:
    async with node.life():
        node.assign(work("w"))
        await node.until("w", "RUNNING")
        where = {"workload": "w", "container": "c0"}
        told = await node.agent.answer("exec", {**where, "command": ["echo", "hi"]})
        assert told == {"exit_code": 0, "output": b"echo hi"}
        assert await node.agent.answer("logs", where) == b"started\n"
        assert "id" in await node.agent.answer("stats", where)
        for what, question in (
            ("exec", {"workload": "w", "container": "no"}),
            ("stats", {"workload": "no", "container": "c0"}),
        ):
            with pytest.raises(Gone):
                await node.agent.answer(what, question)
        with pytest.raises(Gone):
            await node.agent.answer("dance", where)


async def test_what_workloads_use(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Any] = {}

    async def stats(id: str) -> Any:
        state = await node.engine.inspect(id)
        found = answers[state.workload, state.container]
        if isinstance(found, Exception):
            raise found
        return {"cpu_stats": {"cpu_usage": {"total_usage": found}}, "memory_stats": {"usage": 7}}

    monkeypatch.setattr(node.engine, "stats", stats)
    async with node.life():
        assert await node.agent.answer(USAGE, None) == {}
        for id, images in (("w", ("ok", "ok")), ("x", ("ok",))):
            node.assign(work(id, *images))
            await node.until(id, "RUNNING")
        answers |= {("w", "c0"): 5, ("w", "c1"): 6, ("x", "c0"): 1}
        assert await node.agent.answer(USAGE, None) == {"w": (11, 14), "x": (1, 7)}
        answers["w", "c1"] = Temporary("away")
        assert await node.agent.answer(USAGE, None) == {"x": (1, 7)}, "half of a workload is not told as the whole"
        node.want_stopped("x")
        await node.until("x", "STOPPED")
        assert await node.agent.answer(USAGE, None) == {}


async def test_balancers_are_applied_and_reported(node: Node) -> None:
    balancer = Balancer("lb", "lb.localhost", "vpc-1", (("subnet-1", "10.0.0.5"),), "127.1.0.1")
    async with node.life():
        node.agent.changed(Assign(vpcs=(VPC,), balancers=(balancer,)))
        await asyncio.sleep(1)
        assert [b.id for b in node.balancer.balancers] == ["lb"]
        assert node.balancers[-1].id == "lb"
        node.network.fail["add_balancer"] = Permanent("the address is taken")
        node.agent.changed(Assign(balancers=(replace(balancer, id="other"),)))
        await asyncio.sleep(1)
        failed = next(s for s in node.balancers if s.id == "other")
        assert (failed.state, failed.reason) == ("failed", "the address is taken")
        node.agent.changed(Assign(removed_balancers=("lb", "other")))
        await asyncio.sleep(1)
        assert list(node.balancer.balancers) == []


# --- lines

LOGGED = Container("c0", "ok", log=LogTarget("awslogs", "/g", "s/c0/w", options={"a": "b"}))


async def test_lines_go_where_the_container_says(node: Node, tmp_path: Any) -> None:
    spool = Spool(tmp_path / "lines")
    keeper = LineKeeper(node.agent, spool, tmp_path / "streams")
    waiting = keeper.take("w", "c0", [(1, b"early")])
    assert waiting is not None and not waiting.done()
    node.known["w"] = replace(work("w"), containers=(LOGGED,))
    async with node.life():
        await asyncio.sleep(1)
        assert waiting.done()
        assert keeper.take("w", "c0", [(2, b"later")]) is None
        assert keeper.take("nobody", "c0", [(2, b"dropped")]) is None
        _, (batch,) = spool.read(0, 1 << 16)
        assert batch.lines == ((1, b"early"), (2, b"later"))
        assert (batch.stream.group, batch.stream.stream, batch.stream.region) == ("/g", "s/c0/w", "us-east-1")
        assert batch.stream.options == {"a": "b"}
    await keeper.close()
    again = LineKeeper(node.agent, spool, tmp_path / "streams")
    assert again.take("w", "c0", [(3, b"before the server has said anything")]) is None
    assert spool.read(0, 1 << 16)[1][0].lines[-1][0] == 3
    await again.close()
    spool.close()


async def test_which_host_ports_are_ours(node: Node) -> None:
    """Those that are asked for and those that were chosen; a port of an awsvpc workload is none of the host's."""
    async with node.life():
        fixed = Container("c0", "ok", ports=(PortMapping(80, 8080), PortMapping(81)))
        node.assign(replace(work("w"), containers=(fixed,)))
        inside = Container("c0", "ok", ports=(PortMapping(90, 90),))
        node.assign(replace(work("v", network="awsvpc"), containers=(inside,)))
        status = await node.until("w", "RUNNING")
        await node.until("v", "RUNNING")
        chosen = {p.host_port for p in status.containers[0].ports}
        assert node.agent.ports() == chosen | {0}
        assert 8080 in chosen
        assert len(chosen) == 2
        for id in ("w", "v"):
            node.want_stopped(id)
        await node.until("w", "STOPPED")
        await node.gone()
        assert node.agent.ports() == frozenset()
