"""A process that makes sandboxes by forking itself: in Havre's interpreter, or warmed up in a runtime's own.

Runs by itself, as root, and imports nothing but the standard library: ``zygote.py CONTROL ROOT`` with two descriptors, a
socket to the node and the host's root directory. For each sandbox the node sends a socket; its forked child leaves for
namespaces of its own, tells that socket that it is there, waits to be told whose it is (files, limits), gives up all
privileges and becomes a program that only waits. Whatever runs in there is forked from here as well, enters, gives up
the same, and is the program, or the function's runtime with its modules imported already. How it ends is told to the node.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from base64 import b64decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Message = dict[str, Any]
    Job = Callable[[], object]

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, SLAVE = 1, 2, 4, 8, 32, 0x1000, 0x2000, 0x4000, 1 << 19
DETACH = 2
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, CAPBSET_DROP, SET_NO_NEW_PRIVS, LAST_CAP = 1, 4, 22, 24, 38, 63
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LOOP_GET_FREE, LOOP_CONFIGURE, AUTOCLEAR = 0x4C82, 0x4C0A, 4
API = ("127.0.0.1", 9001)
MOST = 1 << 18
MASKED = ("acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, what + ": " + os.strerror(number))
    return result


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    made = _libc.mount(_bytes(source), _bytes(target), _bytes(kind), ctypes.c_ulong(flags), _bytes(data))
    _check(made, "cannot mount " + target)


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

    def drop(self) -> None:
        """Every privilege, for good."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for capability in range(LAST_CAP + 1):
            if _libc.prctl(CAPBSET_DROP, capability, 0, 0, 0) == -1 and capability == 0:
                _check(-1, "cannot drop capabilities")
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        _check(_libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "cannot renounce privileges")
        program = ctypes.create_string_buffer(self.seccomp, len(self.seccomp))
        head = struct.pack("HxxxxxxP", len(self.seccomp) // 8, ctypes.addressof(program))
        _check(_libc.prctl(SET_SECCOMP, 2, ctypes.c_char_p(head), 0, 0), "cannot filter system calls")


def join(cgroups: list[str]) -> None:
    for path in cgroups:
        with open(path, "w") as procs:
            procs.write("0")


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
        _libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self.settings.go_home()
        os.setsid()
        join(message["cgroups"])
        _check(_libc.unshare(NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET), "cannot make namespaces")
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
            bind(message["task"], stage + "/var/task")
        layers: list[str] = message["opt"]
        if len(layers) == 1:
            bind(layers[0], stage + "/opt")
        elif layers:
            flags = RDONLY | NOSUID | NODEV
            mount("overlay", stage + "/opt", "overlay", flags, "lowerdir=" + ":".join(layers))
        self.temporary(stage + "/tmp", message, fds)
        self.processes(stage, message["empty"])
        os.chdir(stage)
        _check(_libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."), "cannot change the root")
        _check(_libc.umount2(b".", DETACH), "cannot leave the host's files")
        os.chdir("/")
        self.settings.drop()
        _libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # which changing the user has taken back
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
        device, path = loop(image)
        mount(path, target, "ext4", NOSUID | NODEV, "noinit_itable")
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
        if os.path.isdir(stage + "/sys/firmware"):
            mount(empty, stage + "/sys/firmware", None, BIND)


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


def extensions() -> list[str]:
    try:
        with os.scandir("/opt/extensions") as entries:
            return sorted(e.name for e in entries if e.is_file() and os.access(e.path, os.X_OK))[:64]
    except OSError:
        return []


# --- the warmed-up interpreter

NEEDED = (
    "awslambdaric awslambdaric.bootstrap awslambdaric.lambda_config awslambdaric.lambda_runtime_client"
    " runpy importlib json logging"
)
USUAL = (
    "asyncio base64 collections concurrent.futures contextlib copy csv dataclasses datetime decimal enum functools gzip"
    " hashlib hmac http.client io itertools math operator pathlib random re secrets shutil ssl string subprocess tempfile"
    " threading typing urllib.parse urllib.request uuid boto3"
)
FORMATTED = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")
"""Variables that the interface client reads when it is imported."""


class Advance:
    """Modules that are imported in advance. ``early``: those that a cold start has, too. Others may have to give way to the
    function's own; they are found by their first names, for whatever is looked at becomes memory of the child's own."""

    def __init__(self) -> None:
        self.bootstrap: Any = None
        self.modules: dict[str, list[str]] = {}
        self.packages: list[str] = []
        """Those that came with the runtime and not with Python: they go together."""

    def warm_up(self) -> None:
        os.environ["AWS_LAMBDA_RUNTIME_API"] = f"{API[0]}:{API[1]}"
        self.bootstrap = importlib.import_module("bootstrap")
        del sys.modules["bootstrap"]
        self.bring(NEEDED)
        early = set(sys.modules)
        self.bring(USUAL)
        for name in set(sys.modules) - early:
            self.modules.setdefault(name.partition(".")[0], []).append(name)
            if (getattr(sys.modules[name], "__file__", None) or "").startswith("/var/runtime"):
                self.packages.append(name)
        gc.collect()
        gc.freeze()

    def bring(self, names: str) -> None:
        for name in names.split():
            try:
                importlib.import_module(name)
            except ImportError:
                continue

    def run(self, environment: dict[str, str]) -> None:
        """What /var/runtime/bootstrap does. ``random`` was seeded anew by the fork."""
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        if any(name in environment for name in FORMATTED):
            del sys.modules["awslambdaric.bootstrap"]
            delattr(sys.modules["awslambdaric"], "bootstrap")
        self.give_way([path for path in self.bootstrap.paths([]) if path != "/var/runtime"])
        self.bootstrap.main()

    def give_way(self, paths: list[str]) -> None:
        """Forget what was imported in advance and the function brings itself."""
        shadowed: list[str] = []
        for path in paths:
            try:
                for name in os.listdir(path):
                    shadowed += self.modules.get(name.partition(".")[0], ())
            except OSError:
                continue
        if any(name in self.packages for name in shadowed):
            shadowed += self.packages
        for name in shadowed:
            sys.modules.pop(name, None)


class Zygote:
    def __init__(self, control: socket.socket, settings: Settings, advance: Advance) -> None:
        self.control = control
        self.settings = settings
        self.advance = advance
        self.home = os.open("proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=settings.host)
        self.running: dict[int, Message] = {}
        """Processes, and what the node calls them; the first ones of sandboxes are not among them."""
        self.starting: dict[int, int] = {}
        """Pipe → process: closed when it has become its program, or says why not."""

    def serve(self) -> Job | None:
        """Until the node ends. Gives what to do instead, in a child that is to be a warmed-up runtime."""
        wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self.poll = select.poll()
        for fd in (wake, self.control.fileno()):
            self.poll.register(fd, select.POLLIN)
        send(self.control, {"ready": True})
        while True:
            for fd, _ in self.poll.poll():
                if fd in self.starting:
                    self.started(fd)
                elif fd == wake:
                    os.read(wake, 4096)
                    self.reap()
                elif fd == self.control.fileno():  # and no pipe that was closed since it was asked
                    message, fds = receive(self.control)
                    if message is None:
                        return None
                    job = self.obey(message, fds)
                    if job is not None:
                        return job

    def obey(self, message: Message, fds: list[int]) -> Job | None:
        """``fds``: a socket for a new sandbox, and a disk; for a process its sandbox's first one, and where to write to."""
        job = None
        try:
            if "run" in message:
                job = self.run(message, *fds)
            else:
                self.make(message, *fds)
        except OSError as error:
            self.failed(message, str(error))
        for fd in fds if job is None else ():
            os.close(fd)
        return job

    def failed(self, message: Message, why: str) -> None:
        if "run" in message:
            send(self.control, {"box": message["box"], "failed": message["run"], "why": why})

    def make(self, message: Message, control: int, *disk: int) -> None:
        _check(_libc.unshare(NEWPID), "cannot make a process namespace")
        if os.fork() == 0:
            try:
                self.control.close()
                os.close(self.home)
                signal.set_wakeup_fd(-1)
                Box(socket.socket(fileno=control), self.settings).live(message, list(disk))
            finally:
                os._exit(1)  # whatever happens: a child is no zygote
        _check(_libc.setns(self.home, NEWPID), "cannot return to the process namespace")

    def run(self, message: Message, init: int, output: int) -> Job | None:
        why, said = os.pipe2(os.O_CLOEXEC)
        try:
            _check(_libc.setns(init, NEWPID), "it has ended")
            pid = os.fork()
        except OSError:
            os.close(why)
            os.close(said)
            raise
        if pid == 0:
            return self.enter(message, init, output, said)
        os.close(said)
        _check(_libc.setns(self.home, NEWPID), "cannot return to the process namespace")
        self.running[pid] = {"box": message["box"], "run": message["run"], "pid": pid}
        self.starting[why] = pid
        self.poll.register(why, select.POLLIN)
        return None

    def enter(self, message: Message, init: int, output: int, said: int) -> Job:
        """In the child: the sandbox, its user, the program."""
        program = message["arguments"][0]
        try:
            self.settings.go_home()
            os.setsid()
            join(message["cgroups"])
            _check(_libc.setns(init, NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET), "cannot enter")
            os.chdir(message["directory"])
            null = os.open("/dev/null", os.O_RDONLY)
            for number, fd in enumerate((null, output, output)):
                os.dup2(fd, number)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            self.settings.drop()
            if message["warm"]:
                os.closerange(3, 256)
                _libc.prctl(SET_DUMPABLE, 1, 0, 0, 0)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return lambda: self.advance.run(message["environment"])
            for number in (signal.SIGPIPE, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(program, message["arguments"], message["environment"])
        except OSError as error:
            why = f"fork/exec {program}: {(error.strerror or str(error)).lower()}"
        except BaseException as error:
            why = repr(error)
        try:
            os.write(said, why.encode())
        finally:
            os._exit(127)

    def started(self, why: int) -> None:
        message = self.running.get(self.starting[why])
        text = os.read(why, 4096).decode("utf-8", "replace")
        self.poll.unregister(why)
        os.close(why)
        pid = self.starting.pop(why)
        if message is None:
            return
        if text:
            self.running.pop(pid)
            self.failed(message, text)
        else:
            send(self.control, {"box": message["box"], "started": message["run"], "pid": pid})

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for why in [w for w, p in self.starting.items() if p == pid]:
                self.started(why)
            message = self.running.pop(pid, None)
            if message is not None:
                code = os.waitstatus_to_exitcode(status)
                code = code if code >= 0 else 128 - code
                send(self.control, {"box": message["box"], "exit": message["run"], "code": code})


def main() -> Job | None:
    control, host = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    control.set_inheritable(False)
    os.set_inheritable(host, False)
    os.umask(0o022)
    message, fds = receive(control)
    if message is None:
        return None
    advance = Advance()
    if message["warm"]:
        sys.argv[:] = ["/var/runtime/bootstrap.py"]
        sys.path.remove("")
        advance.warm_up()
    return Zygote(control, Settings(message, fds[0], host), advance).serve()


if __name__ == "__main__":
    job = main()
    if job is not None:
        job()
