from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.sqs.sqs_harness import Queues


@pytest.fixture
def queues() -> Iterator[Queues]:
    found = Queues()
    yield found
    found.close()
