"""``havre up``: the supervisor. It starts a server and a node, starts them again when they die, and stops them in order.

This process stays small: it imports little, holds nothing, and may be killed; the next ``havre up`` takes over.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from havre.cli.options import UpOptions, running

READY_TIMEOUT = 60.0
STOP_TIMEOUT = 90.0
_CODE = "from havre.apps.{role} import main; main()"


def up(options: UpOptions) -> int:
    """Run until told to stop. Exit codes: 0 stopped as told, 1 could not start, 2 wrong options."""
    if problem := options.check():
        print(f"havre up: {problem}", file=sys.stderr)
        return 2
    if options.detach:
        return _detach(options)
    try:
        options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(options.state / "lock", "w")  # noqa: SIM115  held for as long as the process lives
    except OSError as error:
        print(f"havre up: cannot use the state directory {options.state}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = running(options.state) or {}
        print(f"havre up: already running on {other.get('endpoint', options.state)}", file=sys.stderr)
        return 1
    with lock:
        return Supervisor(options).run()


def _detach(options: UpOptions) -> int:
    """Start the supervisor in the background and return once it is ready."""
    options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    reader, writer = os.pipe()
    arguments = ["up"]
    for name in ("state", "port", "host", "region", "account", "auth"):
        arguments += [f"--{name}", str(getattr(options, name))]
    log = os.open(options.state / "havre.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    child = subprocess.Popen(
        [sys.executable, "-c", "from havre.cli.entry import main; main()", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=(writer,),
        env={**os.environ, "HAVRE_READY_FD": str(writer)},
    )
    os.close(writer)
    ready = _read_line(reader, READY_TIMEOUT, child)
    if ready is None:
        if child.poll() is None:
            child.terminate()
        print(f"havre up: did not start; see {options.state / 'havre.log'}", file=sys.stderr)
        print(_tail(options.state / "havre.log"), file=sys.stderr, end="")
        return 1
    print(banner(options))
    return 0


def banner(options: UpOptions) -> str:
    flag = f" --state {options.state}"
    lines = [
        f"Havre is up: {options.endpoint}  account {options.account}  region {options.region}",
        f'  credentials: eval "$(havre env{flag})"',
        f"  what runs:   havre status{flag}     stop: havre down{flag}",
    ]
    if options.auth == "open":
        lines.append("  any credentials are accepted (--auth open)")
    return "\n".join(lines)


class Supervisor:
    def __init__(self, options: UpOptions) -> None:
        self.options = options
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.failures: dict[str, list[float]] = {"server": [], "node": []}
        self.asked: int | None = None

    def run(self) -> int:
        self._clear_strays()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        ready = self._start("server")
        self._start("node")
        line = _read_line(ready, READY_TIMEOUT, self.children["server"])
        if line != "ready":
            print(f"havre up: {line or 'the server did not start'}", file=sys.stderr)
            self._stop(keep=True)
            return 1
        print(banner(self.options), flush=True)
        if fd := os.environ.get("HAVRE_READY_FD"):
            os.write(int(fd), b"ready\n")
            os.close(int(fd))
        while self.asked is None:
            with contextlib.suppress(InterruptedError):
                select.select([wake_read], [], [], 5.0)
            with contextlib.suppress(BlockingIOError):
                os.set_blocking(wake_read, False)
                os.read(wake_read, 4096)
            self._revive()
        keep = self.asked == signal.SIGUSR1
        print("stopping" + (", tasks run on" if keep else ""), flush=True)
        return self._stop(keep=keep)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.asked = number

    def _start(self, role: str) -> int:
        """Start a child; the returned descriptor says ``ready`` or why not."""
        reader, writer = os.pipe()
        env = {**os.environ, "HAVRE_CONFIG": json.dumps(self.options.to_json()), "HAVRE_READY": str(writer)}
        env.pop("HAVRE_READY_FD", None)
        self.children[role] = subprocess.Popen(
            [sys.executable, "-c", _CODE.format(role=role)],
            stdin=subprocess.DEVNULL,
            pass_fds=(writer,),
            env=env,
            start_new_session=True,  # a Ctrl-C reaches the supervisor alone, which stops the others in order
        )
        os.close(writer)
        self._write_run_file()
        return reader

    def _write_run_file(self) -> None:
        pids = {role: child.pid for role, child in self.children.items()}
        data = {**self.options.to_json(), "supervisor": os.getpid(), "pids": pids}
        temporary = self.options.state / "run.json.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w") as file:
            json.dump(data, file)
        temporary.rename(self.options.state / "run.json")

    def _revive(self) -> None:
        """Start again what has died, at once the first time, later and later if it keeps dying."""
        now = time.monotonic()
        for role, child in list(self.children.items()):
            if child.poll() is None or self.asked is not None:
                continue
            recent = [t for t in self.failures[role] if now - t < 60]
            self.failures[role] = [*recent, now]
            if recent:
                time.sleep(min(0.1 * 2 ** len(recent), 5.0))
            print(
                f"the {role} ended ({describe_exit(child.returncode)}); starting it again", file=sys.stderr, flush=True
            )
            os.close(self._start(role))

    def _stop(self, *, keep: bool) -> int:
        """The node first, so that the server can record how tasks ended; then the server."""
        for role, number in (("node", signal.SIGTERM if keep else signal.SIGUSR1), ("server", signal.SIGTERM)):
            child = self.children.get(role)
            if child is None or child.poll() is not None:
                continue
            child.send_signal(number)
            try:
                child.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        (self.options.state / "run.json").unlink(missing_ok=True)
        return 0

    def _clear_strays(self) -> None:
        """End the processes of a supervisor that was killed; their containers run on."""
        before = running(self.options.state)
        pids = [pid for pid in (before or {}).get("pids", {}).values() if is_havre(pid, self.options.state)]
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (alive := [pid for pid in pids if is_havre(pid, self.options.state)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in alive:
            os.kill(pid, signal.SIGKILL)


def is_havre(pid: Any, state: Path) -> bool:
    """Whether this process is a server or node of this state directory (pids are used again by others)."""
    try:
        status = Path(f"/proc/{int(pid)}/stat").read_text().rsplit(")", 1)[1].split()[0]
        environment = Path(f"/proc/{int(pid)}/environ").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
    return status != "Z" and b"HAVRE_CONFIG=" in environment and json.dumps(str(state)).encode() in environment


def describe_exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _read_line(fd: int, timeout: float, child: subprocess.Popen[bytes]) -> str | None:
    """A line from the descriptor; None if the child ends, closes it or takes too long."""
    deadline = time.monotonic() + timeout
    data = b""
    try:
        while b"\n" not in data and time.monotonic() < deadline:
            if not select.select([fd], [], [], 0.5)[0]:
                if child.poll() is not None:
                    return None
                continue
            chunk = os.read(fd, 4096)
            if not chunk:
                return data.decode().strip() or None
            data += chunk
    finally:
        os.close(fd)
    return data.split(b"\n", 1)[0].decode() or None


def _tail(path: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        file: IO[str]
        with open(path) as file:
            return "".join(file.readlines()[-lines:])
    return ""
