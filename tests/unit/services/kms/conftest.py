from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.kms.kms_harness import Kms


@pytest.fixture(scope="module")
def kms() -> Iterator[Kms]:
    found = Kms()
    yield found
    found.close()
