"""Processes as ``havre up`` starts, knows and ends them. It imports next to nothing: each start waits for it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STOP_TIMEOUT = 90.0
ENDING_TIMEOUT = 5.0
"""Seconds from the closing of a process's files to its end."""
MOST_FILES = 65_536
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
"""What the supervisor hears."""


def birth(pid: Any) -> int:
    """When a process started, in the kernel's ticks: with the pid it names one process for ever. 0 for one that ended."""
    try:
        with open(f"/proc/{int(pid)}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (OSError, ValueError, IndexError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def lives(process: Any) -> bool:
    """Whether a [pid, birth] of the run file still runs (pids are used again by others)."""
    return bool(process) and process[1] != 0 and birth(process[0]) == process[1]


def describe_exit(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def fork(work: Callable[[], int], close: tuple[int, ...]) -> int:
    """Run ``work`` in a child with a session of its own and nothing on its standard input; its pid."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        for fd in close:
            os.close(fd)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        code = work()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def hear_nothing() -> None:
    """A child's signals are its own."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def open_more_files() -> None:
    """As many at a time as this process may: 1,024 is what shells say, and 150 environments of functions have that many.
    No more than MOST_FILES, for containers without Docker inherit it, and some programs close each that they might have."""
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def load_lean(name: str, without: str) -> None:
    """Load a library without another that it takes where it is installed, and does not need: half a megabyte, for one."""
    modules: dict[str, Any] = sys.modules
    if without not in modules:
        modules[without] = None
        try:
            __import__(name)
        finally:
            del modules[without]


def ended(pid: int) -> int | None:
    """The wait status of a child that has ended; None while it runs."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if done else None


def killed(pid: int) -> bool:
    """Whether a child that is ending, or has ended, was ended by a signal."""
    deadline = time.monotonic() + ENDING_TIMEOUT
    while (status := ended(pid)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return status is not None and os.WIFSIGNALED(status)


def end(pid: int, number: int) -> int:
    """The wait status with which it ended."""
    if (status := ended(pid)) is not None:
        return status
    os.kill(pid, number)
    deadline = time.monotonic() + STOP_TIMEOUT
    while (status := ended(pid)) is None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        time.sleep(0.02)
    return status


def read_line(fd: int, timeout: float) -> str | None:
    """A line from the descriptor; None if the writer ends without one or takes too long."""
    deadline = time.monotonic() + timeout
    data = b""
    try:
        while b"\n" not in data and time.monotonic() < deadline:
            if not select.select([fd], [], [], 0.5)[0]:
                continue
            chunk = os.read(fd, 4096)
            if not chunk:
                break
            data += chunk
    finally:
        os.close(fd)
    return data.split(b"\n", 1)[0].decode() or None
