from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.logs.logs_harness import Logs


@pytest.fixture
def logs() -> Iterator[Logs]:
    found = Logs()
    yield found
    found.close()
