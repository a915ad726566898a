"""What functions reach: Havre's API and what lies beyond this machine, and not each other, the host or its loopback."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from havre.engines.host_network.engine import HostNetwork
from havre.engines.sandbox import OWN_VPC, Process, Sandbox
from havre.kernel.errors import Permanent
from havre.kernel.function import FunctionNetwork
from tests.contracts.network_bench import group, interface, tcp, vpc_of
from tests.contracts.sandbox_bench import CPATH, Bench, function, need_runtime, real

pytestmark = pytest.mark.root


class Place:
    """An engine with a network, and a server on this machine's loopback where Havre's API would be."""

    def __init__(self, bench: Bench, network: HostNetwork, port: int) -> None:
        self.bench = bench
        self.network = network
        self.port = port


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")
    await writer.drain()
    writer.close()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    need_runtime()
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    network = HostNetwork(f"t{random.getrandbits(32):x}", "127.0.0.1", port)
    if why := network.available():
        pytest.fail(why)
    try:
        async with real(tmp_path, network, pool=0) as bench:
            yield Place(bench, network, port)
    finally:
        await network.remove_all()
        await network.close()
        server.close()


FETCH = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode())
except OSError as error:
    print("refused")
"""


async def fetch(bench: Bench, id: str, url: str, timeout: float = 10) -> str:
    command = ("/var/lang/bin/python3", "-c", FETCH, url, str(timeout))
    bench.exits.pop((id, "fetch"), None)
    bench.output.pop((id, "fetch"), None)
    await bench.engine.run(id, Process("fetch", {"PATH": CPATH}, command))
    await bench.until(lambda: (id, "fetch") in bench.exits)
    return bench.written(id, "fetch").strip()


SERVE = """
import http.server
server = http.server.HTTPServer(("0.0.0.0", 8080), http.server.SimpleHTTPRequestHandler)
print("up", flush=True)
server.serve_forever()
"""


async def serve(bench: Bench, sandbox: Sandbox) -> None:
    await bench.start(sandbox, "/var/lang/bin/python3", "-c", SERVE, name="server")
    await bench.until(lambda: bench.written(sandbox.id, "server"))


async def test_reaches_the_api_and_nobody_reaches_it(place: Place) -> None:
    bench = place.bench
    one, other = await bench.obtain(), await bench.obtain()
    assert one.endpoint.endswith(f":{place.port}")
    assert await fetch(bench, one.id, one.endpoint) == "here"
    assert one.address and one.address != other.address
    await serve(bench, other)
    assert (await fetch(bench, other.id, "http://127.0.0.1:8080/"))[:1] == "<"
    assert await fetch(bench, one.id, f"http://{other.address}:8080/", 1) == "refused"
    assert await fetch(bench, one.id, f"http://127.0.0.1:{place.port}/", 1) == "refused"
    assert await fetch(bench, one.id, "http://169.254.169.254/", 1) == "refused"
    _, resolvers = await bench.sh(one, "cat /etc/resolv.conf")
    assert resolvers == "".join(f"nameserver {r}\n" for r in place.network.resolver_for(OWN_VPC))


async def test_its_interface_goes_with_it(place: Place) -> None:
    sandbox = await place.bench.obtain()
    assert len(await place.network.interfaces()) == 1
    await place.bench.engine.remove(sandbox.id)
    assert list(await place.network.interfaces()) == []


async def test_pooled_ones_are_on_the_network_already(place: Place, tmp_path: Path) -> None:
    (tmp_path / "pooled").mkdir()
    async with real(tmp_path / "pooled", place.network, pool=1) as pooled:
        made = function(pooled.archives.keep({"app.py": ""}))
        await pooled.engine.prepare(made)
        async with asyncio.timeout(30):
            while pooled.engine.ready < 1:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        sandbox = await pooled.engine.obtain(made)
        os.close(sandbox.api)
        assert sandbox.pooled and sandbox.address
        assert await fetch(pooled, sandbox.id, sandbox.endpoint) == "here"


async def test_a_function_of_a_vpc_has_the_interface_it_was_given(place: Place) -> None:
    bench = place.bench
    vpc = vpc_of(group("web", tcp(8080, "172.31.0.0/16")), group("client"))
    await place.network.ensure_vpc(vpc)
    servers, client = interface(vpc, "172.31.0.10", "web"), interface(vpc, "172.31.0.11", "client")
    made = function(bench.archives.keep({}), network=FunctionNetwork(vpc.id, ("subnet-a",)))
    with pytest.raises(Permanent, match="no interface"):
        await bench.engine.obtain(made)
    sandboxes = [await bench.engine.obtain(made, each) for each in (servers, client)]
    for sandbox in sandboxes:
        os.close(sandbox.api)
    assert [s.address for s in sandboxes] == ["172.31.0.10", "172.31.0.11"]
    await serve(bench, sandboxes[0])
    assert (await fetch(bench, sandboxes[1].id, "http://172.31.0.10:8080/"))[:1] == "<"
    own = await bench.obtain()
    assert await fetch(bench, own.id, "http://172.31.0.10:8080/", 1) == "refused"
    for sandbox in sandboxes:
        await bench.engine.remove(sandbox.id)
    assert [e for e in await place.network.interfaces() if not e.startswith("eni-function-")] == []
