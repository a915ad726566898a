"""``havre up``: the supervisor. It starts a server and a node, starts them again when they die, and stops them in order.

This process stays small: it imports little, holds nothing, and may be killed; the next ``havre up`` takes over.
"""

from __future__ import annotations

import _socket
import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import sys
import time

from havre.cli.options import KEPT, UpOptions, running, settle_engine
from havre.cli.processes import (
    SIGNALS,
    birth,
    describe_exit,
    end,
    ended,
    fork,
    hear_nothing,
    killed,
    lives,
    load_lean,
    open_more_files,
    read_line,
)
from havre.cli.shelf import Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

READY_TIMEOUT = 60.0
NODE_TIMEOUT = 10.0
MOST_STARTS = 5
"""Further ones of a server that is killed before it is ready."""
MIN_FREE = 1 << 20
"""Bytes: a disk with less is full, for no database can be opened on it."""
LEFT = "not everything that it made could be removed (its log says why)"


def up(options: UpOptions) -> int:
    """Run until told to stop. Exit codes: 0 stopped as told, 1 could not start, 2 wrong options."""
    if sys.platform != "linux":
        from havre.cli.packages import NOT_LINUX

        return _say(NOT_LINUX, 2)
    if problem := options.check():
        return _say(f"havre up: {problem}", 2)
    try:
        os.makedirs(options.state, mode=0o700, exist_ok=True)  # noqa: PTH103  pathlib is not imported here
        lock = os.open(f"{options.state}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return _say(f"havre up: cannot use the state directory {options.state}: {error.strerror}", 1)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = running(options.state) or {}
        return _say(f"havre up: already running on {other.get('endpoint', options.state)}", 1)
    try:
        problem = settle_engine(options)
    except OSError as error:
        problem = f"cannot write into {options.state}: {error.strerror}"
    if problem:
        return _say(f"havre up: {problem}", 1)
    if options.detach:
        os.close(lock)
        return _detach(options)
    return Supervisor(options, lock).run()


def _say(text: str, code: int, file: TextIO | None = None) -> int:
    """On standard error, unless told otherwise; a log on a full disk is no reason to fail."""
    with contextlib.suppress(OSError):
        print(text, file=file or sys.stderr, flush=True)
    return code


def _no_start(state: str) -> str:
    disk = os.statvfs(state)
    full = disk.f_bavail * disk.f_frsize < MIN_FREE
    return "the server did not start" + (f": the disk of {state} is full" if full else "")


def _write(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)
        file.truncate()


def _detach(options: UpOptions) -> int:
    """Start the supervisor in the background and return once it is ready."""
    log = f"{options.state}/havre.log"
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    start = os.lseek(out, 0, os.SEEK_END)
    reader, writer = os.pipe()

    def supervise() -> int:
        os.dup2(out, 1)
        os.dup2(out, 2)
        options.detach = False
        os.environ["HAVRE_READY_FD"] = str(writer)
        return up(options)

    pid = fork(supervise, close=(reader,))
    os.close(writer)
    if read_line(reader, READY_TIMEOUT) is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with open(log) as file:
            file.seek(start)
            sys.stderr.write(file.read()[-4000:])
        return _say(f"havre up: {_no_start(options.state)}; its log is {log}", 1)
    return _say(banner(options), 0, sys.stdout)


def banner(options: UpOptions) -> str:
    flag = f" --state {options.state}"
    lines = [
        f"Havre is up: {options.told}  account {options.account}  region {options.region}",
        f'  credentials: eval "$(havre env{flag})"',
        f"  what runs:   havre status{flag}     stop: havre down{flag}",
    ]
    if options.tls:
        lines.append(f"  trust:       {options.state}/ca.pem  (havre ca{flag})")
    if options.auth == "open":
        lines.append("  any credentials are accepted (--auth open)")
    if options.engine == "oci":
        lines.append("  tasks run on crun and conmon, without a Docker Engine (--engine oci)")
    elif not _engine_answers(engine := _engine_socket()):
        lines.append(f"  no Docker Engine answers on {engine}: tasks cannot start until one does (see: havre doctor)")
    return "\n".join(lines)


def notify(what: str) -> None:
    """A service manager that waits to be told (systemd's ``Type=notify``); nobody else is told anything."""
    if address := os.environ.get("NOTIFY_SOCKET", ""):
        told = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            told.sendto(what.encode(), "\0" + address[1:] if address.startswith("@") else address)
        told.close()


def _engine_socket() -> str:
    chosen = os.environ.get("DOCKER_HOST", "")
    return chosen.removeprefix("unix://") if chosen.startswith("unix://") else "/var/run/docker.sock"


def _engine_answers(path: str) -> bool:
    engine = _socket.socket(_socket.AF_UNIX)
    try:
        engine.settimeout(1.0)
        engine.connect(path)
    except OSError:
        return False
    finally:
        engine.close()
    return True


class Supervisor:
    """``lock`` is the descriptor that keeps others off the state directory: not for the children."""

    def __init__(self, options: UpOptions, lock: int) -> None:
        self.options = options
        self.lock = lock
        self.wake = os.pipe()
        self.shelf = Shelf()
        self.children: dict[str, int] = {}
        self.failures: dict[str, list[float]] = {"server": [], "node": []}
        self.asked = 0
        there = (f"{options.state}/{name}" for name in ("run.json", KEPT))
        self.fresh = not any(os.path.exists(path) for path in there)  # noqa: PTH110  pathlib is not imported here
        """Whether nothing of this state can have run on until now."""

    def run(self) -> int:
        wake, wake_write = self.wake
        os.set_blocking(wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        self._clear_strays()
        try:
            ready, node = self._start("server"), self._start("node")
        except OSError as error:
            self._give_up()
            return _say(f"havre up: cannot write into {self.options.state}: {error.strerror}", 1)
        line = self._hear_server(ready)
        if line != "ready":
            self._give_up()
            return 0 if self.asked else _say(f"havre up: {line or _no_start(self.options.state)}", 1)
        # the API answers; what runs containers may take a moment longer, and may lack something that it will tell
        if (problem := read_line(node, NODE_TIMEOUT)) != "ready":
            _say(f"havre up: {problem or 'the node takes its time'}; havre doctor says more", 0)
        _say(banner(self.options), 0, sys.stdout)
        if fd := os.environ.get("HAVRE_READY_FD"):
            os.write(int(fd), b"ready\n")
            os.close(int(fd))
        notify("READY=1")
        while not self.asked:
            select.select([wake, self.shelf.fileno()], [], [], 5.0)
            self.shelf.receive()
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
            self._revive()
        keep = self.asked == signal.SIGUSR1
        notify("STOPPING=1")
        _say("stopping" + (", tasks run on" if keep else ""), 0, sys.stdout)
        return self._stop(keep=keep)

    def _on_signal(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.asked = number

    def _start(self, role: str) -> int:
        """Start a child; the returned descriptor says ``ready`` or why not.

        The child is a fork: it need not start an interpreter, and shares this one's memory. A session of its own keeps
        a Ctrl-C from it: that reaches the supervisor alone, which stops the others in order.
        """
        reader, writer = os.pipe()

        def work() -> int:
            hear_nothing()
            open_more_files()
            gc.disable()  # until all is loaded: nothing of that is garbage, and a tenth of the time would go for looking
            with open("/proc/self/comm", "w") as comm:
                comm.write(f"havre-{role}")
            os.environ["HAVRE_CONFIG"] = json.dumps(self.options.to_json())
            os.environ["HAVRE_READY"] = str(writer)
            if role == "node":
                os.environ.update(self.shelf.environment())
            load_lean("msgspec", without="typing_extensions")
            # another program from here on: named, not imported, for the command line knows no composition root
            __import__(f"havre.apps.{role}", fromlist=["main"]).main()
            return 0

        self.shelf.receive()
        others = (self.shelf.fileno(),) if role == "node" else self.shelf.descriptors()
        self.children[role] = fork(work, close=(reader, self.lock, *self.wake, *others))
        os.close(writer)
        self._write_run_file()
        return reader

    def _hear_server(self, ready: int) -> str | None:
        """``ready``, or why it cannot be. One that is killed while it starts is started again, as it is later."""
        line = read_line(ready, READY_TIMEOUT)
        for _ in range(MOST_STARTS):
            if line is not None or self.asked or not killed(self.children["server"]):
                break
            _say("the server was killed while it started; starting it again", 0)
            try:
                ready = self._start("server")
            except OSError as error:
                return f"cannot write into {self.options.state}: {error.strerror}"
            line = read_line(ready, READY_TIMEOUT)
        return line

    def _write_run_file(self) -> None:
        births = {role: [pid, birth(pid)] for role, pid in self.children.items()}
        data = {**self.options.to_json(), "supervisor": [os.getpid(), birth(os.getpid())], "pids": self.children}
        data["processes"] = births
        path = f"{self.options.state}/run.json"
        try:
            _write(f"{path}.new", json.dumps(data))
            os.replace(f"{path}.new", path)  # noqa: PTH105  pathlib is not imported here
        except OSError:  # a full disk: the room that the old file has will do
            with contextlib.suppress(OSError):
                os.unlink(f"{path}.new")  # noqa: PTH108
            _write(path, json.dumps(data))

    def _revive(self) -> None:
        """Start again what has died, at once the first time, later and later if it keeps dying."""
        now = time.monotonic()
        for role, pid in list(self.children.items()):
            if self.asked or (status := ended(pid)) is None:  # who stops wants to know how it ended
                continue
            recent = [t for t in self.failures[role] if now - t < 60]
            self.failures[role] = [*recent, now]
            if recent:
                time.sleep(min(0.1 * 2 ** len(recent), 5.0))
            _say(f"the {role} ended ({describe_exit(status)}); starting it again", 0)
            try:
                os.close(self._start(role))
            except OSError as error:
                _say(f"cannot write into {self.options.state}: {error.strerror}", 0)

    def _give_up(self) -> None:
        """It never was ready: tasks of a former life run on, unless somebody has said that all is to stop."""
        told = self.asked not in (0, signal.SIGUSR1)
        self._stop(keep=not (self.fresh or told))

    def _stop(self, *, keep: bool) -> int:
        """The node first, so that the server can record how tasks ended; then the server. 1 when something is left that
        was to go: the run file stays for those who clear up."""
        codes = {}
        for role, number in (("node", signal.SIGTERM if keep else signal.SIGUSR1), ("server", signal.SIGTERM)):
            if pid := self.children.get(role):
                codes[role] = end(pid, number)
            if role == "node" and codes.get(role) and not keep:
                codes[role] = self._clear()
        if codes.get("node") and not keep:
            return _say(f"{LEFT}; havre down --state {self.options.state} tries again", 1)
        retire(self.options.state, keep=keep)
        return 0

    def _clear(self) -> int:
        """The node has ended before it had removed everything, as when a service manager tells all processes at once to
        end: another one does it. The wait status."""

        def work() -> int:
            hear_nothing()
            os.environ["HAVRE_CONFIG"] = json.dumps(self.options.to_json())
            __import__("havre.apps.node", fromlist=["clean"]).clean()
            return 0

        pid = fork(work, close=(self.lock, *self.wake, self.shelf.fileno()))
        return end(pid, 0)  # it needs no telling

    def _clear_strays(self) -> None:
        """End the processes of a supervisor that was killed; their containers run on."""
        strays = [p for p in (running(self.options.state) or {}).get("processes", {}).values() if lives(p)]
        for pid, _ in strays:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (alive := [p for p in strays if lives(p)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid, _ in alive:
            os.kill(pid, signal.SIGKILL)


def retire(state: str, *, keep: bool) -> None:
    """No run file says any more that it runs; one that is kept, what to clear up."""
    with contextlib.suppress(FileNotFoundError):
        if keep:
            os.replace(f"{state}/run.json", f"{state}/{KEPT}")  # noqa: PTH105  pathlib is not imported here
            return
        os.unlink(f"{state}/run.json")  # noqa: PTH108
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{state}/{KEPT}")  # noqa: PTH108
