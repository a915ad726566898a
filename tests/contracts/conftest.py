"""What suites share: those of balancers, of containers without Docker (``server``, ``setting``), and of the host's network
(``instance``, ``engine``, ``machines``); and a sandbox engine without a pool (``bench``)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from havre.engines.host_network import HostNetwork
from tests.contracts.balancer_bench import Faked, Real, Subject, Target, need_haproxy, real
from tests.contracts.network_bench import Machine, machine, state_of
from tests.contracts.oci_bench import OciSetting, shop
from tests.contracts.registry_server import Process
from tests.contracts.sandbox_bench import Bench, need_runtime
from tests.contracts.sandbox_bench import real as real_bench
from tests.ports import free_port


@pytest.fixture(params=["fake", "haproxy"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield Faked()
        return
    need_haproxy()
    async with real(tmp_path / "haproxy") as engine:
        yield Real(engine)


@pytest.fixture
async def targets() -> AsyncIterator[list[Target]]:
    made = [await Target().start() for _ in range(3)]
    yield made
    for each in made:
        await each.stop()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A registry that has an image of busybox; suites that need other images have one of their own."""
    with shop(tmp_path_factory.mktemp("shop")) as process:
        yield process


@pytest.fixture
async def setting(tmp_path: Path, server: Process) -> AsyncIterator[OciSetting]:
    made = OciSetting(tmp_path, server)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def instance() -> Iterator[str]:
    """The name of one, of whose networks nothing is left in the end."""
    name = f"t{random.getrandbits(24):06x}"
    yield name
    assert state_of(name) == ""


@pytest.fixture
async def engine(instance: str) -> AsyncIterator[HostNetwork]:
    made = HostNetwork(instance)
    try:
        yield made
    finally:
        await made.remove_all()
        await made.close()


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    made = [machine() for _ in range(3)]
    yield made
    for each in made:
        each.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    need_runtime()
    async with real_bench(tmp_path, pool=0) as made:
        yield made
