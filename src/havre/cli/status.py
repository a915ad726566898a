"""``havre status`` and ``havre explain``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from havre.cli.client import NotRunning, ask
from havre.cli.options import running

_PIPED = 1000
"""Columns for a reader that is no terminal: nothing is broken into lines."""


def show(state: Path, *, as_json: bool) -> int:
    """0 when the instance is healthy, 1 when it is not, 3 when there is none."""
    try:
        _, answer = ask(state, "status")
    except NotRunning as error:
        if as_json:
            print(json.dumps({"status": "down", "reason": str(error)}))
        else:
            print(error, file=sys.stderr)
        return 3
    answer["tables"] = {"Processes": _processes(state), **answer["tables"]}
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        _print(answer)
    return 0 if answer.get("status") == "ok" else 1


def _processes(state: Path) -> list[dict[str, Any]]:
    instance = running(str(state)) or {}
    pids = {"supervisor": instance.get("supervisor", [0])[0], **instance.get("pids", {})}
    return [{"process": role, "pid": pid, "memory MiB": _resident(pid)} for role, pid in pids.items()]


def _resident(pid: int) -> str:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return "gone"
    found = next((line for line in lines if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return f"{int(found.split()[1]) / 1024:.0f}"


def _print(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPED
    console.print(f"Havre {answer['version']}  {answer['endpoint']}  account {answer['account']}  {answer['status']}")
    for problem in answer.get("problems", ()):
        console.print(f"  ! {problem}")
    for title, rows in answer["tables"].items():
        if not rows:
            continue
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in rows[0]:
            table.add_column(column, overflow="fold", no_wrap=column == "URL")  # a URL in two lines opens nowhere
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print()
        console.print(table)


def explain(state: Path, arn: str, *, as_json: bool) -> int:
    try:
        status, answer = ask(state, "explain", arn=arn)
    except NotRunning as error:
        print(error, file=sys.stderr)
        return 3
    if as_json:
        print(json.dumps(answer, indent=2))
        return 0 if status == 200 else 1
    if status != 200:
        print(f"havre explain: {answer['message']}", file=sys.stderr)
        return 1
    print(answer["arn"])
    for line in answer["reasons"] or ["nothing to do: it is as it was asked to be"]:
        print(f"  {line}")
    return 0
