from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.sns.sns_harness import Sns


@pytest.fixture
def sns() -> Iterator[Sns]:
    found = Sns()
    yield found
    found.close()
