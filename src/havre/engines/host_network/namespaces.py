"""Network namespaces, kept by a mount below /run/netns, where ``ip netns`` and HAProxy look for them too.

These functions change the namespace of the calling thread for a moment: they belong on the engine's own thread.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

RUN = Path("/run/netns")
_NEWNET = 0x40000000
_BIND, _RECURSIVE, _SHARED, _DETACH = 0x1000, 0x4000, 1 << 20, 2


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """This thread is in the namespace behind the descriptor for the time of the block. Raises OSError."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc().setns(fd, _NEWNET), "cannot enter the network namespace")
        try:
            yield
        finally:
            _check(_libc().setns(home, _NEWNET), "cannot return to the network namespace")
    finally:
        os.close(home)


def create(name: str) -> None:
    """There already is success. Raises OSError."""
    path = RUN / name
    if path.exists() and is_namespace(path):
        return
    _share()
    path.touch(0o444)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc().unshare(_NEWNET), "cannot make a network namespace")
        try:
            made = f"/proc/self/task/{_thread()}/ns/net"
            _check(_libc().mount(made.encode(), bytes(path), b"none", _BIND, None), f"cannot keep {path}")
        finally:
            _check(_libc().setns(home, _NEWNET), "cannot return to the network namespace")
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(home)


def _share() -> None:
    """The directory is a mount of its own, and shared, as ``ip netns`` has it: were it the first to make it so, what we
    had mounted before would be hidden below, and never go. So should we not be, where others are before us. Raises
    OSError."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    if _libc().mount(b"", bytes(RUN), b"none", _SHARED | _RECURSIVE, None) == 0:
        return
    if not any(is_namespace(path) for path in RUN.iterdir()):
        _check(_libc().mount(bytes(RUN), bytes(RUN), b"none", _BIND | _RECURSIVE, None), f"cannot mount {RUN}")
        _check(_libc().mount(b"", bytes(RUN), b"none", _SHARED | _RECURSIVE, None), f"cannot share {RUN}")


def _thread() -> str:
    return str(Path("/proc/thread-self").readlink()).rpartition("/")[2]


def is_namespace(path: Path) -> bool:
    """False for the empty file that a crash in the middle of ``create`` leaves."""
    return os.stat(path).st_dev != os.stat(RUN).st_dev  # noqa: PTH116 (two plain numbers)


def delete(name: str) -> None:
    """Gone is success. The namespace itself goes when the last process and socket in it has gone."""
    path = RUN / name
    with suppress(FileNotFoundError):
        _libc().umount2(bytes(path), _DETACH)
        path.unlink()


def names(prefix: str) -> list[str]:
    try:
        return sorted(p.name for p in RUN.iterdir() if p.name.startswith(prefix))
    except FileNotFoundError:
        return []


def descriptor(name: str) -> int:
    """Raises OSError."""
    return os.open(RUN / name, os.O_RDONLY | os.O_CLOEXEC)


def of_process(pid: int) -> int:
    """Raises FileNotFoundError or ProcessLookupError when the process is gone."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def is_home(fd: int) -> bool:
    """Whether this is the namespace that this process began in."""
    return os.fstat(fd).st_ino == os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 (two plain numbers)


def setting(name: str, value: str) -> None:
    """A sysctl below net/ of the namespace that this thread is in (``ipv4/ip_forward``). Raises OSError."""
    Path("/proc/sys/net", name).write_text(value)


def leave() -> None:
    """This thread gets a namespace of its own, which goes with it. Raises OSError."""
    _check(_libc().unshare(_NEWNET), "cannot make a network namespace")
