"""``serve.py CONTROL ROOT`` with two descriptors, a socket to the node and the host's root directory.

For each sandbox the node sends a socket; its forked child leaves for namespaces of its own, tells that socket that it is
there, waits to be told whose it is (files, limits), gives up all privileges and becomes a program that only waits. Whatever
runs in there is forked from here as well, enters, gives up the same, and is the program, or the function's runtime with its
modules imported already. How it ends is told to the node.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys

from havre.engines.oci.zygote.calls import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUTS,
    SET_DUMPABLE,
    Settings,
    check,
    join,
    libc,
    receive,
    send,
)
from havre.engines.oci.zygote.forks import Forks
from havre.engines.oci.zygote.sandbox import Box
from havre.engines.oci.zygote.warm import Advance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from havre.engines.oci.zygote.calls import Message

    Job = Callable[[], object]


MOST_FILES = 1 << 12
"""More than a zygote ever has open: while many processes begin at once, it has a pipe of each."""


class Zygote:
    def __init__(self, control: socket.socket, settings: Settings, advance: Advance) -> None:
        self.control = control
        self.settings = settings
        self.advance = advance
        self.forks = Forks(settings.host)
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
        """``fds``: a socket for a new sandbox, and a disk; for a process its sandbox's first one, where to write to, and
        what it is to be, which is for its eyes alone."""
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
        check(libc.unshare(NEWPID), "cannot make a process namespace")
        if self.fork(message) == 0:
            try:
                self.control.close()
                os.close(self.home)
                signal.set_wakeup_fd(-1)
                Box(socket.socket(fileno=control), self.settings).live(message, list(disk))
            finally:
                os._exit(1)  # whatever happens: a child is no zygote

    def fork(self, message: Message) -> int:
        """Into the process namespace that was entered; the parent is back from it then, whether there is a child or not.
        ``message`` keeps the control groups that the child has to join."""
        pid = -1
        try:
            pid, message["cgroups"] = self.forks.fork(message["cgroups"])
        finally:
            if pid != 0:
                check(libc.setns(self.home, NEWPID), "cannot return to the process namespace")
        return pid

    def run(self, message: Message, init: int, output: int, program: int) -> Job | None:
        why, said = os.pipe2(os.O_CLOEXEC)
        try:
            check(libc.setns(init, NEWPID), "it has ended")
            pid = self.fork(message)
        except OSError:
            os.close(why)
            os.close(said)
            raise
        if pid == 0:
            return self.enter(message, init, output, program, said)
        os.close(said)
        self.running[pid] = {"box": message["box"], "run": message["run"], "pid": pid}
        self.starting[why] = pid
        self.poll.register(why, select.POLLIN)
        return None

    def enter(self, message: Message, init: int, output: int, program: int, said: int) -> Job:
        """In the child: the sandbox, its user, the program."""
        name = ""
        try:
            given = read(program)
            name, environment = given["arguments"][0], given["environment"]
            self.settings.go_first()
            self.settings.go_home()
            os.setsid()
            join(message["cgroups"])
            check(libc.setns(init, NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET), "cannot enter")
            os.chdir(given["directory"])
            null = os.open("/dev/null", os.O_RDONLY)
            for number, fd in enumerate((null, output, output)):
                os.dup2(fd, number)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            self.settings.drop()
            if message["warm"]:
                os.closerange(3, MOST_FILES)
                libc.prctl(SET_DUMPABLE, 1, 0, 0, 0)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return lambda: self.advance.run(environment)
            for number in (signal.SIGPIPE, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(name, given["arguments"], environment)
        except OSError as error:
            why = f"fork/exec {name}: {(error.strerror or str(error)).lower()}"
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
                send(self.control, {"box": message["box"], "exit": message["run"], "code": code})


def read(file: int) -> Message:
    found: Message = json.loads(os.pread(file, os.fstat(file).st_size, 0))
    return found


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
