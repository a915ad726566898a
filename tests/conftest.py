"""Shared by all tests: markers that skip on a developer's machine and fail in CI."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache

import pytest


@lru_cache
def _docker() -> bool:
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    lacks = []
    if item.get_closest_marker("docker") and not _docker():
        lacks.append("a Docker Engine that answers")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        lacks.append("root")
    if not lacks:
        return
    if os.environ.get("CI"):
        pytest.fail(f"needs {' and '.join(lacks)}", pytrace=False)
    pytest.skip(f"needs {' and '.join(lacks)}")
