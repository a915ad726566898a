"""Networks of containers that run without Docker: bridge mode and what it publishes, host, none."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from havre.engines.oci.containers.bridge import Published, element, table
from havre.kernel.errors import Permanent
from havre.kernel.workload import BoundPort, PortMapping
from tests.contracts.container_bench import SLEEP, until, with_port
from tests.contracts.oci_bench import OciSetting, said, shell, started
from tests.ports import free_port

pytestmark = pytest.mark.root

SERVE = "nc -ll -p 80 -e /bin/echo answer"


async def ask(address: str, port: int) -> bytes:
    """What answers there, once something does."""
    async with asyncio.timeout(30):
        while True:
            try:
                reader, writer = await asyncio.open_connection(address, port)
                answer = await reader.read(100)
                writer.close()
            except OSError:
                answer = b""
            if answer:
                return answer
            await asyncio.sleep(0.05)


OWN = "10.254.252.1"


@pytest.fixture
def own_address() -> Iterator[str]:
    """One of this machine's that is not on its loopback interface."""
    link = f"hvt{os.getpid()}"
    subprocess.run(["ip", "link", "add", link, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{OWN}/32", "dev", link], check=True)
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
        yield OWN
    finally:
        subprocess.run(["ip", "link", "delete", link], check=False)


async def test_what_it_publishes_answers_on_every_address_of_the_machine(setting: OciSetting, own_address: str) -> None:
    state = await started(setting, with_port(shell(setting, SERVE), 80))
    port = state.ports[0].host_port
    assert await ask("127.0.0.1", port) == b"answer\n"
    assert await ask(own_address, port) == b"answer\n"
    assert await ask(state.address, 80) == b"answer\n"


async def test_containers_reach_each_other_and_what_is_published(setting: OciSetting, own_address: str) -> None:
    state = await started(setting, with_port(shell(setting, SERVE), 80))
    await ask(state.address, 80)
    script = f"nc {state.address} 80 </dev/null; nc {own_address} {state.ports[0].host_port} </dev/null"
    other = await started(setting, shell(setting, script))
    assert await said(setting.oci, other.id, 2) == ["answer", "answer"]
    own = shell(
        setting, f"(sleep 0.5; nc {own_address} $PORT </dev/null) & {SERVE}", environment={"PORT": str(free_port())}
    )
    own = msgspec.structs.replace(own, ports=(PortMapping(80, int(own.environment["PORT"])),))
    itself = await started(setting, own)
    assert "answer" in await said(setting.oci, itself.id)


async def test_udp(setting: OciSetting) -> None:
    """Nothing listens for it in there; the kernel counts what came."""
    counted = "while :; do grep ^Udp: /proc/net/snmp | tail -n 1 | cut -d ' ' -f 3; sleep 0.1; done"
    container = msgspec.structs.replace(shell(setting, counted), ports=(PortMapping(53, 0, "udp"),))
    state = await started(setting, container)
    assert (await said(setting.oci, state.id))[0] == "0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"question", ("127.0.0.1", state.ports[0].host_port))
    async with asyncio.timeout(30):
        while (await said(setting.oci, state.id))[-1] != "1":
            await asyncio.sleep(0.05)


async def test_it_does_not_reach_the_loopback_interface_of_the_machine(setting: OciSetting) -> None:
    """Though the kernel is told to route addresses of loopback on its link, for the machine's own way to it."""
    listener = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    gateway = "$(ip route | awk '/^default/ {print $3}')"
    moved = f"ip route del local 127.0.0.0/8 table local; ip route add 127.0.0.1 via {gateway}"
    script = f"{moved}; nc -w 2 127.0.0.1 {port}; echo $?"
    state = await started(setting, shell(setting, script, capabilities_add=("NET_ADMIN",)))
    assert (await said(setting.oci, state.id))[-1] != "0"
    listener.close()


async def test_a_port_that_another_program_has(setting: OciSetting) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        container = with_port(shell(setting, SLEEP), 80, taken.getsockname()[1])
        workload = setting.workload(container)
        made = await setting.engine.create(workload, container, await setting.image(container), None)
        with pytest.raises(Permanent, match="port is already allocated"):
            await setting.engine.start(made.id)
        assert (await setting.engine.inspect(made.id)).state == "created"
    port = (await setting.engine.start(made.id)).ports[0].host_port
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("0.0.0.0", port))


async def test_links_are_names(setting: OciSetting) -> None:
    server, client = (
        shell(setting, SERVE, "server"),
        shell(setting, "nc db 80 </dev/null", "client", links=("server:db",)),
    )
    workload = setting.workload(server, client)
    for container in (client, server):
        made = await setting.engine.create(workload, container, await setting.image(container), None)
    with pytest.raises(Permanent, match="Cannot link to a non running container"):
        found = {s.container: s for s in await setting.engine.containers(workload.id)}
        await setting.engine.start(found["client"].id)
    state = await setting.engine.start(made.id)
    await ask(state.address, 80)
    await setting.engine.start(found["client"].id)
    assert await said(setting.oci, found["client"].id) == ["answer"]


async def test_names_and_servers(setting: OciSetting) -> None:
    more: dict[str, Any] = {
        "hostname": "mine",
        "extra_hosts": ("db:10.9.8.7",),
        "dns": ("10.0.0.2",),
        "dns_search": ("example.com",),
    }
    state = await started(setting, shell(setting, "hostname; cat /etc/hosts /etc/resolv.conf", **more))
    await until(setting.engine, state.id, "exited")
    found = (await setting.engine.logs(state.id)).decode().splitlines()
    assert found[0] == "mine"
    assert {f"{state.address}\tmine", "10.9.8.7\tdb", "search example.com", "nameserver 10.0.0.2"} <= set(found)


async def test_host_mode_is_the_machines_network(setting: OciSetting) -> None:
    port = free_port()
    state = await started(setting, shell(setting, SERVE.replace("80", str(port))), network="host")
    assert await ask("127.0.0.1", port) == b"answer\n"
    assert (state.ports, state.address) == ((), "")
    name = await started(setting, shell(setting, "hostname"), network="host")
    assert await said(setting.oci, name.id) == [socket.gethostname()]
    with pytest.raises(Permanent, match="not allowed in host network mode"):
        await started(setting, shell(setting, "true", sysctls={"net.core.somaxconn": "100"}), network="host")


async def test_none_is_a_loopback_interface(setting: OciSetting) -> None:
    state = await started(
        setting, shell(setting, "ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1"), network="none"
    )
    assert await said(setting.oci, state.id, 2) == ["1", "1"]


async def test_a_successor_publishes_what_runs_and_no_more(setting: OciSetting) -> None:
    one, two = [await started(setting, with_port(shell(setting, SERVE), 80)) for _ in range(2)]
    again = await setting.again()
    assert {s.id: s.ports for s in await again.containers()} == {one.id: one.ports, two.id: two.ports}
    await again.remove(one.id)
    assert await ask("127.0.0.1", two.ports[0].host_port) == b"answer\n"
    with pytest.raises(OSError, match=r"refused|Connect"):
        await asyncio.open_connection("127.0.0.1", one.ports[0].host_port)
    third = await again.create(
        workload := setting.workload(container := shell(setting, SERVE)),
        container,
        await setting.image(container),
        None,
    )
    assert (await again.start(third.id)).address not in (two.address, "")
    assert workload.id


def test_the_table_says_what_is_published_and_hides_loopback() -> None:
    container = Published("10.213.0.2", (BoundPort(80, 8080), BoundPort(53, 5353, "udp")))
    elements = [element(container, port) for port in container.ports]
    assert elements == ["tcp . 8080 : 10.213.0.2 . 80", "udp . 5353 : 10.213.0.2 . 53"]
    text = table("havre_x_tasks", "hbabc", "10.213.0.0/20", elements)
    assert "elements = { tcp . 8080 : 10.213.0.2 . 80, udp . 5353 : 10.213.0.2 . 53 }" in text
    assert 'iifname "hbabc*" ip daddr 127.0.0.0/8 drop' in text
    assert text.startswith("table ip havre_x_tasks\ndelete table ip havre_x_tasks\n")
    assert "elements" not in table("havre_x_tasks", "hbabc", "10.213.0.0/20", [])
