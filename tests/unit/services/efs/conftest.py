from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.efs.efs_harness import Efs


@pytest.fixture
def efs() -> Iterator[Efs]:
    found = Efs()
    yield found
    found.close()
