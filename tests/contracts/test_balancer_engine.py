"""Every balancer engine keeps these promises: the fake, and HAProxy itself."""

from __future__ import annotations

import asyncio
import collections

import pytest

from havre.core.traffic import since
from havre.engines.fake_balancer import Asked
from havre.kernel.balancer import BalancerAction, BalancerCondition, BalancerPool, BalancerRule
from tests.contracts.balancer_bench import (
    PATIENCE,
    QUICK,
    Subject,
    Target,
    all_healthy,
    balancer,
    forward,
    listener,
    states,
    until,
)
from tests.ports import free_port

OK = Asked()


async def asked_often(subject: Subject, port: int, asked: Asked = OK, times: int = 30) -> collections.Counter[str]:
    return collections.Counter([(await subject.ask(port, asked)).target for _ in range(times)])


async def test_every_healthy_target_gets_work(subject: Subject, targets: list[Target], port: int) -> None:
    await subject.engine.apply([balancer(port, *(t.target() for t in targets))], {})
    await until(lambda: all_healthy(subject.engine, targets))
    assert set(await asked_often(subject, port)) == {t.id for t in targets}
    (status,) = await subject.engine.status()
    assert (status.id, status.state, status.host_ports) == ("web", "active", (port,))


async def test_without_targets_the_answer_is_503(subject: Subject, port: int) -> None:
    await subject.engine.apply([balancer(port)], {})
    assert (await subject.ask(port, OK)).status == 503


async def test_unhealthy_targets_get_nothing_until_all_are(subject: Subject, targets: list[Target], port: int) -> None:
    await subject.engine.apply([balancer(port, *(t.target() for t in targets))], {})
    await until(lambda: all_healthy(subject.engine, targets))
    subject.ail(targets[0], healthy=False)

    async def seen() -> bool:
        return (await states(subject.engine))[targets[0].id].state == "unhealthy"

    await until(seen)

    async def avoided() -> bool:
        return set(await asked_often(subject, port)) == {t.id for t in targets[1:]}

    await until(avoided)
    for each in targets[1:]:
        subject.ail(each, healthy=False)

    async def open_to_all() -> bool:
        return set(await asked_often(subject, port)) == {t.id for t in targets}

    await until(open_to_all)
    subject.ail(targets[2], healthy=True)

    async def only_the_last() -> bool:
        return set(await asked_often(subject, port)) == {targets[2].id}

    await until(only_the_last)


async def test_requests_are_counted(subject: Subject, targets: list[Target], port: int) -> None:
    assert await subject.engine.traffic() == {}
    await subject.engine.apply([balancer(port)], {})
    before = (await subject.engine.traffic())["pool"]
    assert before.requests == 0
    assert (await subject.ask(port, OK)).status == 503
    await subject.engine.apply([balancer(port, *(t.target() for t in targets))], {})
    await until(lambda: all_healthy(subject.engine, targets))
    began = (await subject.engine.traffic())["pool"]
    for _ in range(7):
        assert (await subject.ask(port, OK)).status == 200
    done = since(began, (await subject.engine.traffic())["pool"])
    assert (done.requests, done.answered, done.refused, done.failed) == (7, (7, 0, 0, 0), 0, 0)


async def test_draining_targets_get_no_new_work(subject: Subject, targets: list[Target], port: int) -> None:
    await subject.engine.apply([balancer(port, *(t.target() for t in targets))], {})
    await until(lambda: all_healthy(subject.engine, targets))
    leaving = [targets[0].target(draining=True), *(t.target() for t in targets[1:])]
    await subject.engine.apply([balancer(port, *leaving)], {})
    assert targets[0].id not in await asked_often(subject, port)
    seen = (await states(subject.engine))[targets[0].id]
    assert (seen.state, seen.reason) == ("draining", "Target.DeregistrationInProgress")


async def test_the_first_rule_that_holds_decides(subject: Subject, targets: list[Target], port: int) -> None:
    path = BalancerCondition("path-pattern", ("/a*",))
    rules = (
        BalancerRule("1", (path, BalancerCondition("http-request-method", ("POST",))), forward("posts")),
        BalancerRule("2", (path,), BalancerAction("fixed-response", status=418, content_type="text/plain", body="tea")),
        BalancerRule(
            "3",
            (BalancerCondition("source-ip", ("127.0.0.9/32",)),),
            BalancerAction("redirect", redirect={"port": "1"}),
        ),
    )
    pools = (
        BalancerPool("pool", "HTTP", (targets[0].target(),), QUICK),
        BalancerPool("posts", "HTTP", (targets[1].target(),), QUICK),
    )
    await subject.engine.apply([balancer(port, listeners=(listener(port, *rules),), pools=pools)], {})
    await until(lambda: all_healthy(subject.engine, targets[:2]))
    assert (await subject.ask(port, Asked("POST", path="/ab"))).target == targets[1].id
    tea = await subject.ask(port, Asked(path="/ab"))
    assert (tea.status, tea.body) == (418, "tea")
    assert (await subject.ask(port, Asked(source="127.0.0.9"))).status == 301
    assert (await subject.ask(port, Asked(path="/b"))).target == targets[0].id


async def test_weights_are_kept(subject: Subject, targets: list[Target], port: int) -> None:
    action = BalancerAction("forward", (("a", 4), ("b", 1), ("c", 0)))
    pools = tuple(BalancerPool(name, "HTTP", (t.target(),), QUICK) for name, t in zip("abc", targets, strict=True))
    await subject.engine.apply([balancer(port, listeners=(listener(port, action=action),), pools=pools)], {})
    await until(lambda: all_healthy(subject.engine, targets))
    seen = await asked_often(subject, port, times=300)
    assert seen[targets[2].id] == 0 and 190 < seen[targets[0].id] < 285


async def test_a_balancer_that_is_no_longer_asked_for_does_not_answer(subject: Subject, port: int) -> None:
    other = free_port()
    await subject.engine.apply([balancer(port), balancer(other, id="two", host_address="127.88.0.2")], {})
    await subject.engine.apply([balancer(port)], {})
    assert [s.id for s in await subject.engine.status()] == ["web"]
    await subject.engine.apply([], {})
    assert list(await subject.engine.status()) == []
    with pytest.raises((OSError, KeyError, IndexError)):
        await subject.ask(port, OK)


async def test_changes_are_pushed(subject: Subject, targets: list[Target], port: int) -> None:
    seen: asyncio.Queue[None] = asyncio.Queue()

    async def follow() -> None:
        async for _ in subject.engine.changes():
            seen.put_nowait(None)

    task = asyncio.create_task(follow())
    await asyncio.wait_for(seen.get(), PATIENCE)
    await subject.engine.apply([balancer(port, targets[0].target())], {})
    await until(lambda: all_healthy(subject.engine, targets[:1]))
    while not seen.empty():
        seen.get_nowait()
    subject.ail(targets[0], healthy=False)
    await asyncio.wait_for(seen.get(), PATIENCE)
    task.cancel()


async def test_applying_the_same_again_changes_nothing(subject: Subject, targets: list[Target], port: int) -> None:
    wanted = [balancer(port, targets[0].target())]
    for _ in range(3):
        await subject.engine.apply(wanted, {})
    await until(lambda: all_healthy(subject.engine, targets[:1]))
    assert (await subject.ask(port, OK)).target == targets[0].id
