"""The host's network when the kernel refuses and when processes die in the middle."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from havre.engines.host_network import HostNetwork, namespaces
from havre.engines.host_network.netlink import Netlink
from havre.engines.host_network.nft import Nft
from havre.kernel.errors import Permanent, Temporary
from tests.contracts.network_bench import (
    Machine,
    interface,
    machine,
    query,
    served,
    small,
)

pytestmark = pytest.mark.root


class Crash(BaseException):
    """The process ends here: nothing behind it is run."""


class Faults:
    """Counts what is asked of the kernel, and lets the ``at``-th question fail, before it is carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        self.count = 0
        self.error: BaseException = OSError(12, "Cannot allocate memory")
        ask, run = Netlink._ask, Nft.run

        def asked(netlink: Netlink, *arguments: Any) -> Any:
            self._turn()
            return ask(netlink, *arguments)

        def ran(nft: Nft, commands: str) -> None:
            self._turn()
            run(nft, commands)

        monkeypatch.setattr(Netlink, "_ask", asked)
        monkeypatch.setattr(Nft, "run", ran)

    def _turn(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise self.error

    def arm(self, at: int, error: BaseException | None = None) -> None:
        self.count, self.at = 0, at
        if error is not None:
            self.error = error

    def disarm(self) -> int:
        """Gives how many questions there were."""
        self.at = 0
        return self.count


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


async def test_attaching_can_fail_at_any_question_and_be_tried_again(
    engine: HostNetwork, machines: list[Machine], faults: Faults
) -> None:
    web, *_ = machines
    vpc = small()
    await served(engine, vpc, web)
    at, number = 0, 6
    while True:
        at += 1
        client = machine()
        machines.append(client)
        who = interface(vpc, f"172.31.0.{number + at}", "client")
        faults.arm(at, OSError(12, "Cannot allocate memory"))
        try:
            await engine.attach(who, client.pid)
        except Temporary as refused:
            assert "Cannot allocate memory" in refused.reason
        except Permanent:
            pytest.fail(f"what the kernel refuses now it may grant later: question {at}")
        else:
            assert faults.disarm() == at - 1, "each question has failed once"
            break
        faults.disarm()
        await engine.attach(who, client.pid)
        assert await client.reaches("172.31.0.5", 80), f"question {at}"
        assert who.eni in await engine.interfaces()
        await engine.detach(who.eni)
    assert at > 8


async def test_a_process_can_die_at_any_question_of_attaching(
    instance: str, machines: list[Machine], faults: Faults
) -> None:
    """What it had made is found by the next one, which makes the rest; or takes all of it away."""
    web, *_ = machines
    vpc = small()
    first = HostNetwork(instance)
    await served(first, vpc, web)
    at = 0
    while True:
        at += 1
        client = machine()
        machines.append(client)
        who = interface(vpc, f"172.31.0.{6 + at}", "client")
        faults.arm(at, Crash())
        died = False
        try:
            await first.attach(who, client.pid)
        except Crash:
            died = True
        faults.disarm()
        await first.close()
        first = HostNetwork(instance)
        await first.ensure_vpc(vpc)
        if not died:
            break
        if at % 3:
            await first.attach(who, client.pid)
            assert await client.reaches("172.31.0.5", 80), f"question {at}"
            await first.detach(who.eni)
        else:
            await first.detach(who.eni)
            client.close()
            again = machine()
            machines.append(again)
            await first.attach(msgspec.structs.replace(who, eni=f"{who.eni[:-1]}x"), again.pid)
            assert await again.reaches("172.31.0.5", 80), f"question {at}"
    await first.remove_all()
    await first.close()
    assert at > 8


async def test_describing_can_fail_at_any_question_and_be_tried_again(
    instance: str, machines: list[Machine], faults: Faults
) -> None:
    """Then it works: rules, names, and the API's address."""
    engine, client = HostNetwork(instance), machines[0]
    assert engine.available() == ""
    at = 0
    try:
        while True:
            at += 1
            vpc = small()
            faults.arm(at, OSError(105, "No buffer space available"))
            try:
                await engine.ensure_vpc(vpc)
            except Temporary:
                faults.disarm()
                await engine.ensure_vpc(vpc)
                who = interface(vpc, "172.31.0.6", "client")
                await engine.attach(who, client.pid)
                assert await client.reaches("169.254.169.1", 4566), f"question {at}"
                assert (await client.ask("169.254.169.253", query("ip-172-31-0-9.ec2.internal")))[3] & 15 == 0
                await engine.remove_vpc(vpc.id)
            else:
                break
    finally:
        faults.disarm()
        await engine.remove_all()
        await engine.close()
    assert at > 10


async def test_removing_can_fail_at_any_question_and_be_tried_again(instance: str, faults: Faults) -> None:
    engine = HostNetwork(instance)
    at = 0
    try:
        while True:
            at += 1
            vpc = small()
            await engine.ensure_vpc(vpc)
            faults.arm(at, OSError(105, "No buffer space available"))
            try:
                await engine.remove_vpc(vpc.id)
            except Temporary:
                faults.disarm()
                await engine.remove_vpc(vpc.id)
                assert engine.namespaces() == engine._host.links() == {}
            else:
                assert faults.disarm() < at
                break
    finally:
        faults.disarm()
        await engine.remove_all()
        await engine.close()
    assert at > 2


async def test_what_cannot_be_removed_is_in_the_way_of_nothing_else(instance: str, faults: Faults) -> None:
    engine = HostNetwork(instance)
    try:
        for _ in range(3):
            await engine.ensure_vpc(small())
        faults.arm(1, OSError(16, "Device or resource busy"))
        with pytest.raises(Temporary, match="busy"):
            await engine.remove_all()
        faults.disarm()
        assert len(namespaces.names(f"havre-{instance}-")) == 1, "the first one; two went, and the host's side"
        assert engine._host.links() == {}
        await engine.remove_all()
    finally:
        faults.disarm()
        await engine.remove_all()
        await engine.close()


def test_pairs_go_at_once_and_nothing_else_does() -> None:
    """A VPC of functions may have a thousand of them."""
    one, other = machine(), machine()
    try:
        with one.inside():
            netlink = Netlink()
        there = namespaces.of_process(other.pid)
        netlink.delete_veths()
        for n in range(3):
            netlink.add_veth(f"pair{n}", f"eth{n}", there)
        netlink.add_holder("stays")
        netlink.delete_veths()
        assert not any("pair" in link.name for link in netlink.links()) and netlink.link("stays") is not None
        netlink.close()
        os.close(there)
    finally:
        one.close()
        other.close()
