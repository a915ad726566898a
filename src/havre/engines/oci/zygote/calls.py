"""System calls that Python has no names for, messages with descriptors, and how every privilege is given up."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import resource
import socket
import struct
from base64 import b64decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, SLAVE = 1, 2, 4, 8, 32, 0x1000, 0x2000, 0x4000, 1 << 19
DETACH = 2
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, CAPBSET_DROP, SET_NO_NEW_PRIVS, LAST_CAP = 1, 4, 22, 24, 38, 63
MOVE_MOUNT, FROM_EMPTY = 429, 4
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LOOP_GET_FREE, LOOP_CONFIGURE, AUTOCLEAR = 0x4C82, 0x4C0A, 4
MOST = 1 << 18
FIRST = b"500"
"""As if it had half of the machine's memory besides."""

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, what + ": " + os.strerror(number))
    return result


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    made = libc.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data))
    check(made, "cannot mount " + target)


def bind(source: str, target: str, flags: int = RDONLY | NOSUID | NODEV) -> None:
    mount(source, target, None, BIND | REC)
    mount(None, target, None, REMOUNT | BIND | flags)


def receive(control: socket.socket) -> tuple[Message | None, list[int]]:
    """A message with its descriptors; None when the other side has ended."""
    data, fds, _, _ = socket.recv_fds(control, MOST, 4)
    for fd in fds:
        os.set_inheritable(fd, False)
    return (json.loads(data) if data else None), fds


def send(control: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], list(fds))


class Settings:
    """``seccomp`` is the filter as the kernel reads it, ``init`` the program that a sandbox's first process becomes."""

    def __init__(self, message: Message, init: int, host: int) -> None:
        self.seccomp = b64decode(message["seccomp"])
        self.uid: int = message["uid"]
        self.gid: int = message["gid"]
        self.init = init
        self.host = host

    def go_home(self) -> None:
        """To the host's files, where the zygote is in a runtime's."""
        os.fchdir(self.host)
        os.chroot(".")

    def go_first(self) -> None:
        """Where the whole machine has no memory left, rather than Havre or others that are not begun anew for each event."""
        try:
            score = os.open("proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.host)
        except OSError:
            return  # not to be had here: functions run all the same
        try:
            os.write(score, FIRST)
        except OSError:
            pass  # all of Havre goes first as it is: it was started so
        finally:
            os.close(score)

    def drop(self) -> None:
        """Every privilege, for good."""
        bound(resource.RLIMIT_NOFILE, 1024)
        bound(resource.RLIMIT_CORE, 1)  # of 0 the machine's program for cores is run all the same
        for capability in range(LAST_CAP + 1):
            if libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) == -1 and capability == 0:
                check(-1, "cannot drop capabilities")
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        check(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "cannot renounce privileges")
        program = ctypes.create_string_buffer(self.seccomp, len(self.seccomp))
        head = struct.pack("HxxxxxxP", len(self.seccomp) // 8, ctypes.addressof(program))
        check(libc.prctl(SET_SECCOMP, 2, ctypes.c_char_p(head), 0, 0), "cannot filter system calls")


def bound(what: int, most: int) -> None:
    """Without CAP_SYS_RESOURCE, as in many containers, a limit that is lower already stays."""
    try:
        resource.setrlimit(what, (most, most))
    except ValueError:
        lowest = resource.getrlimit(what)[1]
        resource.setrlimit(what, (lowest, lowest))


def join(cgroups: list[str]) -> None:
    for path in cgroups:
        with open(path, "w") as procs:
            procs.write("0")


def loop(image: int) -> tuple[int, str]:
    """A loop device for this file: (descriptor that keeps it until it is mounted, its path)."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            info = bytearray(232)
            struct.pack_into("I", info, 52, AUTOCLEAR)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, struct.pack("II", image, 0) + bytes(info) + bytes(64))
                return device, path
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # another one was quicker
                    raise
    finally:
        os.close(control)
