"""What HAProxy does with requests under way, headers, cookies and answers of its own, as AWS's load balancers do."""

from __future__ import annotations

import asyncio
import collections
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from havre.engines.fake_balancer import Asked
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerAction, BalancerCondition, BalancerHealthCheck, BalancerPool, BalancerRule
from tests.contracts.balancer_bench import (
    HOST,
    PATIENCE,
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
from tests.contracts.balancer_load import Connection, load
from tests.ports import free_port


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    need_haproxy()
    async with real(tmp_path / "haproxy") as made:
        yield made


async def serve(engine: HaproxyEngine, port: int, *targets: Target, **pool: object) -> None:
    """One pool of these targets behind one listener, all healthy."""
    made = BalancerPool("pool", "HTTP", tuple(t.target() for t in targets), QUICK, **pool)  # type: ignore[arg-type]
    await engine.apply([balancer(port, pools=(made,))], {})
    await until(lambda: all_healthy(engine, targets))


# --- no request is lost


async def test_targets_are_swapped_under_load(engine: HaproxyEngine, port: int) -> None:
    """As a rolling deployment does: the new one is there first, the old one drains, leaves, and is killed."""
    old = await Target().start()
    await serve(engine, port, old)
    async with load(HOST, port) as seen:
        for _ in range(12):
            await seen.more(50)
            new = await Target().start()
            await engine.apply([balancer(port, old.target(), new.target())], {})
            await until(lambda new=new: all_healthy(engine, [new]))  # type: ignore[misc]
            await engine.apply([balancer(port, old.target(draining=True), new.target())], {})
            await engine.apply([balancer(port, new.target())], {})
            await old.stop()
            old = new
        await seen.more(50)
    assert seen.failed == [] and len(seen.answered) == 13
    await old.stop()


async def test_a_killed_target_costs_no_request(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    """Before any health check notices: what cannot be sent there goes elsewhere."""
    slow = BalancerHealthCheck(interval=300, timeout=2)
    pool = BalancerPool("pool", "HTTP", tuple(t.target() for t in targets), slow)
    await engine.apply([balancer(port, pools=(pool,))], {})
    await until(lambda: all_healthy(engine, targets))
    async with load(HOST, port) as seen:
        await seen.more(100)
        await targets[0].kill()
        await seen.more(200)
    assert seen.failed == []
    assert (await states(engine))[targets[0].id].state == "healthy"


async def test_listeners_rules_and_pools_change_under_load(
    engine: HaproxyEngine, targets: list[Target], port: int
) -> None:
    tea = BalancerAction("fixed-response", status=418, content_type="text/plain", body="tea")
    await serve(engine, port, *targets)
    async with load(HOST, port) as seen:
        for number in range(6):
            rule = BalancerRule(str(number), (BalancerCondition("path-pattern", (f"/{number}",)),), tea)
            more = BalancerPool(f"more-{number}", "HTTP", (targets[0].target(),), QUICK)
            pools = (BalancerPool("pool", "HTTP", tuple(t.target() for t in targets), QUICK), more)
            await engine.apply([balancer(port, listeners=(listener(port, rule),), pools=pools)], {})
            assert (await fetch(HOST, port, Asked(path=f"/{number}"))).status == 418
            await seen.more(50)
    assert seen.failed == []


async def test_requests_under_way_end_on_a_target_that_drains(
    engine: HaproxyEngine, targets: list[Target], port: int
) -> None:
    slow, other, _ = targets
    released = slow.hold()
    await serve(engine, port, slow)
    under_way = asyncio.create_task(fetch(HOST, port))
    await until(lambda: slow.begun == 1)
    await engine.apply([balancer(port, slow.target(draining=True), other.target())], {})
    await until(lambda: all_healthy(engine, [other]))
    await engine.apply([balancer(port, other.target())], {})
    assert (await fetch(HOST, port)).json["target"] == other.id
    released.set()
    reply = await under_way
    assert (reply.status, reply.json["target"]) == (200, slow.id)


async def test_upgraded_connections_outlive_changes(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    await serve(engine, port, targets[0])
    reader, writer = await asyncio.open_connection(HOST, port)
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + key + b"\r\n")
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    other = free_port()
    pool = BalancerPool("pool", "HTTP", (targets[1].target(),), QUICK)
    await engine.apply([balancer(port, listeners=(listener(port), listener(other)), pools=(pool,))], {})
    await fetch(HOST, other)
    writer.write(b"still there")
    assert await asyncio.wait_for(reader.readexactly(11), PATIENCE) == b"still there"
    writer.close()


# --- what targets and clients see


async def test_targets_are_told_who_asks(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    await serve(engine, port, targets[0])
    got = (await fetch(HOST, port, Asked(host="shop.example", source="127.0.0.7"))).json["headers"]
    assert (got["x-forwarded-for"], got["x-forwarded-proto"], got["x-forwarded-port"]) == (
        "127.0.0.7",
        "http",
        str(port),
    )
    assert got["host"] == f"shop.example:{port}"
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", got["x-amzn-trace-id"])
    given = {"X-Forwarded-For": "10.1.1.1", "X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793"}
    got = (await fetch(HOST, port, Asked(host="shop.example", source="127.0.0.7"), given)).json["headers"]
    assert got["x-forwarded-for"] == "10.1.1.1, 127.0.0.7"
    assert re.fullmatch(r"Self=1-[0-9a-f-]{33};Root=1-5759e988-bd862e3fe1be46a994272793", got["x-amzn-trace-id"])


async def test_attributes_change_the_headers(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    wanted = {
        "routing.http.xff_header_processing.mode": "remove",
        "routing.http.preserve_host_header.enabled": "true",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    await engine.apply([balancer(port, targets[0].target(), attributes=wanted)], {})
    await until(lambda: all_healthy(engine, targets[:1]))
    given = {"X-Forwarded-For": "10.1.1.1", "odd_name": "1", "Even-Name": "2"}
    got = (await fetch(HOST, port, Asked(host="shop.example"), given)).json["headers"]
    assert got["host"] == "shop.example" and got["even-name"] == "2"
    assert "x-forwarded-for" not in got and "odd_name" not in got


async def test_answers_of_the_balancer_itself(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    """503 without targets, 502 when the only one refuses or hangs up, 504 when it does not answer in time."""
    await engine.apply([balancer(port)], {})
    reply = await fetch(HOST, port)
    assert (reply.status, reply.header("server")) == (503, "awselb/2.0")
    assert reply.body.startswith(b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>")
    await engine.apply([balancer(port, targets[0].target(), idle_timeout=0.5)], {})
    await until(lambda: all_healthy(engine, targets[:1]))
    released = targets[0].hold()
    reply = await fetch(HOST, port)
    assert (reply.status, reply.header("server"), reply.header("date")[-3:]) == (504, "awselb/2.0", "GMT")
    released.set()
    await engine.apply([balancer(port, targets[0].target())], {})  # a slow machine must not be too late for these
    targets[0].hang_up = True
    reply = await fetch(HOST, port, Asked("POST"))
    assert (reply.status, reply.header("server")) == (502, "awselb/2.0")
    targets[0].hang_up = False
    await targets[0].kill()
    assert (await fetch(HOST, port)).status == 502


async def test_redirects(engine: HaproxyEngine, port: int) -> None:
    def redirect(status: int = 301, **to: str) -> BalancerAction:
        return BalancerAction("redirect", redirect=to, status=status)

    wanted = {
        "/a": (redirect(protocol="HTTPS", port="443"), "https://shop.example:443/a?q=1%25&r='"),
        "/b": (redirect(302, host="www.#{host}", path="/x/#{path}", query=""), f"http://www.shop.example:{port}/x/b"),
        "/c": (
            redirect(path="/50%", query="was=#{query}&port=#{port}"),
            f"http://shop.example:{port}/50%?was=q=1%25&r='&port={port}",
        ),
    }
    rules = [
        BalancerRule(path[1:], (BalancerCondition("path-pattern", (path,)),), action)
        for path, (action, _) in wanted.items()
    ]
    await engine.apply([balancer(port, listeners=(listener(port, *rules),))], {})
    for path, (action, location) in wanted.items():
        reply = await fetch(HOST, port, Asked(host=f"shop.example:{port}", path=path, query="q=1%25&r='"))
        assert (reply.status, reply.header("location")) == (action.status, location)


async def test_fixed_answers_are_sent_as_given(engine: HaproxyEngine, port: int) -> None:
    body = '{"a": "%[src] \'$HOME\' \\n"}\nsecond line é'
    action = BalancerAction("fixed-response", status=404, content_type="application/json", body=body)
    await engine.apply([balancer(port, listeners=(listener(port, action=action),))], {})
    reply = await fetch(HOST, port)
    assert (reply.status, reply.header("content-type"), reply.body) == (404, "application/json", body.encode())


# --- stickiness


async def test_the_balancers_cookie_holds_a_client_to_a_target(
    engine: HaproxyEngine, targets: list[Target], port: int
) -> None:
    await serve(engine, port, *targets, sticky=60)
    first = await fetch(HOST, port)
    set_cookies = first.all("set-cookie")
    assert [c.split("=")[0] for c in set_cookies] == ["AWSALB", "AWSALBCORS"]
    assert "SameSite=None" in set_cookies[1] and "Expires=" in set_cookies[0]
    cookie = {"Cookie": set_cookies[0].split(";")[0]}
    again = {(await fetch(HOST, port, headers=cookie)).json["target"] for _ in range(9)}
    assert again == {first.json["target"]}
    cors = {"Cookie": set_cookies[1].split(";")[0]}
    assert {(await fetch(HOST, port, headers=cors)).json["target"] for _ in range(9)} == again
    gone = next(t for t in targets if t.id == first.json["target"])
    await engine.apply([balancer(port, pools=(_sticky(t for t in targets if t is not gone),))], {})
    moved = await fetch(HOST, port, headers=cookie)
    assert moved.status == 200 and moved.json["target"] != gone.id
    assert moved.all("set-cookie")[0].split(";")[0] != cookie["Cookie"]


def _sticky(targets: object) -> BalancerPool:
    made = tuple(t.target() for t in targets)  # type: ignore[attr-defined]
    return BalancerPool("pool", "HTTP", made, QUICK, sticky=60)


async def test_the_applications_cookie_decides_when_clients_stick(
    engine: HaproxyEngine, targets: list[Target], port: int
) -> None:
    await serve(engine, port, *targets, sticky=60, sticky_cookie="session")
    first = await fetch(HOST, port)
    held = first.all("set-cookie")[0].split(";")[0]
    assert held.startswith("AWSALBAPP-0=")
    both = {"Cookie": f"session=1; {held}"}
    assert {(await fetch(HOST, port, headers=both)).json["target"] for _ in range(9)} == {first.json["target"]}
    alone = {"Cookie": held}
    assert len({(await fetch(HOST, port, headers=alone)).json["target"] for _ in range(9)}) == 3


async def test_clients_stick_to_a_target_group(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    pools = tuple(BalancerPool(n, "HTTP", (t.target(),), QUICK) for n, t in zip("abc", targets, strict=True))
    action = BalancerAction("forward", (("a", 1), ("b", 1), ("c", 1)), sticky=60)
    await engine.apply([balancer(port, listeners=(listener(port, action=action),), pools=pools)], {})
    await until(lambda: all_healthy(engine, targets))
    first = await fetch(HOST, port)
    cookie = {"Cookie": next(c for c in first.all("set-cookie") if c.startswith("AWSALBTG=")).split(";")[0]}
    assert {(await fetch(HOST, port, headers=cookie)).json["target"] for _ in range(12)} == {first.json["target"]}
    assert len({(await fetch(HOST, port)).json["target"] for _ in range(40)}) == 3


# --- who gets work


async def test_the_target_with_the_fewest_requests_is_asked(
    engine: HaproxyEngine, targets: list[Target], port: int
) -> None:
    """Each begins when the one before has come to its target: the proxy's threads decide one after the other."""
    await serve(engine, port, *targets, algorithm="least_outstanding_requests")
    released = [t.hold() for t in targets]
    waiting = []
    for number in range(1, 10):
        waiting.append(asyncio.create_task(fetch(HOST, port)))
        await until(lambda number=number: sum(t.begun for t in targets) == number)  # type: ignore[misc]
    assert [t.begun for t in targets] == [3, 3, 3]
    for each in released[1:]:
        each.set()
    await until(lambda: sum(task.done() for task in waiting) == 6)
    for _ in range(10):
        assert (await fetch(HOST, port)).json["target"] != targets[0].id
    released[0].set()
    asked = collections.Counter(reply.json["target"] for reply in await asyncio.gather(*waiting))
    assert asked == {t.id: 3 for t in targets}


async def test_one_address_serves_all_by_their_names(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    one = balancer(port, targets[0].target())
    shop = BalancerRule("1", (BalancerCondition("host-header", ("*.shop.example",)),), forward("other"))
    two = balancer(
        port,
        id="two",
        host_address="127.88.0.2",
        listeners=(listener(port, shop, action=BalancerAction("fixed-response", status=418), id="other"),),
        pools=(BalancerPool("other", "HTTP", (targets[1].target(),), QUICK),),
    )
    await engine.apply([one, two], {})
    await until(lambda: all_healthy(engine, targets[:2]))

    async def asked(host: str) -> tuple[int, str]:
        reply = await fetch("127.0.0.1", port, Asked(host=host))
        return reply.status, reply.json["target"] if reply.status == 200 else ""

    assert await asked(f"{one.dns_name}:{port}") == (200, targets[0].id)
    assert (await asked(two.dns_name.upper()))[0] == 418
    assert await asked("www.shop.example") == (200, targets[1].id)
    assert (await asked("nobody.example"))[0] == 404
    await engine.apply([one], {})
    assert await asked("nobody.example") == (200, targets[0].id)
    assert (await asked(two.dns_name))[0] == 404, "what another instance may have is not answered by this one's"
    assert await asked(f"dualstack.{one.dns_name}") == (200, targets[0].id)


async def test_a_keep_alive_connection_is_kept(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    await serve(engine, port, *targets)
    client = Connection(HOST, port)
    assert [(await client.ask())[0] for _ in range(5)] == [200] * 5
    client.close()


@pytest.mark.parametrize("balancers", [1, 2])
async def test_whom_the_groups_do_not_let_in_gets_no_answer(
    engine: HaproxyEngine, targets: list[Target], port: int, balancers: int
) -> None:
    """On the address that balancers share; packet filters see to the others."""
    closed = msgspec.structs.replace(listener(port), clients=("127.0.0.8/31", "127.0.0.16/32"))
    one = balancer(port, targets[0].target(), listeners=(closed,))
    tea = listener(port, action=BalancerAction("fixed-response", status=418), id="two")
    two = balancer(port, id="two", host_address="127.88.0.2", listeners=(tea,), pools=())
    await engine.apply([one, two][:balancers], {})
    await until(lambda: all_healthy(engine, targets[:1]))
    for source in ("127.0.0.9", "127.0.0.16"):
        assert (await fetch("127.0.0.1", port, Asked(host=one.dns_name, source=source))).status == 200
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await fetch("127.0.0.1", port, Asked(host=one.dns_name, source="127.0.0.10"))
    if balancers == 2:
        assert (await fetch("127.0.0.1", port, Asked(host=two.dns_name, source="127.0.0.10"))).status == 418


async def test_a_new_target_starts_slowly(engine: HaproxyEngine, targets: list[Target], port: int) -> None:
    old, new, _ = targets
    await serve(engine, port, old)
    await serve(engine, port, old, slow_start=300)  # what has work already keeps it
    await serve(engine, port, old, new, slow_start=300)
    for _ in range(80):
        assert (await fetch(HOST, port)).status == 200
    assert 0 < new.served < 25, "an equal share would be 40"


async def test_a_function_answers_behind_a_socket(tmp_path: Path, port: int) -> None:
    """The server of the engine's owner invokes it: it is told for which target group, whatever the client says."""
    told: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    server = await asyncio.start_unix_server(answer, str(tmp_path / "functions.sock"))
    pool = BalancerPool("pool", "HTTP", function="arn:aws:elasticloadbalancing:us-east-1:0:targetgroup/f/1")
    async with real(tmp_path) as engine:
        await engine.apply([balancer(port, pools=(pool,))], {})
        reply = await fetch(HOST, port, headers={"X-Havre-Target-Group": "another"})
        assert (reply.status, reply.body) == (200, b"hi")
        assert "x-havre-target-group: arn:aws:elasticloadbalancing:us-east-1:0:targetgroup/f/1\r\n" in told[0]
        assert "another" not in told[0] and "x-forwarded-for: 127.0.0.1\r\n" in told[0]
        server.close()
        await server.wait_closed()
        (tmp_path / "functions.sock").unlink(missing_ok=True)  # asyncio does it itself since Python 3.13
        assert (await fetch(HOST, port)).status == 502
