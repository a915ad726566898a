"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.apigatewayv2.http_world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.running.close()
