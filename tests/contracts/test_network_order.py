"""The host's network when things come in another order, side by side, or are swept away by somebody else."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from havre.engines.host_network import HostNetwork, host, namespaces
from havre.engines.host_network.netlink import Netlink
from havre.kernel.errors import Gone
from tests.contracts.network_bench import (
    ALL,
    Machine,
    balancer,
    group,
    interface,
    machine,
    served,
    small,
    state_of,
    tcp,
    vpc_of,
)

pytestmark = pytest.mark.root


async def test_a_namespace_file_that_was_never_mounted_is_no_vpc(instance: str) -> None:
    """What a crash in the middle of making a namespace leaves."""
    vpc = small()
    empty = namespaces.RUN / f"havre-{instance}-{vpc.id.removeprefix('vpc-')}"
    namespaces.RUN.mkdir(exist_ok=True)
    empty.touch()
    engine = HostNetwork(instance)
    try:
        assert engine.namespaces() == {}
        await engine.ensure_vpc(vpc)
        assert engine.namespaces() == {vpc.id: empty.name}
    finally:
        await engine.remove_all()
        await engine.close()
    assert not empty.exists()


ALONE = """
import subprocess
from havre.engines.host_network import namespaces
for name in ("havre-x-1", "havre-x-2"):
    namespaces.create(name)
    subprocess.run(["ip", "netns", "add", "theirs-" + name[-1]], check=True)
listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
assert {"havre-x-1", "havre-x-2", "theirs-1"} <= set(listed), listed
namespaces.delete("havre-x-1")
subprocess.run(["ip", "netns", "delete", "theirs-1"], check=True)
namespaces.delete("havre-x-2")
assert namespaces.names("havre") == []
mounts = open("/proc/self/mounts").read()
assert "havre-x" not in mounts, mounts
"""


def test_namespaces_live_beside_those_of_ip_netns() -> None:
    """On a machine where neither has made any before: nothing of the one is hidden by the other."""
    prepare = "mount -t tmpfs tmpfs /run && exec " + shlex.join([sys.executable, "-c", ALONE])
    done = subprocess.run(["unshare", "--mount", "sh", "-c", prepare], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_the_hosts_own_namespace_gets_no_interface(engine: HostNetwork) -> None:
    """A task's process has ended and its number was given to another one."""
    vpc = small()
    await engine.ensure_vpc(vpc)
    with pytest.raises(Gone):
        await engine.attach(interface(vpc, "172.31.0.5", "web"), os.getpid())
    with pytest.raises(Gone):
        await engine.attach(interface(vpc, "172.31.0.5", "web"), 2**22 + 1)


async def test_an_address_that_moved_keeps_its_rules_when_the_old_interface_goes_late(
    engine: HostNetwork, machines: list[Machine]
) -> None:
    web, client, _ = machines
    vpc = small()
    await served(engine, vpc, web)
    old, new = interface(vpc, "172.31.0.6", "web"), interface(vpc, "172.31.0.6", "client")
    ended = machine()
    await engine.attach(old, ended.pid)
    ended.close()
    await engine.attach(new, client.pid)
    assert await client.reaches("172.31.0.5", 80)
    await engine.detach(old.eni)
    assert await client.reaches("172.31.0.5", 80)


async def test_many_come_and_go_side_by_side(engine: HostNetwork) -> None:
    """Also while the VPC's rules change."""
    vpc = vpc_of(group("web", ALL))
    await engine.ensure_vpc(vpc)
    made = [machine() for _ in range(24)]
    all = [interface(vpc, f"172.31.0.{n + 10}", "web") for n in range(len(made))]
    try:

        async def change() -> None:
            for n in range(8):
                groups = (group("web", ALL), group(f"g{n}", tcp(n + 1, "10.0.0.0/8")))
                await engine.ensure_vpc(msgspec.structs.replace(vpc, security_groups=groups))

        attach = (engine.attach(i, m.pid) for i, m in zip(all, made, strict=True))
        await asyncio.gather(change(), *attach)
        assert set(await engine.interfaces()) == {i.eni for i in all}
        made[0].serve(80)
        reached = await asyncio.gather(*(m.reaches("172.31.0.10", 80) for m in made[1:]))
        assert all and reached == [True] * (len(made) - 1)
        await asyncio.gather(change(), *(engine.detach(i.eni) for i in all[12:]))
        assert set(await engine.interfaces()) == {i.eni for i in all[:12]}
        assert await made[5].reaches("172.31.0.10", 80)
    finally:
        for each in made:
            each.close()


async def test_the_event_loop_goes_on_while_the_kernel_takes_its_time(
    engine: HostNetwork, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel answers only once the loop says so: whoever waited for it on the loop would wait for ever."""
    vpc, ask = small(), Netlink._ask
    client = machines[0]
    waiting, answer = threading.Event(), threading.Event()

    def slow(netlink: Netlink, *arguments: Any) -> Any:
        waiting.set()
        assert answer.wait(30)
        return ask(netlink, *arguments)

    async def held_up(work: Coroutine[Any, Any, None]) -> None:
        waiting.clear()
        answer.clear()
        under_way = asyncio.create_task(work)
        while not waiting.is_set():
            await asyncio.sleep(0)
        answer.set()
        await under_way

    monkeypatch.setattr(Netlink, "_ask", slow)
    who = interface(vpc, "172.31.0.6", "client")
    await held_up(engine.ensure_vpc(vpc))
    await held_up(engine.attach(who, client.pid))
    await held_up(engine.add_balancer(balancer(vpc, "lb", "127.77.0.9", "172.31.0.9")))
    await held_up(engine.remove_balancer("lb"))
    await held_up(engine.detach(who.eni))
    await held_up(engine.remove_vpc(vpc.id))
    monkeypatch.setattr(Netlink, "_ask", ask)


async def test_rules_that_somebody_swept_away_come_back(
    engine: HostNetwork, instance: str, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall was loaded, or Docker started anew: the next task that starts puts them right."""
    vpc = small()
    await engine.ensure_vpc(vpc)
    made = state_of(instance)
    subprocess.run(["nft", "delete", "table", "inet", f"havre_{instance}"], check=True)
    for rule in engine._host._accepts():
        subprocess.run(["iptables", "-w", "-D", "DOCKER-USER", *rule], check=False)
    assert state_of(instance) != made
    await engine.attach(interface(vpc, "172.31.0.5", "web"), machines[0].pid)
    assert state_of(instance) != made, "not looked at for each task"
    monkeypatch.setattr(host, "CONSENT", 0.0)
    await engine.attach(interface(vpc, "172.31.0.6", "web"), machines[1].pid)
    assert sorted(state_of(instance).splitlines()) == sorted(made.splitlines())
