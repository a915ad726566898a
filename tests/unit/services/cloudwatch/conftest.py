from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.cloudwatch.cloudwatch_harness import CloudWatch


@pytest.fixture
def watch() -> Iterator[CloudWatch]:
    made = CloudWatch()
    yield made
    made.close()
