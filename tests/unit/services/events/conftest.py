from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.events.events_harness import Events


@pytest.fixture
def events() -> Iterator[Events]:
    found = Events()
    yield found
    found.close()
