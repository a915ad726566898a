"""What Havre's processes hold once they have started and nobody has asked anything of them: memory at rest is a promise."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARTED = {
    "server": """
import havre.apps.server, havre.apps.registry, havre.apps.nodes, havre.apps.http.listeners
from havre.services import catalogue
for name in catalogue.NAMES:
    catalogue.package(name)
""",
    "node": """
import havre.apps.node, havre.apps.node_functions, havre.apps.http.listeners
import havre.engines.docker.engine, havre.engines.haproxy, havre.engines.host_network
""",
}
SEEN = """
import sys, tracemalloc
tracemalloc.start()
{started}
heavy = "tarfile zipfile email http.client http.cookies urllib.request xml sqlite3 statistics zoneinfo multiprocessing " \\
    "unittest pydoc cryptography yaml boto3 botocore moto werkzeug typer rich asyncpg"
print([name for name in heavy.split() if name in sys.modules])
print([f"{{each.traceback[0].filename}}: {{each.size}}" for each in tracemalloc.take_snapshot().statistics("filename")
    if "/havre/" in each.traceback[0].filename and each.size > 256 << 10])
"""
"""Which of the heavy modules are there, and which files of Havre have made objects of more than 256 KiB."""


@pytest.mark.parametrize("process", STARTED)
def test_a_process_loads_nothing_heavy_and_reserves_nothing(process: str) -> None:
    code = SEEN.format(started=STARTED[process])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == ["[]", "[]"], done.stderr
