"""What a process is told, and what it finds of those before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from havre.apps.config import Config
from havre.cli.options import UpOptions


def test_ports_of_before_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(port: int) -> frozenset[int]:
        monkeypatch.setenv("HAVRE_CONFIG", json.dumps(UpOptions(str(tmp_path), port).to_json()))
        return Config.from_environment().site.former

    assert [at(4566), at(4566), at(4000), at(4566)] == [frozenset(), frozenset(), {4566}, {4000}]


def test_a_disk_that_cannot_be_written_to_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAVRE_CONFIG", json.dumps(UpOptions(str(tmp_path / "gone"), 4566).to_json()))
    assert Config.from_environment().site.former == frozenset()
