"""HTTPS listeners of HAProxy: certificates by the name that is asked for, versions and ciphers as the policy says, HTTP/2,
certificates that change under load, and targets that are spoken to by HTTPS."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from havre.control.certificates.authority import Authority
from havre.control.certificates.records import KeyPair
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerAction, BalancerHealthCheck, BalancerListener, BalancerPool, BalancerTls
from tests.contracts.balancer_bench import (
    HOST,
    PATIENCE,
    QUICK,
    Target,
    all_healthy,
    balancer,
    listener,
    need_haproxy,
    real,
    states,
    until,
)
from tests.contracts.balancer_load import load
from tests.ports import free_port

GCM = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")
SUITES = ("TLS_AES_128_GCM_SHA256",)
SHARED = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    need_haproxy()
    async with real(tmp_path / "haproxy") as made:
        yield made


def issue(authority: Authority, *names: str, algorithm: str = "EC_prime256v1") -> KeyPair:
    return authority.issue(names, algorithm, time.time())


def secure(port: int, *pairs: KeyPair, tls: BalancerTls | None = None, action: Any = None) -> BalancerListener:
    names = tuple(name for pair in pairs for name in pair.names)
    plain = listener(port, action=action)
    given = {"certificates": tuple(pair.bundle for pair in pairs), "names": names, "tls": tls or BalancerTls()}
    return replace(plain, protocol="HTTPS", **given)


def trusting(authority: Authority, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate_file))
    context.check_hostname = False
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = versions.get("oldest", ssl.TLSVersion.TLSv1)
    context.maximum_version = versions.get("newest", ssl.TLSVersion.TLSv1_3)
    return context


class Answered:
    """One request by TLS: who was presented (names), how (version, cipher, ALPN), and what came."""

    def __init__(self, stream: ssl.SSLObject, raw: bytes) -> None:
        names = stream.getpeercert() or {}
        self.names = [name for _, name in names.get("subjectAltName", ())]
        self.serial = names.get("serialNumber")
        self.version, self.cipher = stream.version(), (stream.cipher() or ("",))[0]
        self.alpn = stream.selected_alpn_protocol()
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else 0
        self.head = head.decode()

    @property
    def headers(self) -> dict[str, str]:
        """What a target got."""
        found: dict[str, str] = json.loads(self.body)["headers"]
        return found


async def ask(context: ssl.SSLContext, port: int, name: str = "", address: str = HOST, path: str = "/") -> Answered:
    """Raises ssl.SSLError when it is not let in. ``name`` "" sends none."""
    context.set_alpn_protocols(["http/1.1"])
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name or address)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {name or address}\r\nConnection: close\r\n\r\n".encode())
        raw = await asyncio.wait_for(reader.read(-1), PATIENCE)
        return Answered(writer.get_extra_info("ssl_object"), raw)
    finally:
        writer.close()


async def serve(engine: HaproxyEngine, made: BalancerListener, *targets: Target, **more: Any) -> None:
    pool = BalancerPool("pool", "HTTP", tuple(t.target() for t in targets), QUICK)
    await engine.apply([balancer(made.port, listeners=(made,), pools=(pool,), **more)], {})
    await until(lambda: all_healthy(engine, targets))


async def test_the_name_that_is_asked_for_chooses_the_certificate(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    first, second = issue(authority, "a.example.com"), issue(authority, "b.example.com", "*.b.example.com")
    await serve(engine, secure(port, first, second), *targets)
    context = trusting(authority)
    assert (await ask(context, port, "a.example.com")).names == ["a.example.com"]
    assert (await ask(context, port, "x.b.example.com")).names == ["b.example.com", "*.b.example.com"]
    for unknown in ("nobody.example.org", ""):
        assert (await ask(context, port, unknown)).names == ["a.example.com"]


async def test_targets_see_http_and_how_it_was_protected(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    attributes = {"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "true"}
    await serve(engine, secure(port, issue(authority, "a.example.com")), targets[0], attributes=attributes)
    found = await ask(trusting(authority), port, "a.example.com")
    assert found.headers["x-forwarded-proto"] == "https" and found.headers["x-forwarded-port"] == str(port)
    assert found.headers["x-forwarded-for"].startswith("127.")
    assert found.headers["x-amzn-tls-version"] == "TLSv1.3" == found.version
    assert found.headers["x-amzn-tls-cipher-suite"] == found.cipher


async def test_a_policy_decides_versions_and_ciphers(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    pair = issue(authority, "a.example.com", algorithm="RSA_2048")
    v = ssl.TLSVersion
    old = BalancerTls("TLSv1", "TLSv1.2", (*GCM, "ECDHE-RSA-AES128-SHA", "AES128-SHA"))
    await serve(engine, secure(port, pair, tls=old), *targets)
    for version, told in ((v.TLSv1, "TLSv1"), (v.TLSv1_1, "TLSv1.1"), (v.TLSv1_3, "TLSv1.2")):
        assert (await ask(trusting(authority, newest=version), port, "a.example.com")).version == told
    weak = trusting(authority, newest=v.TLSv1_2)
    weak.set_ciphers("AES128-SHA:@SECLEVEL=0")
    assert (await ask(weak, port, "a.example.com")).cipher == "AES128-SHA"
    await serve(engine, secure(port, pair, tls=BalancerTls("TLSv1.2", "TLSv1.2", GCM)), *targets)
    for context in (weak, trusting(authority, newest=v.TLSv1_1), trusting(authority, oldest=v.TLSv1_3)):
        with pytest.raises(OSError):
            await ask(context, port, "a.example.com")
    assert (await ask(trusting(authority), port)).cipher == "ECDHE-RSA-AES128-GCM-SHA256"
    await serve(engine, secure(port, pair, tls=BalancerTls("TLSv1.3", "TLSv1.3", (), SUITES)), *targets)
    with pytest.raises(OSError):
        await ask(trusting(authority, newest=v.TLSv1_2), port, "a.example.com")
    assert (await ask(trusting(authority), port)).cipher == "TLS_AES_128_GCM_SHA256"


@pytest.mark.parametrize(("enabled", "spoken"), [("true", "h2"), ("false", "http/1.1")])
async def test_clients_may_speak_http2_unless_it_is_switched_off(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int, enabled: str, spoken: str
) -> None:
    made = secure(port, issue(authority, "a.example.com"))
    await serve(engine, made, targets[0], attributes={"routing.http2.enabled": enabled})
    context = trusting(authority)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="a.example.com")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == spoken
    writer.close()


async def test_certificates_are_replaced_under_load(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    made = issue(authority, "a.example.com")
    await serve(engine, secure(port, made), *targets)
    context = trusting(authority)
    serials = {(await ask(context, port, "a.example.com")).serial}
    async with load(HOST, port, host="a.example.com", tls=trusting(authority)) as seen:
        for _ in range(5):
            await seen.more(40)
            await serve(engine, secure(port, issue(authority, "a.example.com")), *targets)
            serials.add((await ask(context, port, "a.example.com")).serial)
        await seen.more(40)
    assert seen.failed == [] and len(serials) == 6


async def test_balancers_that_share_an_address_are_told_apart_by_their_certificates(
    engine: HaproxyEngine, authority: Authority, port: int
) -> None:
    def says(text: str) -> BalancerAction:
        return BalancerAction("fixed-response", status=200, content_type="text/plain", body=text)

    strict = BalancerTls("TLSv1.3", "TLSv1.3", (), SUITES)
    one = secure(port, issue(authority, "one.example.com"), action=says("one"))
    two = secure(port, issue(authority, "two.example.com", "*.two.example.com"), action=says("two"), tls=strict)
    both = (
        balancer(port, listeners=(replace(one, id="l1"),), pools=(), id="one"),
        balancer(port, listeners=(replace(two, id="l2"),), pools=(), id="two", host_address="127.88.0.2"),
    )
    await engine.apply(both, {})
    context = trusting(authority)
    for name, body in (("one.example.com", b"one"), ("two.example.com", b"two"), ("x.two.example.com", b"two")):
        found = await ask(context, port, name, SHARED)
        assert found.body == body and name.removeprefix("x.") in found.names
    assert (await ask(context, port, both[1].dns_name, SHARED)).body == b"two"
    assert (await ask(context, port, "nobody.example.org", SHARED)).status == 404
    older = trusting(authority, newest=ssl.TLSVersion.TLSv1_2)
    assert (await ask(older, port, "one.example.com", SHARED)).body == b"one"
    with pytest.raises(OSError):
        await ask(older, port, "two.example.com", SHARED)


async def test_one_certificate_may_serve_two_balancers(engine: HaproxyEngine, authority: Authority, port: int) -> None:
    pair = issue(authority, "a.example.com")
    fixed = BalancerAction("fixed-response", status=200, content_type="text/plain", body="here")
    strict = BalancerTls("TLSv1.3", "TLSv1.3", (), SUITES)
    both = (
        balancer(port, listeners=(replace(secure(port, pair, action=fixed), id="l1"),), pools=(), id="one"),
        balancer(
            port,
            listeners=(replace(secure(port, pair, action=fixed, tls=strict), id="l2"),),
            pools=(),
            id="two",
            host_address="127.88.0.2",
        ),
    )
    await engine.apply(both, {})
    for address in (HOST, "127.88.0.2", SHARED):
        assert (await ask(trusting(authority), port, "a.example.com", address)).body == b"here"


async def test_http_is_redirected_to_https(engine: HaproxyEngine, authority: Authority, port: int) -> None:
    other = free_port()
    fixed = BalancerAction("fixed-response", status=200, content_type="text/plain", body="here")
    to = BalancerAction("redirect", redirect={"protocol": "HTTPS", "port": str(port)}, status=301)
    same = BalancerAction(
        "redirect", redirect={"protocol": "#{protocol}", "port": "#{port}", "path": "/new"}, status=302
    )
    listeners = (listener(other, action=to), secure(port, issue(authority, "a.example.com"), action=fixed))
    await engine.apply([balancer(port, listeners=listeners, pools=())], {})
    reader, writer = await asyncio.open_connection(HOST, other)
    writer.write(b"GET /x?y=1 HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
    head = (await reader.read(-1)).decode().lower()
    writer.close()
    assert f"location: https://a.example.com:{port}/x?y=1\r\n" in head
    listeners = (secure(port, issue(authority, "a.example.com"), action=same),)
    await engine.apply([balancer(port, listeners=listeners, pools=())], {})
    found = await ask(trusting(authority), port, "a.example.com")
    assert f"location: https://a.example.com:{port}/new" in found.head.lower()


async def test_targets_are_spoken_to_and_checked_by_https_without_a_look_at_their_certificates(
    engine: HaproxyEngine, authority: Authority, tmp_path: Path, port: int
) -> None:
    stranger = Authority(tmp_path / "stranger", "other").issue(
        ("elsewhere",), "EC_prime256v1", 1_000_000_000.0
    )  # expired
    (tmp_path / "target.pem").write_text(stranger.bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "target.pem")
    target = await Target().start(tls=context)
    plain = await Target().start()
    check = BalancerHealthCheck("HTTPS", "/health", interval=0.05, timeout=20, healthy=2, unhealthy=2)
    pool = BalancerPool("pool", "HTTPS", (target.target(), plain.target()), check)
    await engine.apply(
        [balancer(port, listeners=(secure(port, issue(authority, "a.example.com")),), pools=(pool,))], {}
    )
    await until(lambda: all_healthy(engine, [target]))
    found = await ask(trusting(authority), port, "a.example.com", path="/path")
    assert json.loads(found.body)["target"] == target.id
    assert any(line.startswith("GET /health ") for line in target.paths)

    async def ill() -> bool:
        return (await states(engine))[plain.id].state == "unhealthy"

    await until(ill)
    await target.stop()
    await plain.stop()


async def test_a_certificate_that_cannot_be_presented_stops_nobody_else(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    good, bad = secure(port, issue(authority, "a.example.com")), free_port()
    broken = replace(secure(bad), certificates=("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",))
    pool = BalancerPool("pool", "HTTP", tuple(t.target() for t in targets), QUICK)
    none = free_port()
    await engine.apply(
        [
            balancer(port, listeners=(good,), pools=(pool,)),
            balancer(bad, listeners=(broken,), pools=(), id="bad", host_address="127.88.0.2"),
            balancer(none, listeners=(secure(none),), pools=(), id="none", host_address="127.88.0.3"),
        ],
        {},
    )
    told = {status.id: status for status in await engine.status()}
    assert told["web"].state == "active"
    assert told["bad"].state == "failed" and "certificate cannot be presented" in told["bad"].reason
    assert told["none"].state == "failed" and "has no certificate" in told["none"].reason
    await until(lambda: all_healthy(engine, targets))
    assert (await ask(trusting(authority), port, "a.example.com")).status == 200


async def test_keys_are_for_the_owner_only_and_go_with_their_listener(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int, tmp_path: Path
) -> None:
    pair = issue(authority, "a.example.com")
    await serve(engine, secure(port, pair), *targets)

    def with_keys() -> list[Path]:
        return [p for p in tmp_path.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()]

    (file,) = with_keys()
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    assert pair.key not in (tmp_path / "haproxy" / "haproxy.log").read_text()
    await serve(engine, listener(port), *targets)
    assert with_keys() == []


async def test_a_function_answers_https_as_well(authority: Authority, tmp_path: Path, port: int) -> None:
    need_haproxy()
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, str(tmp_path / "functions.sock"))
    engine = HaproxyEngine(tmp_path / "haproxy", functions=tmp_path / "functions.sock")
    run = asyncio.create_task(engine.run())
    try:
        pool = BalancerPool("pool", "HTTP", function="arn:aws:elasticloadbalancing:us-east-1:0:targetgroup/f/1")
        made = balancer(port, listeners=(secure(port, issue(authority, "a.example.com")),), pools=(pool,))
        await engine.apply([made], {})
        assert (await ask(trusting(authority), port, "a.example.com")).body == b"hi"
        assert "x-forwarded-proto: https\r\n" in heads[0] and "x-havre-target-group: arn:" in heads[0]
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await engine.stop()
        server.close()


async def test_answers_have_the_headers_of_their_listener(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], port: int
) -> None:
    strict = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    policy = ("Content-Security-Policy", "default-src 'self' %20")
    targets[0].headers = ["Server: target", "Content-Security-Policy: own"]
    made = replace(secure(port, issue(authority, "a.example.com")), headers=(strict, policy), nameless=True)
    await serve(engine, made, targets[0])
    found = await ask(trusting(authority), port, "a.example.com")
    for name, value in (strict, policy):
        assert f"{name.lower()}: {value}\r\n" in found.head
    assert "server:" not in found.head.lower() and "own" not in found.head
    tea = BalancerAction("fixed-response", status=418)
    own = secure(port, issue(authority, "a.example.com"), action=tea)
    pools = (BalancerPool("pool", "HTTP"),)
    both = (
        balancer(port, id="one", listeners=(replace(own, id="l1", headers=(strict,)),), pools=pools),
        balancer(port, id="two", listeners=(replace(own, id="l2"),), pools=(), host_address="127.88.0.2"),
    )
    await engine.apply(both, {})
    heads = [(await ask(trusting(authority), port, each.dns_name, SHARED)).head.lower() for each in both]
    assert "strict-transport-security" in heads[0] and "server: awselb/2.0" in heads[0]
    assert "strict-transport-security" not in heads[1]
