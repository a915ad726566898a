"""Runtimes as images of the local Docker Engine, to begin Dockerfiles from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from havre.cli.doctor import engine_answers
from havre.cli.runtimes.doing import BuildError, Say
from havre.cli.runtimes.recipes import Recipe


def load(recipe: Recipe, root: Path, say: Say) -> None:
    """Where there is an engine, and it has no such image yet. Raises BuildError."""
    if shutil.which("docker") is None or not engine_answers():
        return
    label = f"havre.runtime={recipe.version}"
    there = subprocess.run(
        ["docker", "images", "-q", "--filter", f"label={label}", recipe.tag], capture_output=True, check=False
    )
    if there.returncode == 0 and there.stdout.strip():
        return
    say(f"{recipe.name}: into the Docker Engine as {recipe.tag}")
    changes = [f"ENV {key}={value}" for key, value in recipe.environment.items()]
    changes += ["WORKDIR /var/task", "ENTRYPOINT " + json.dumps(recipe.entry_point), f"LABEL {label}"]
    archive = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    command = ["docker", "import", *(part for change in changes for part in ("--change", change)), "-", recipe.tag]
    done = subprocess.run(command, stdin=archive.stdout, capture_output=True, check=False)
    if archive.stdout is not None:
        archive.stdout.close()
    if archive.wait() != 0 or done.returncode != 0:
        raise BuildError(f"docker import failed: {done.stderr.decode('utf-8', 'replace').strip()}")
