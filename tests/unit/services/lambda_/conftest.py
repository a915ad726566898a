from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.lambda_.capacity_harness import Capacity
from tests.unit.services.lambda_.lambda_harness import Lambda


@pytest.fixture(scope="module")
def unchanged() -> Iterator[Lambda]:
    """For tests of what is refused: they leave it as it was."""
    found = Lambda()
    yield found
    found.close()


@pytest.fixture
def lambdas() -> Iterator[Lambda]:
    found = Lambda()
    yield found
    found.close()


@pytest.fixture
def capacity() -> Iterator[Capacity]:
    found = Capacity()
    yield found
    found.close()


@pytest.fixture(scope="module")
def settled() -> Iterator[Capacity]:
    """With a provider; for tests of what is refused."""
    found = Capacity()
    found.provider()
    yield found
    found.close()
