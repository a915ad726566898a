"""What the shell offers behind ``havre``: commands, options, and the values that there are."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from havre.cli.main import app


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("st", ["status"]),
        ("up --au", ["--auth"]),
        ("up --auth ", ["strict", "open"]),
        ("up --engine o", ["oci"]),
        ("demo --engine d", ["docker"]),
        ("coverage ec", ["ec2", "ecr", "ecs"]),
        ("coverage nosuch", []),
    ],
)
def test_the_shell_is_offered_what_there_is(typed: str, offered: list[str]) -> None:
    words = typed.split(" ")
    typing = {"_HAVRE_COMPLETE": "complete_bash", "COMP_WORDS": f"havre {typed}", "COMP_CWORD": str(len(words))}
    result = CliRunner().invoke(app, prog_name="havre", env=typing)
    assert result.stdout.split() == offered
