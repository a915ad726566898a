"""One sandbox, seen from its first process."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct

from havre.engines.oci.zygote.calls import (
    BIND,
    DETACH,
    FROM_EMPTY,
    MOVE,
    MOVE_MOUNT,
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWUTS,
    NODEV,
    NOEXEC,
    NOSUID,
    PIVOT_ROOT,
    RDONLY,
    REC,
    REMOUNT,
    SET_PDEATHSIG,
    SLAVE,
    Settings,
    bind,
    check,
    join,
    libc,
    loop,
    mount,
    receive,
    send,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from havre.engines.oci.zygote.calls import Message

API = ("127.0.0.1", 9001)
MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
MASKED_SYS = ("/sys/firmware", "/sys/devices/virtual/powercap")
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class Box:
    """One sandbox, seen from its first process."""

    def __init__(self, control: socket.socket, settings: Settings) -> None:
        self.control = control
        self.settings = settings

    def live(self, message: Message, disk: list[int]) -> None:
        """Does not return. ``disk``: one that it will probably want."""
        try:
            self.leave(message)
            if disk:
                self.disk(message["held"], disk[0])
            mine, fds = receive(self.control)
            if mine is None:
                os._exit(0)
            self.become(mine, fds)
        except BaseException as error:
            send(self.control, {"error": str(error)})
        os._exit(1)

    def leave(self, message: Message) -> None:
        """Namespaces and cgroups of its own, and a listening socket in there."""
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self.settings.go_home()
        os.setsid()
        join(message["cgroups"])
        check(libc.unshare(NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET), "cannot make namespaces")
        mount("none", "/", None, REC | SLAVE)
        socket.sethostname(message["hostname"])
        with socket.socket() as any_socket:  # SIOCSIFFLAGS: up, running
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 0x41, b""))
        with socket.socket() as api:
            api.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            api.bind(API)
            api.listen(128)
            self.tell_pid({"made": True}, api.fileno())

    def tell_pid(self, message: Message, fd: int) -> None:
        """With the pid as the receiver counts, which the kernel translates."""
        ours = struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
        rights = struct.pack("i", fd)
        ancillary = [(socket.SOL_SOCKET, 2, ours), (socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        self.control.sendmsg([json.dumps(message).encode()], ancillary)

    def become(self, message: Message, fds: list[int]) -> None:
        """This function's: its files, then no privileges any more."""
        stage = message["stage"]
        os.chdir(message["store"])
        lower = message["lower"]
        mount("overlay", stage, "overlay", RDONLY | NOSUID | NODEV, "lowerdir=" + ":".join(lower))
        self.devices(stage)
        if message.get("task"):
            bind(exactly(message["task"]) if message["exact"] else message["task"], stage + "/var/task")
        layers: list[str] = message["opt"]
        if len(layers) == 1:
            bind(layers[0], stage + "/opt")
        elif layers:
            flags = RDONLY | NOSUID | NODEV
            mount("overlay", stage + "/opt", "overlay", flags, "lowerdir=" + ":".join(layers))
        shares: list[str] = message["shares"]
        at = len(fds) - len(shares)
        self.temporary(stage + "/tmp", message, fds[:at])
        self.shares(stage, shares, fds[at:])
        self.processes(stage, message["empty"])
        os.chdir(stage)
        check(libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."), "cannot change the root")
        check(libc.umount2(b".", DETACH), "cannot leave the host's files")
        os.chdir("/")
        self.settings.drop()
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # which changing the user has taken back
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans are reaped by the kernel
        send(self.control, {"bound": True, "extensions": extensions()})
        os.execve(self.settings.init, ["init"], {})

    def devices(self, stage: str) -> None:
        mount("tmpfs", stage + "/dev", "tmpfs", NOSUID | NOEXEC, "size=64k,mode=755")
        for name in DEVICES:
            with open(stage + "/dev/" + name, "w"):
                pass
            mount("/dev/" + name, stage + "/dev/" + name, None, BIND)
        os.symlink("/proc/self/fd", stage + "/dev/fd")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.symlink(f"/proc/self/fd/{number}", stage + "/dev/" + name)
        mount(None, stage + "/dev", None, REMOUNT | BIND | RDONLY | NOSUID | NOEXEC)

    def disk(self, target: str, image: int) -> None:
        """It ends with the sandbox, so nothing on it need reach the machine's disk. Barriers would: at its beginning, at its
        end, and with each fsync, for 10 to 30 ms."""
        device, path = loop(image)
        mount(path, target, "ext4", NOSUID | NODEV, "noinit_itable,nobarrier")
        os.rmdir(target + "/lost+found")
        os.chmod(target, 0o700)
        os.close(device)
        os.close(image)

    def temporary(self, target: str, message: Message, fds: list[int]) -> None:
        """The disk that is mounted already, that which is sent, or memory."""
        if message["held"]:
            mount(message["held"], target, None, MOVE)
        elif fds:
            self.disk(target, fds[0])
        else:
            data = f"size={message['temporary']},mode=700,uid={self.settings.uid},gid={self.settings.gid}"
            mount("tmpfs", target, "tmpfs", NOSUID | NODEV, data)

    def shares(self, stage: str, paths: list[str], mounts: list[int]) -> None:
        """What came as descriptors, below /mnt."""
        if not paths:
            return
        mount("tmpfs", stage + "/mnt", "tmpfs", NOSUID | NODEV | NOEXEC, "size=64k,mode=755")
        for number, path in enumerate(paths):
            os.mkdir(stage + path)
            moved = libc.syscall(MOVE_MOUNT, mounts[number], b"", -100, os.fsencode(stage + path), FROM_EMPTY)
            check(moved, "cannot mount " + path)
            os.close(mounts[number])
        mount(None, stage + "/mnt", None, REMOUNT | BIND | RDONLY | NOSUID | NODEV | NOEXEC)

    def processes(self, stage: str, empty: str) -> None:
        proc = stage + "/proc/"
        mount("proc", proc, "proc", NOSUID | NODEV | NOEXEC)
        for name in MASKED:
            if os.path.isdir(proc + name):
                mount(empty, proc + name, None, BIND)
            elif os.path.exists(proc + name):
                mount("/dev/null", proc + name, None, BIND)
        for name in READ_ONLY:
            if os.path.exists(proc + name):
                bind(proc + name, proc + name, RDONLY | NOSUID | NODEV | NOEXEC)
        mount("sysfs", stage + "/sys", "sysfs", RDONLY | NOSUID | NODEV | NOEXEC)
        for name in MASKED_SYS:
            if os.path.isdir(stage + name):
                mount(empty, stage + name, None, BIND)


def exactly(path: str) -> str:
    """A name of the directory that this path is by itself: whoever it belongs to may have made a link of it since, or of one
    above it, to what is not his. Raises OSError."""
    at = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in filter(None, path.split("/")):
        above, at = at, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        os.close(above)
    return f"/proc/self/fd/{at}"


def extensions() -> list[str]:
    try:
        with os.scandir("/opt/extensions") as entries:
            return sorted(e.name for e in entries if e.is_file() and os.access(e.path, os.X_OK))[:64]
    except OSError:
        return []
