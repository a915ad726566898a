from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.services.acm.acm_harness import Acm


@pytest.fixture(scope="module")
def acm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acm]:
    found = Acm(Path(tmp_path_factory.mktemp("acm")))
    yield found
    found.close()
