"""What changes the thread that it runs on, and what it starts: namespaces and mounts (see engines/aside.py)."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
_RECURSIVE, _PRIVATE, _DETACH = 0x4000, 1 << 18, 2


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def leave(namespaces: int) -> None:
    """This thread, and what it starts from now on, is in new namespaces of these kinds. Raises OSError."""
    _check(_libc().unshare(namespaces), "cannot make namespaces")


def own_mounts() -> None:
    """What this thread mounts from now on is seen by it and by what it starts alone, and goes with them. Raises OSError."""
    leave(NEW_MOUNTS)
    _check(_libc().mount(b"", b"/", b"", _RECURSIVE | _PRIVATE, None), "cannot make the mounts private")
    hide_hybrid()


def hide_hybrid() -> None:
    """crun refuses control groups of both versions at once, though all that limits is in version 1 then."""
    _libc().umount2(b"/sys/fs/cgroup/unified", _DETACH)


def mount_overlay(target: str, lower: str, upper: str, work: str) -> None:
    """``lower`` is relative to the thread's own directory, so that many fit into the page that mount() takes. Raises
    OSError."""
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    if len(options) > 4000:
        raise OSError(7, "the image has too many layers for overlayfs")
    _check(_libc().mount(b"overlay", target.encode(), b"overlay", 0, options.encode()), "cannot mount the root")
