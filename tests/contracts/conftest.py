"""What the balancer suites share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.balancer_bench import Faked, Real, Subject, Target, need_haproxy, real
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
