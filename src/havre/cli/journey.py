"""What the demo is made of: commands that are shown before they run, checks that are counted, a load that is watched."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 300
"""Seconds that one command may take."""


class Failed(Exception):
    """A step of the journey did not do what it promises."""


class Journey:
    """Runs commands as a person would type them. ``env`` is what ``havre env`` says."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {**os.environ, "AWS_PAGER": "", "DOCKER_BUILDKIT": "0"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env.get('PATH', '')}:/usr/sbin:/sbin"
        self.began = time.monotonic()
        self.checks = 0
        self._bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    def title(self, text: str) -> None:
        self._say(f"\n== {text}")

    def run(self, *command: str, stdin: str | None = None, shown: str | None = None) -> str:
        """Standard output of a command. Raises Failed when it fails. ``shown``: how it is typed; what begins with a blank
        goes on from the line before."""
        typed = shown or shlex.join(command)
        self._say(typed if typed.startswith(" ") else f"$ {typed}")
        try:
            done = subprocess.run(
                command, input=stdin, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{command[0]} has not ended after {PATIENCE} s") from None
        if done.returncode != 0:
            raise Failed(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def aws(self, *arguments: str) -> Any:
        """The answer of an AWS CLI command, parsed."""
        output = self.run("aws", *arguments)
        return json.loads(output) if output.strip() else None

    def quiet(self, *arguments: str) -> Any:
        """The same, without a word: for looking again and again."""
        command = ["aws", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    def aws_json(self, service: str, operation: str, document: Mapping[str, Any]) -> Any:
        return self.aws(service, operation, "--cli-input-json", json.dumps(document))

    def check(self, holds: bool, what: str) -> None:
        """Raises Failed unless it holds."""
        if not holds:
            raise Failed(f"it does not hold that {what}")
        self.checks += 1
        print(f"  ok  {what}", flush=True)

    def until(self, seen: Callable[[], bool], what: str, timeout: float = 120) -> None:
        """Wait for it, then count it as a check. Raises Failed when it does not come."""
        deadline = time.monotonic() + timeout
        while not seen():
            if time.monotonic() > deadline:
                raise Failed(f"after {timeout:.0f} s it still does not hold that {what}")
            time.sleep(0.2)
        self.check(True, what)

    def _say(self, text: str) -> None:
        print(f"{self._bold[0]}{text}{self._bold[1]}", flush=True)


def fetch(address: str, host: str, port: int = 80, path: str = "/") -> tuple[int, str]:
    """GET as a browser would after resolving ``host`` to ``address``. Raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace").strip()
    finally:
        connection.close()


class Load:
    """Requests, one after the other in each of a few threads, for as long as the block lasts; at most ``limit`` of them."""

    def __init__(self, address: str, host: str, threads: int = 4, limit: int = 100_000) -> None:
        self.address, self.host, self.limit = address, host, limit
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    @property
    def count(self) -> int:
        return sum(self.answers.values()) + len(self.failures)

    def _work(self) -> None:
        while not self._stop.is_set() and self.count < self.limit:
            try:
                status, body = fetch(self.address, self.host)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                continue
            if status == 200:
                self.answers[body] += 1
            else:
                self.failures.append(f"{status} {body[:80]}")
            time.sleep(0.005)


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
