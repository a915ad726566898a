"""A fork that begins in its control group (``clone3``, Linux 5.7).

To join one of version 2 afterwards waits for a grace period of the kernel, 8 to 15 ms each time. What the C library does
in a fork is done here: the thread's id, its list of locks. What Python does is Python's own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct

from havre.engines.oci.zygote.calls import check, libc

INTO_CGROUP, CHILD_SETTID, CHILD_CLEARTID = 1 << 33, 0x01000000, 0x00200000
GET_TID_ADDRESS = 40
CLONE3 = 435
ROBUST_LIST = {"x86_64": (274, 273), "aarch64": (100, 99)}
"""The numbers of get_robust_list and set_robust_list."""
REFUSED = (errno.ENOSYS, errno.EINVAL, errno.E2BIG, errno.EPERM)
"""By kernels that do not know it, and filters that Havre itself runs under."""
UNIFIED = "/cgroup.procs"

kept = ctypes.PyDLL(None, use_errno=True)
"""Calls that keep the interpreter's lock: between Python's words before a fork and after it nobody else may run."""


class Forks:
    """Of a process that has one thread. ``host`` is the host's root directory."""

    def __init__(self, host: int) -> None:
        self.host = host
        self.able = os.uname().machine in ROBUST_LIST and self.look()

    def look(self) -> bool:
        """Where the C library keeps the thread's id and its list of locks; whether the kernel tells."""
        self.tid, self.locks, self.length = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
        told = libc.prctl(GET_TID_ADDRESS, ctypes.byref(self.tid), 0, 0, 0)
        listed = libc.syscall(
            ROBUST_LIST[os.uname().machine][0], 0, ctypes.byref(self.locks), ctypes.byref(self.length)
        )
        return told == 0 and listed == 0 and bool(self.tid.value)

    def fork(self, cgroups: list[str]) -> tuple[int, list[str]]:
        """(as os.fork gives it, the files that the child has to write itself into still). Raises OSError."""
        if self.able and len(cgroups) == 1 and cgroups[0].endswith(UNIFIED):
            path = cgroups[0].removesuffix(UNIFIED).lstrip("/")
            group = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.host)
            try:
                return self.clone(group), []
            except OSError as error:
                if error.errno not in REFUSED:
                    raise
                self.able = False
            finally:
                os.close(group)
        return os.fork(), cgroups

    def clone(self, group: int) -> int:
        """What os.fork does, but for the group."""
        flags = INTO_CGROUP | CHILD_SETTID | CHILD_CLEARTID
        wanted = struct.pack("11Q", flags, 0, self.tid.value, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group)
        ctypes.pythonapi.PyOS_BeforeFork()
        pid = kept.syscall(CLONE3, wanted, len(wanted))
        if pid == 0:
            kept.syscall(ROBUST_LIST[os.uname().machine][1], self.locks, self.length)
            ctypes.pythonapi.PyOS_AfterFork_Child()
        else:
            ctypes.pythonapi.PyOS_AfterFork_Parent()
        return check(pid, "cannot fork")
