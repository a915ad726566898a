"""The same rules and requests on the fake and on HAProxy: one shares no code with the other."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from havre.engines.fake_balancer import Asked, FakeBalancerEngine
from havre.kernel.balancer import BalancerAction, BalancerCondition, BalancerRule
from tests.contracts.balancer_bench import (
    HOST,
    Subject,
    balancer,
    fetch,
    listener,
    need_haproxy,
    real,
)
from tests.ports import free_port


def says(text: str) -> BalancerAction:
    return BalancerAction("fixed-response", status=200, content_type="text/plain", body=text)


CASES: list[tuple[BalancerCondition, list[Asked], list[Asked]]] = [
    (
        BalancerCondition("path-pattern", ("/img/*",)),
        [Asked(path="/img/"), Asked(path="/img/a/b.png"), Asked(path="/img/a", query="x=/")],
        [Asked(path="/img"), Asked(path="/IMG/a"), Asked(path="/a/img/"), Asked(path="/", query="/img/")],
    ),
    (
        BalancerCondition("path-pattern", ("/a?c", "*.js", "/x\\*y", "/dot.html")),
        [Asked(path="/abc"), Asked(path="/app/main.js"), Asked(path="/x*y"), Asked(path="/dot.html")],
        [Asked(path="/ac"), Asked(path="/abbc"), Asked(path="/xay"), Asked(path="/dotxhtml"), Asked(path="/main.jsx")],
    ),
    (
        BalancerCondition("host-header", ("*.example.com", "shop.example.org")),
        [
            Asked(host="a.example.com"),
            Asked(host="A.EXAMPLE.com:8080"),
            Asked(host="a.b.example.com"),
            Asked(host="Shop.example.org"),
        ],
        [Asked(host="example.com"), Asked(host="a.example.com.evil"), Asked(host="xshop.example.org")],
    ),
    (
        BalancerCondition("http-header", ("*Chrome*", "curl/?.*"), "User-Agent"),
        [Asked(headers={"user-agent": "Mozilla CHROME/9"}), Asked(headers={"user-agent": "curl/8.1"})],
        [Asked(), Asked(headers={"user-agent": "curl/10"}), Asked(headers={"x-agent": "Chrome"})],
    ),
    (
        BalancerCondition("http-request-method", ("GET", "CUSTOM")),
        [Asked("GET"), Asked("CUSTOM")],
        [Asked("HEADX"), Asked("POST"), Asked("get")],
    ),
    (
        BalancerCondition("query-string", ("version=v1", "=ex?mple", "lang*=de*")),
        [
            Asked(query="version=v1"),
            Asked(query="a=1&VERSION=V1"),
            Asked(query="anything=example"),
            Asked(query="language=de-AT&x"),
        ],
        [
            Asked(),
            Asked(query="version=v12"),
            Asked(query="xversion=v1"),
            Asked(query="example"),
            Asked(query="lang=en"),
        ],
    ),
    (
        BalancerCondition("source-ip", ("127.0.1.0/24", "127.7.7.7/32")),
        [Asked(source="127.0.1.9"), Asked(source="127.7.7.7")],
        [Asked(source="127.0.2.9"), Asked(source="127.7.7.8"), Asked()],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].field)
async def test_a_condition_holds_as_aws_says(
    subject: Subject, case: tuple[BalancerCondition, list[Asked], list[Asked]]
) -> None:
    condition, fits, others = case
    port = free_port()
    rule = BalancerRule("1", (condition,), says("yes"))
    await subject.engine.apply([balancer(port, listeners=(listener(port, rule, action=says("no")),))], {})
    assert [(await subject.ask(port, asked)).body for asked in fits] == ["yes"] * len(fits)
    assert [(await subject.ask(port, asked)).body for asked in others] == ["no"] * len(others)


PATHS = ("/", "/a", "/ab", "/a/b", "/a.b", "/a*", "/b/", "/%41", "/a!", "/a+b")
HOSTS = ("x.example", "X.example", "y.x.example", "xexample", "x.example:81")
QUERIES = (None, "", "a", "a=", "a=1", "b=1&a=1", "a=11", "A=1", "a=1=2", "a=b+c", "aa=1")
PATTERNS = ("*", "/*", "/a*", "/a?", "/?b", "*b", "/a.b", "/a\\*", "/*/*", "/a", "*a*", "/a/*", "/[ab]", "/a+b", "")
CHOICES = {
    "path-pattern": PATTERNS[:-1],
    "host-header": ("x.example", "*.example", "?.example", "*x*", "x.*"),
    "http-header": ("1", "*", "a?", "*B*"),
    "http-request-method": ("GET", "POST", "PUT"),
    "query-string": ("a=1", "a=*", "=1", "*=1", "a=?", "?=1", "a=b+c", "a*=1"),
    "source-ip": ("127.0.0.0/8", "127.0.0.2/32", "127.0.0.4/30"),
}


def some_condition(chance: Random) -> BalancerCondition:
    field = chance.choice(list(CHOICES))
    values = tuple(chance.sample(CHOICES[field], chance.randrange(1, 3)))
    return BalancerCondition(field, values, "X-Odd" if field == "http-header" else "")


def some_request(chance: Random) -> Asked:
    return Asked(
        method=chance.choice(("GET", "POST", "PUT")),
        host=chance.choice(HOSTS),
        path=chance.choice(PATHS),
        query=chance.choice(QUERIES),
        headers={"x-odd": chance.choice(("1", "ab", "AB", "12"))} if chance.random() < 0.6 else {},
        source=f"127.0.0.{chance.randrange(1, 8)}",
    )


@pytest.mark.parametrize("seed", range(3))
async def test_haproxy_decides_as_the_fake_does(tmp_path: Path, seed: int) -> None:
    need_haproxy()
    chance, port = Random(seed), free_port()
    rules = [
        BalancerRule(str(n), tuple(some_condition(chance) for _ in range(chance.randrange(2, 4))), says(str(n)))
        for n in range(60)
    ]
    chance.shuffle(rules)
    wanted = [balancer(port, listeners=(listener(port, *rules, action=says("none")),))]
    fake = FakeBalancerEngine()
    await fake.apply(wanted, {})
    decided = set()
    async with real(tmp_path / "haproxy") as engine:
        await engine.apply(wanted, {})
        assert [s.reason for s in await engine.status()] == [""]
        for _ in range(150):
            asked = some_request(chance)
            expected = fake.ask("web", port, asked).body
            got = (await fetch(HOST, port, asked)).body.decode()
            by = {rule.id: rule for rule in rules}
            assert got == expected, json.dumps([str(asked), got, str(by.get(got)), expected, str(by.get(expected))])
            decided.add(got)
    assert len(decided) > 2
