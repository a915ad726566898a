"""HAProxy that is killed, kept out, refused, left behind and taken down; and health as AWS tells it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerAction, BalancerCondition, BalancerHealthCheck, BalancerPool, BalancerRule
from tests.contracts.balancer_bench import (
    HOST,
    QUICK,
    Target,
    all_healthy,
    balancer,
    fetch,
    forward,
    listener,
    need_haproxy,
    real,
    states,
    until,
)
from tests.contracts.balancer_load import load
from tests.ports import free_port


@pytest.fixture(autouse=True)
def _haproxy() -> None:
    need_haproxy()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "haproxy"


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[HaproxyEngine]:
    async with real(directory) as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = await Target().start()
    yield made
    await made.stop()


@pytest.fixture
def port() -> int:
    return free_port()


def processes(directory: Path) -> list[int]:
    """Every process that was started with something of this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


async def answers(port: int, address: str = HOST) -> bool:
    try:
        return (await fetch(address, port)).status == 200
    except (OSError, IndexError):
        return False


async def reason(engine: HaproxyEngine) -> tuple[str, str]:
    (status,) = await engine.status()
    return status.state, status.reason


async def active(engine: HaproxyEngine) -> bool:
    return await reason(engine) == ("active", "")


async def test_nothing_runs_before_the_first_balancer(engine: HaproxyEngine, directory: Path) -> None:
    await engine.apply([], {})
    assert not directory.exists() and processes(directory) == []


@pytest.mark.parametrize("victim", ["master", "worker", "all"])
async def test_a_killed_proxy_comes_back(
    engine: HaproxyEngine, directory: Path, target: Target, port: int, victim: str
) -> None:
    await engine.apply([balancer(port, target.target())], {})
    await until(lambda: all_healthy(engine, [target]))
    master, *workers = sorted(processes(directory))
    for pid in {"master": [master], "worker": workers, "all": [master, *workers]}[victim]:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not {master, *workers} & set(processes(directory)))
    await until(lambda: answers(port))
    await until(lambda: active(engine))


async def test_a_taken_port_is_said_and_tried_again(engine: HaproxyEngine, target: Target, port: int) -> None:
    other = free_port()
    with socket.create_server((HOST, port)):
        wanted = balancer(port, target.target(), listeners=(listener(port), listener(other)))
        await engine.apply([wanted], {})
        await until(lambda: all_healthy(engine, [target]))
        assert await answers(other)
        state, why = await reason(engine)
        assert state == "active_impaired" and f"{HOST}:{port}: address already in use" in why
        (status,) = await engine.status()
        assert status.host_ports == (other,)
    await until(lambda: answers(port))
    await until(lambda: active(engine))


async def test_without_any_port_a_balancer_has_failed(engine: HaproxyEngine, target: Target, port: int) -> None:
    with socket.create_server((HOST, port)):
        await engine.apply([balancer(port, target.target())], {})
        state, why = await reason(engine)
        assert state == "failed" and "address already in use" in why
    await until(lambda: answers(port))


async def test_a_name_that_does_not_answer_says_why(engine: HaproxyEngine, target: Target, port: int) -> None:
    """Somebody else has 127.0.0.1: the balancer is active on its own address, and tells."""
    with socket.create_server(("127.0.0.1", port)):
        wanted = balancer(port, target.target())
        await engine.apply([wanted], {})
        await until(lambda: answers(port))
        state, why = await reason(engine)
        assert state == "active"
        assert f"127.0.0.1:{port} is not to be had (address already in use): {wanted.dns_name} does not answer" in why
    await until(lambda: answers(port, "127.0.0.1"))


async def test_what_no_configuration_can_carry_fails_alone(engine: HaproxyEngine, target: Target, port: int) -> None:
    other = free_port()
    odd = BalancerRule("1", (BalancerCondition("path-pattern", ("/a\nuser root",)),), BalancerAction("forward"))
    bad = balancer(other, id="two", host_address="127.88.0.2", listeners=(listener(other, odd),), pools=())
    await engine.apply([balancer(port, target.target()), bad], {})
    await until(lambda: answers(port))
    states = {s.id: (s.state, s.reason) for s in await engine.status()}
    assert states["web"][0] == "active"
    assert states["two"][0] == "failed" and "control character" in states["two"][1]


async def test_quotes_and_signs_stay_values(engine: HaproxyEngine, target: Target, port: int) -> None:
    """Nothing that a user types becomes configuration."""
    odd = ("/'", '/"a b"', "/${HOME}", "/#x", "/\\\\", "/%[src]", "/a' if TRUE", "-f", "--", "/{}")
    tea = BalancerAction("fixed-response", status=418, content_type="text/plain", body="'\"#${HOME}%[src]\\")
    rules = [BalancerRule(str(n), (BalancerCondition("path-pattern", (v,)),), tea) for n, v in enumerate(odd)]
    await engine.apply([balancer(port, target.target(), listeners=(listener(port, *rules),))], {})
    await until(lambda: answers(port))
    assert (await reason(engine)) == ("active", "")


async def test_a_missing_proxy_is_said(directory: Path, port: int) -> None:
    engine = HaproxyEngine(directory, binary="haproxy-that-is-not-there")
    await engine.apply([balancer(port)], {})
    assert await reason(engine) == ("failed", "haproxy-that-is-not-there is not installed")
    await engine.stop()


async def test_the_proxy_outlives_its_engine(directory: Path, target: Target, port: int) -> None:
    """As when the node's process is killed: requests go on, and the next one takes over what runs."""
    first = HaproxyEngine(directory)
    run = asyncio.create_task(first.run())
    slow = BalancerHealthCheck(interval=300, timeout=2)
    wanted = balancer(port, pools=(BalancerPool("pool", "HTTP", (target.target(),), slow),))
    await first.apply([wanted], {})
    await until(lambda: all_healthy(first, [target]))
    before = processes(directory)
    async with load(HOST, port) as seen:
        await seen.more(50)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await seen.more(50)
        async with real(directory) as second:
            await second.apply([wanted], {})
            assert (await states(second))[target.id].state == "healthy"  # known without a check: it has had work
            await seen.more(50)
            assert set(before) & set(processes(directory))
            late = await Target().start()
            more = BalancerPool("pool", "HTTP", (target.target(), late.target()), slow)
            await second.apply([balancer(port, pools=(more,))], {})
            await until(lambda: all_healthy(second, [target, late]))
            await seen.more(50)
            assert late.served > 0
            assert seen.failed == []
            seen.failed.append("over")
    await late.stop()
    assert processes(directory) == []


async def test_stop_leaves_nothing(directory: Path, target: Target, port: int) -> None:
    async with real(directory) as engine:
        await engine.apply([balancer(port, target.target())], {})
        await until(lambda: answers(port))
    assert processes(directory) == [] and not directory.exists()
    with pytest.raises(OSError):
        await fetch(HOST, port)
    await HaproxyEngine(directory).stop()


async def test_stop_ends_a_proxy_of_an_earlier_process(directory: Path, target: Target, port: int) -> None:
    first = HaproxyEngine(directory)
    await first.apply([balancer(port, target.target())], {})
    assert processes(directory)
    await HaproxyEngine(directory).stop()
    assert processes(directory) == []


async def test_the_last_balancer_takes_the_proxy_along(
    engine: HaproxyEngine, directory: Path, target: Target, port: int
) -> None:
    await engine.apply([balancer(port, target.target())], {})
    assert processes(directory)
    await engine.apply([], {})
    assert processes(directory) == [] and not directory.exists()
    await engine.apply([balancer(port, target.target())], {})
    await until(lambda: answers(port))


async def test_files_are_for_their_owner_only(engine: HaproxyEngine, directory: Path, port: int) -> None:
    await engine.apply([balancer(port)], {})
    assert directory.stat().st_mode & 0o77 == 0
    assert [f for f in directory.rglob("*.cfg") if f.stat().st_mode & 0o77] == []


# --- health


async def test_health_in_the_words_of_aws(engine: HaproxyEngine, port: int) -> None:
    teapot, silent, absent, found = Target(), Target(), Target(), Target()
    for each in (teapot, silent, found):
        await each.start()
    teapot.checked, found.checked, silent.silent, absent.port = 418, 302, True, free_port()
    patient = msgspec.structs.replace(QUICK, matcher="200,300-302", path="/up?x")
    hasty = msgspec.structs.replace(QUICK, timeout=0.3)
    pools = (
        BalancerPool("pool", "HTTP", tuple(t.target() for t in (teapot, absent, found)), patient),
        BalancerPool("silent", "HTTP", (silent.target(),), hasty),
    )
    await engine.apply([balancer(port, listeners=(listener(port, action=forward("pool", "silent")),), pools=pools)], {})
    (first,) = [s for s in (await engine.status())[0].targets if s.target == silent.id]
    assert (first.state, first.reason) == ("initial", "Elb.InitialHealthChecking")
    await until(lambda: settled(engine))
    seen = await states(engine)
    assert (seen[found.id].state, seen[found.id].reason) == ("healthy", "")
    told = {
        name: (seen[t.id].state, seen[t.id].reason, seen[t.id].description)
        for name, t in {"teapot": teapot, "silent": silent, "absent": absent}.items()
    }
    assert told == {
        "teapot": ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [418]"),
        "silent": ("unhealthy", "Target.Timeout", "Request timed out"),
        "absent": ("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
    }
    assert teapot.paths[0] == "GET /up?x HTTP/1.1"
    teapot.checked = 200
    await until(lambda: all_healthy(engine, [teapot]))
    for each in (teapot, silent, found):
        await each.stop()


async def settled(engine: HaproxyEngine) -> bool:
    return all(s.state != "initial" for s in (await states(engine)).values())


async def test_health_is_checked_on_a_port_of_its_own(engine: HaproxyEngine, target: Target, port: int) -> None:
    other = await Target().start()
    other.checked = 500
    check = BalancerHealthCheck(interval=0.05, timeout=1, healthy=2, unhealthy=2, port=other.port)
    await engine.apply([balancer(port, pools=(BalancerPool("pool", "HTTP", (target.target(),), check),))], {})
    await until(lambda: settled(engine))
    assert (await states(engine))[target.id].state == "unhealthy"
    other.checked = 200
    await until(lambda: all_healthy(engine, [target]))
    await other.stop()


async def test_an_adopted_proxy_that_is_killed_comes_back(directory: Path, target: Target, port: int) -> None:
    """Nobody may have waited for it: its parent is gone, and whoever inherited it takes its time."""
    wanted = balancer(port, target.target())
    first = HaproxyEngine(directory)
    await first.apply([wanted], {})
    async with real(directory) as second:
        await second.apply([wanted], {})
        await until(lambda: answers(port))
        for pid in processes(directory):
            with contextlib.suppress(ProcessLookupError):  # the master's end is the worker's
                os.kill(pid, signal.SIGKILL)
        await until(lambda: answers(port))


async def test_a_balancer_that_nobody_here_may_ask_says_so(engine: HaproxyEngine, target: Target, port: int) -> None:
    """An answer that never comes is hard to explain otherwise."""
    for clients, words in (
        (("127.0.0.1/32", "10.0.0.0/8"), ""),
        (("10.0.0.0/8", "::/0"), f"its security groups let nobody on this machine in at port {port}"),
    ):
        closed = msgspec.structs.replace(listener(port), clients=clients)
        await engine.apply([balancer(port, target.target(), listeners=(closed,))], {})
        assert await reason(engine) == ("active", words)
