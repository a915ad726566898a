"""Shared by all tests: markers that skip on a developer's machine and fail in CI."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache

import pytest
from hypothesis import settings

# CI tries the same examples each time, so that it judges the change and not its luck; developers' machines go on searching
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


@lru_cache
def _docker() -> bool:
    try:
        return subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


@pytest.hookimpl(tryfirst=True)  # before xdist, which reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where ``--dist loadgroup`` gives tests to several processes, a file's go to one: they share what it has started.

    Files that would be in each other's way name a group that they have in common.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


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
