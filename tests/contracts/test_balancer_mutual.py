"""Clients that show certificates to HAProxy: taken as they are, or verified."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from msgspec.structs import replace

from havre.control.certificates.authority import Authority
from havre.engines.haproxy import HaproxyEngine
from havre.kernel.balancer import BalancerListener, BalancerMutual
from tests.client_certificates import Clients
from tests.contracts.balancer_bench import HOST, Target, balancer, need_haproxy, real
from tests.contracts.test_balancer_tls import SHARED, Answered, ask, issue, secure, serve, trusting

PREFIX = "x-amzn-mtls-clientcert"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[HaproxyEngine]:
    need_haproxy()
    async with real(tmp_path / "haproxy") as made:
        yield made


class Mutual:
    """One listener that asks for certificates, and clients that have some."""

    def __init__(self, authority: Authority, port: int, state: Path) -> None:
        self._authority, self._port, self._state = authority, port, state
        self.clients, self.strangers = Clients(), Clients("strangers")
        self.client = self.clients.issue(state / "client.pem")
        self.old = self.clients.issue(state / "old.pem", 2, -30, -1)
        self.revoked = self.clients.issue(state / "revoked.pem", 77)
        self.stranger = self.strangers.issue(state / "stranger.pem")

    def listener(self, mode: str, *revocations: bytes, **more: bool) -> BalancerListener:
        authorities = self.clients.certificate.decode() if mode == "verify" else ""
        mutual = BalancerMutual(mode, authorities, tuple(text.decode() for text in revocations), **more)
        return replace(secure(self._port, issue(self._authority, "a.example.com")), mutual=mutual)

    async def ask(self, certificate: Path | None, address: str = HOST) -> Answered | None:
        """None when the client is not let in."""
        context = trusting(self._authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
        try:
            answered = await ask(context, self._port, "a.example.com", address)
        except OSError:
            return None
        return answered if answered.status else None


@pytest.fixture
def mutual(authority: Authority, port: int, tmp_path: Path) -> Mutual:
    return Mutual(authority, port, tmp_path)


async def test_who_comes_from_a_trusted_authority_is_let_in_and_told_of(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual
) -> None:
    await serve(engine, mutual.listener("verify"), targets[0])
    found = await mutual.ask(mutual.client)
    assert found is not None
    told = {name.removeprefix(PREFIX): value for name, value in found.headers.items() if name.startswith(PREFIX)}
    assert told["-serial-number"] == "03A5B1"
    assert told["-subject"] == "CN=client,O=Client,C=US" and told["-issuer"] == "CN=clients,O=Client,C=US"
    leaf = x509.load_pem_x509_certificate(unquote(told["-leaf"]).encode())
    assert leaf.serial_number == 0x03A5B1
    first, last = (
        each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    )
    assert told["-validity"] == f"NotBefore={first};NotAfter={last}"
    for other in (None, mutual.stranger, mutual.old):
        assert await mutual.ask(other) is None


async def test_expiry_may_be_ignored_and_nothing_else(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual
) -> None:
    await serve(engine, mutual.listener("verify", expired=True), targets[0])
    assert await mutual.ask(mutual.old) is not None
    assert await mutual.ask(mutual.stranger) is None and await mutual.ask(None) is None


async def test_the_revoked_are_not_let_in(engine: HaproxyEngine, targets: list[Target], mutual: Mutual) -> None:
    await serve(engine, mutual.listener("verify"), targets[0])
    assert await mutual.ask(mutual.revoked) is not None
    others = mutual.strangers.revoke(0x03A5B1)
    await serve(engine, mutual.listener("verify", others), targets[0])
    assert await mutual.ask(mutual.revoked) is not None and await mutual.ask(mutual.client) is not None
    await serve(engine, mutual.listener("verify", others, mutual.clients.revoke(77)), targets[0])
    assert await mutual.ask(mutual.revoked) is None and await mutual.ask(mutual.old) is None
    assert await mutual.ask(mutual.client) is not None


async def test_in_passthrough_all_are_let_in_and_targets_judge(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual
) -> None:
    await serve(engine, mutual.listener("passthrough"), targets[0])
    for certificate in (mutual.client, mutual.stranger, mutual.old):
        found = await mutual.ask(certificate)
        assert found is not None
        leaf = x509.load_pem_x509_certificate(unquote(found.headers[PREFIX]).encode())
        assert leaf == x509.load_pem_x509_certificate(certificate.read_bytes())
    found = await mutual.ask(None)
    assert found is not None and PREFIX not in found.headers


async def test_a_certificate_whose_last_line_is_full_reaches_targets_as_it_is(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual, tmp_path: Path
) -> None:
    """No empty line, after which nobody reads on."""
    made = (mutual.clients.issue(tmp_path / f"{'c' * length}.pem") for length in range(1, 65))
    full = next(path for path in made if len(path.read_text().splitlines()[-2]) == 64)
    await serve(engine, mutual.listener("passthrough"), targets[0])
    found = await mutual.ask(full)
    assert found is not None
    assert unquote(found.headers[PREFIX]).splitlines() == full.read_text().splitlines()[5:]


async def test_nobody_claims_a_certificate_in_a_header(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual, authority: Authority, port: int
) -> None:
    await serve(engine, mutual.listener("passthrough"), targets[0])
    context = trusting(authority)
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname="a.example.com")
    head = b"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\nX-Amzn-Mtls-Clientcert-Leaf: forged\r\n"
    writer.write(head + b"X-Amzn-Mtls-Clientcert: forged\r\n\r\n")
    raw = await reader.read(-1)
    writer.close()
    assert b" 200 " in raw and b"forged" not in raw


async def test_a_listener_that_verifies_shares_its_address_with_nobody(
    engine: HaproxyEngine, authority: Authority, targets: list[Target], mutual: Mutual, port: int
) -> None:
    """A handshake for the open listener's name opens no way to the other one."""
    await serve(engine, mutual.listener("verify"), targets[0])
    assert await mutual.ask(mutual.client, SHARED) is not None
    verified = replace(mutual.listener("verify"), id="verified")
    closed = balancer(port, targets[0].target(), id="closed", listeners=(verified,))
    plain = replace(secure(port, issue(authority, "b.example.com")), id="plain")
    opened = balancer(port, id="opened", listeners=(plain,), pools=closed.pools, host_address="127.88.0.2")
    opened = replace(opened, pools=(replace(opened.pools[0], id="other"),))
    rule = replace(plain.rules[0], action=replace(plain.rules[0].action, pools=(("other", 1),)))
    opened = replace(opened, listeners=(replace(plain, rules=(rule,)),))
    await engine.apply([closed, opened], {})
    assert await mutual.ask(mutual.client, HOST) is not None and await mutual.ask(None, HOST) is None
    found = await mutual.ask(mutual.client, SHARED)
    assert found is not None and found.names == ["b.example.com"]


async def test_a_trust_store_that_cannot_be_used_stops_nobody_else(
    engine: HaproxyEngine, targets: list[Target], mutual: Mutual, authority: Authority, port: int
) -> None:
    bad = mutual.listener("verify")
    assert bad.mutual is not None
    broken = replace(bad, id="broken", port=port, mutual=replace(bad.mutual, authorities="nothing"))
    await engine.apply([balancer(port, id="bad", listeners=(broken,), pools=())], {})
    (status,) = await engine.status()
    assert status.state == "failed" and "trust store cannot be used" in status.reason
    await serve(engine, secure(port, issue(authority, "a.example.com")), targets[0])
    assert (await ask(trusting(authority), port, "a.example.com")).status == 200
