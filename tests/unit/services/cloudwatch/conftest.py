from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.cloudwatch.alarm_world import AlarmWorld
from tests.unit.services.cloudwatch.cloudwatch_harness import CloudWatch

from havre.services.cloudwatch import alarming


@pytest.fixture
def watch() -> Iterator[CloudWatch]:
    made = CloudWatch()
    yield made
    made.close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[AlarmWorld]:
    monkeypatch.setattr(alarming, "EVERY", 0.1)
    made = AlarmWorld()
    yield made
    made.close()
