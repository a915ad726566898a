"""A service manager is told when Havre is ready, and nobody else is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from havre.cli.up import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    path = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path if abstract else path)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{path}" if abstract else path)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_one_that_has_gone_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/nobody")
    notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")
