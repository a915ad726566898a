"""``havre ca``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from havre.cli.authority import show


def test_it_tells_where_the_certificate_is_and_nothing_of_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "instance-secret").write_bytes(b"x")
    assert show(tmp_path, as_json=False) == 0
    path = capsys.readouterr().out.strip()
    assert path == str(tmp_path / "ca.pem") and "BEGIN CERTIFICATE" in Path(path).read_text()
    assert show(tmp_path, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"path": path, "certificate": Path(path).read_text()} and "PRIVATE" not in told["certificate"]


def test_without_an_installation_it_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(tmp_path / "none", as_json=False) == 1
    assert "havre up" in capsys.readouterr().err and not (tmp_path / "none").exists()
