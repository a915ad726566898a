"""What a VPC's DNS server answers: its own names, and others' from the machine's resolvers, which have stand-ins here."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.engines.host_network import HostNetwork, forwarder
from tests.contracts.network_bench import (
    PATIENCE,
    Machine,
    answered,
    balancer,
    group,
    interface,
    machine,
    query,
    state_of,
    vpc_of,
)

pytestmark = pytest.mark.root


class Resolver(asyncio.DatagramProtocol):
    """Answers every question with one address, over UDP and TCP; ``mute`` takes and says nothing."""

    def __init__(self, answer: str = "", mute: bool = False) -> None:
        self.host = f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.mute = mute
        self.asked: list[bytes] = []
        self._answer = socket.inet_aton(answer) if answer else b""

    async def start(self) -> Resolver:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, 53))
        self.server = await asyncio.start_server(self._stream, self.host, 53)
        return self

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        if not self.mute:
            self.transport.sendto(b"no answer at all", addr)
            self.transport.sendto(self._reply(b"\xff\xff" + data[2:]), addr)
            self.transport.sendto(self._reply(data), addr)

    def _reply(self, data: bytes) -> bytes:
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + self._answer
        return data[:2] + b"\x81\x80" + data[4:6] + b"\0\1\0\0\0\0" + data[12:] + record

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = self._reply(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
        writer.write(len(said).to_bytes(2, "big") + said)
        writer.close()

    def stop(self) -> None:
        self.transport.close()
        self.server.close()


class Network:
    """A VPC with a way out, one machine in it and one elsewhere, and a resolv.conf of the test's own."""

    def __init__(self, engine: HostNetwork, client: Machine, other: Machine, conf: Path) -> None:
        self.engine, self.client, self.other, self.conf = engine, client, other, conf
        self._told = 0

    def use(self, *servers: str) -> None:
        self.conf.write_text("# nameserver 192.0.2.9\nsearch lan\n" + "".join(f"nameserver {s}\n" for s in servers))
        self._told += 1
        os.utime(self.conf, ns=(self._told, self._told))

    async def ask(self, name: str = "example.com") -> tuple[int, list[str]]:
        reply = await self.client.ask("169.254.169.253", query(name))
        assert reply[:2] == query(name)[:2], "an answer to another question"
        return answered(reply)


@pytest.fixture
async def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    conf = tmp_path / "resolv.conf"
    monkeypatch.setattr(forwarder, "RESOLV", conf)
    monkeypatch.setattr(forwarder, "PATIENCE", PATIENCE)  # where an answer comes, a slow machine has time for it
    monkeypatch.setattr(forwarder, "TIMEOUT", PATIENCE)
    instance = f"t{random.getrandbits(24):06x}"
    engine, client, other = HostNetwork(instance), machine(), machine()
    vpc = vpc_of(group("a"), internet=True)
    try:
        await engine.ensure_vpc(vpc)
        await engine.attach(interface(vpc, "172.31.0.5", "a"), client.pid)
        yield Network(engine, client, other, conf)
    finally:
        client.close()
        other.close()
        await engine.remove_all()
        await engine.close()
    assert state_of(instance) == ""


async def test_names_resolve_in_the_vpc(net: Network) -> None:
    engine, client = net.engine, net.other
    vpc = vpc_of(group("a"), names={"db.internal.example": "172.31.9.9"})
    other = vpc_of(group("a"))
    await engine.ensure_vpc(vpc)
    await engine.ensure_vpc(other)
    await engine.attach(interface(vpc, "172.31.0.5", "a"), client.pid)
    await engine.add_balancer(balancer(vpc, "web", "127.77.3.4", "172.31.0.9", "172.31.0.10"))
    await engine.add_balancer(balancer(other, "far", "127.77.3.5", "172.31.0.9"))

    async def ask(name: str) -> tuple[int, list[str]]:
        return answered(await client.ask(engine.resolver_for(vpc.id)[0], query(name)))

    assert await ask("ip-172-31-0-5.ec2.internal") == (0, ["172.31.0.5"])
    assert await ask("WEB-1.us-east-1.elb.localhost") == (0, ["172.31.0.10", "172.31.0.9"])
    assert await ask("web-1.us-east-1.elb.amazonaws.com") == (0, ["172.31.0.10", "172.31.0.9"])
    assert await ask("db.internal.example") == (0, ["172.31.9.9"])
    assert await ask("nothing.ec2.internal") == (3, [])
    assert await ask("far-1.us-east-1.elb.localhost") == (3, [])
    assert await ask("example.com") == (3, []), "there is no way out of this VPC"
    assert answered(await client.ask("172.31.0.2", query("db.internal.example"))) == (0, ["172.31.9.9"])
    stream = await client.connect("172.31.0.2", 53)
    loop, message = asyncio.get_running_loop(), query("db.internal.example")
    await loop.sock_sendall(stream, len(message).to_bytes(2, "big") + message)
    assert answered((await loop.sock_recv(stream, 600))[2:]) == (0, ["172.31.9.9"])
    stream.close()


async def test_other_names_are_asked_of_the_machines_resolver(net: Network) -> None:
    resolver = await Resolver("192.0.2.7").start()
    net.use(resolver.host)
    assert await net.ask() == (0, ["192.0.2.7"])
    assert await net.ask("ip-172-31-0-5.ec2.internal") == (0, ["172.31.0.5"])
    assert await net.ask("nobody.elb.localhost") == (3, [])
    assert len(resolver.asked) == 1, "own names are told to nobody"
    stream, message = await net.client.connect("172.31.0.2", 53), query("example.com")
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(stream, len(message).to_bytes(2, "big") + message)
    assert answered((await asyncio.wait_for(loop.sock_recv(stream, 600), PATIENCE))[2:]) == (0, ["192.0.2.7"])
    stream.close()
    resolver.stop()


async def test_many_ask_at_once_and_each_gets_its_own_answer(net: Network) -> None:
    resolver = await Resolver("192.0.2.7").start()
    net.use(resolver.host)
    found = await asyncio.gather(*(net.ask(f"n{n}.example.com") for n in range(200)))
    assert found == [(0, ["192.0.2.7"])] * 200
    resolver.stop()


async def test_when_one_resolver_is_silent_or_gone_the_next_is_asked(
    net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "PATIENCE", 0.2)
    mute, good = await Resolver(mute=True).start(), await Resolver("192.0.2.8").start()
    gone = await Resolver().start()
    gone.stop()
    await asyncio.sleep(0)
    net.use(mute.host, good.host)
    assert await net.ask() == (0, ["192.0.2.8"])
    net.use(gone.host, good.host)
    assert await net.ask() == (0, ["192.0.2.8"])
    net.use("no address", "::1", good.host)
    assert await net.ask() == (0, ["192.0.2.8"])
    mute.stop()
    good.stop()


async def test_the_machine_may_change_its_resolver(net: Network) -> None:
    first, second = await Resolver("192.0.2.1").start(), await Resolver("192.0.2.2").start()
    net.use(first.host)
    assert await net.ask() == (0, ["192.0.2.1"])
    net.use(second.host)
    assert await net.ask() == (0, ["192.0.2.2"])
    first.stop()
    second.stop()


async def test_without_an_answer_it_is_a_failure_and_not_an_absence(
    net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs try again after SERVFAIL; NXDOMAIN they believe."""
    monkeypatch.setattr(forwarder, "TIMEOUT", 0.4)
    mute = await Resolver(mute=True).start()
    net.use(mute.host)
    assert await net.ask() == (2, [])
    net.use()
    assert await net.ask() == (2, [])
    net.conf.unlink()
    assert await net.ask() == (2, [])
    mute.stop()
