from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.scheduler.scheduler_harness import Scheduler


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    found = Scheduler()
    yield found
    found.close()
