"""Which profile containers have, and what is said where they have none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from havre.engines.oci.containers import apparmor, spec
from havre.engines.oci.containers.apparmor import NAME
from havre.kernel.workload import Container


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A kernel that has it, and a parser that writes down what it is told."""
    monkeypatch.setattr(apparmor, "enabled", lambda: True)
    program = tmp_path / "apparmor_parser"
    monkeypatch.setattr(apparmor, "parser", lambda: str(program))
    return program


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_it_is_loaded_in_whatever_form_this_parser_reads(on: Path, tmp_path: Path) -> None:
    script(on, f'echo "$@" > {tmp_path}/words; cat > {tmp_path}/rules')
    assert apparmor.load() == NAME
    assert (tmp_path / "words").read_text() == "--replace --skip-cache\n"
    assert f"profile {NAME} " in (tmp_path / "rules").read_text()
    abi = tmp_path / "3.0"
    assert not apparmor.profile(abi).startswith("abi")
    abi.touch()
    assert apparmor.profile(abi).startswith("abi <abi/3.0>,\n")


@pytest.mark.parametrize(("text", "said"), [("echo 'not now' >&2; exit 3", "not now"), ("exit 3", "ended with 3")])
def test_one_that_cannot_be_loaded_is_told(on: Path, caplog: pytest.LogCaptureFixture, text: str, said: str) -> None:
    script(on, text)
    with caplog.at_level(logging.WARNING):
        assert apparmor.load() == ""
    assert "without a profile of AppArmor" in caplog.text and said in caplog.text


def test_without_a_parser(on: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    for program, said in (("", "Debian: apparmor"), (str(on), "No such file")):
        monkeypatch.setattr(apparmor, "parser", lambda program=program: program)
        assert apparmor.load() == ""
        assert said in caplog.text


def test_a_kernel_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = tmp_path / "enabled"
    assert not apparmor.enabled(switch)
    for text, on in (("N\n", False), ("Y\n", True)):
        switch.write_text(text)
        assert apparmor.enabled(switch) is on
    monkeypatch.setattr(apparmor, "enabled", lambda: False)
    assert apparmor.load() is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (Container("c", "i"), NAME),
        (Container("c", "i", security_options=("apparmor:mine",)), "mine"),
        (Container("c", "i", security_options=("apparmor=unconfined",)), "unconfined"),
        (Container("c", "i", security_options=("no-new-privileges",)), NAME),
        (Container("c", "i", privileged=True), "unconfined"),
        (Container("c", "i", privileged=True, security_options=("apparmor:mine",)), "mine"),
    ],
)
def test_whose_it_is(container: Container, expected: str) -> None:
    assert spec.apparmor(container, spec.Machine(apparmor=NAME)) == expected
    assert spec.apparmor(container, spec.Machine(apparmor="")) == (expected if expected != NAME else "")
    assert spec.apparmor(container, spec.Machine()) == "", "as Docker has it where the kernel has no AppArmor"
