"""Starts AWS's runtime interface client with the function's paths in AWS's order. Runs in the runtime, not in Havre."""

from __future__ import annotations

import os
import runpy
import sys


def paths(others: list[str]) -> list[str]:
    """/var/task, layers, /var/runtime, then the interpreter's own."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    ours = [
        os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
        f"/opt/python/lib/{version}/site-packages",
        "/opt/python",
        "/var/runtime",
    ]
    return ours + [path for path in others if path not in ours]


def main() -> None:
    sys.path[:] = paths(sys.path)
    sys.argv = [sys.argv[0], os.environ.get("_HANDLER", "")]
    runpy.run_module("awslambdaric", run_name="__main__")


if __name__ == "__main__":
    main()
