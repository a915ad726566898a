"""The port to sandboxes: isolated places that functions run in. Fast ones: they are made in advance and frozen when idle.

A sandbox does not outlive the node process that made it (an invocation does not either): a node that starts removes what a
former one left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from havre.kernel.function import Code, Function
from havre.kernel.workload import Interface, Registry

RUNTIME = "/runtime"
"""Its name among a sandbox's processes: extensions have those of their files, which have no slash."""
API_PORT = 9001
LINES = "/tmp/.lines"  # noqa: S108 (the sandbox's own)
"""Where workers of a runtime connect to for what they write, each by itself (``SandboxEngine.lines``)."""
OWN_VPC = "vpc-functions"
"""The network of functions that are in no VPC of a user's: the engine's own, which nobody else describes or removes."""


class Sandbox(msgspec.Struct, frozen=True):
    """``pid`` is that of its first process, as the host counts. ``api`` is the descriptor of a listening TCP socket at
    127.0.0.1:9001 inside of it, which belongs to the taker from then on (it closes it). ``address`` is its own in the
    functions' network, "" without one; ``endpoint`` is the URL of Havre's AWS API as it is reached from inside.
    ``pooled``: it was made in advance. ``extensions``: names of the programs in /opt/extensions. ``runtime`` is the version
    of the managed runtime, "" for images."""

    id: str
    pid: int
    api: int
    address: str = ""
    pooled: bool = False
    endpoint: str = ""
    extensions: tuple[str, ...] = ()
    runtime: str = ""


class Process(msgspec.Struct, frozen=True):
    """What to run. ``name``: ``runtime``, or an extension's file name. ``arguments`` empty means the entry point of the
    function's image or runtime (/var/runtime/bootstrap, /var/task/bootstrap for provided). ``environment`` is all that it
    gets, but for what an image has in its configuration and is not given here."""

    name: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()


OnOutput = Callable[[str, str, bytes], None]
"""(sandbox, name of the process, bytes as they came): never waits."""
OnExit = Callable[[str, str, int, bool], None]
"""(sandbox, name of the process, exit code, -n for signal n, whether it was out of memory)."""


class Sources(Protocol):
    """Where functions' files come from; handed to the engine by whoever makes it."""

    async def archive(self, code: Code) -> Path:
        """The archive of a function or layer, on this machine's disk; of one that lies encrypted a copy, which the taker
        removes. Raises Permanent, Temporary."""
        ...

    async def registry(self, image: str) -> tuple[str, Registry | None]:
        """The image as this machine reaches it, and credentials to pull it with. Raises Permanent, Temporary."""
        ...


class SandboxEngine(Protocol):
    """``available`` says why not. What a process writes and how it ends is told to ``on_output`` and ``on_exit``, which are
    set before the first sandbox is made."""

    on_output: OnOutput
    on_exit: OnExit

    def available(self) -> str: ...

    async def prepare(self, function: Function) -> None:
        """Its files: archive unpacked, layers merged, image pulled, the runtime's root file system there. Raises Permanent
        in words, Temporary. Free when nothing is to be done."""
        ...

    async def obtain(
        self, function: Function, interface: Interface | None = None, shares: Mapping[str, int] | None = None
    ) -> Sandbox:
        """A sandbox that is this function's: /var/task and /opt in place, /tmp empty and bounded, memory, CPU and process
        limits set, network up. Nothing of the function runs yet. From a pool where one is ready. ``interface`` is its own
        for a function of a VPC (which is built by then); others are in a network that is Havre's. ``shares``: path below
        /mnt → the mount to be seen there, a descriptor that stays the caller's. Raises Permanent, Temporary."""
        ...

    async def run(self, id: str, process: Process) -> None:
        """Start a process in it (in a pooled one the interpreter that waits there becomes the ``runtime``). Raises
        Permanent when it cannot be started (no such file)."""
        ...

    def lines(self, id: str) -> tuple[str, int]:
        """Before anything runs in it: a path inside, and the descriptor of the Unix socket that listens there, which
        belongs to the caller. Raises Temporary, Gone."""
        ...

    def settle(self, id: str) -> None:
        """It is initialised: its CPU is in proportion to its memory from now on, where it had a whole processor and more
        before, as in AWS. The first ``freeze`` does so, too."""
        ...

    def freeze(self, id: str) -> None:
        """Nothing of it runs until ``thaw``. Both are done when they return, and are free when it is already so."""
        ...

    def thaw(self, id: str) -> None: ...

    def memory_peak(self, id: str) -> int:
        """Bytes, highest since the sandbox became the function's or was cleared. Without pages of files, which go when
        memory is needed: a file in /tmp is on a disk, as far as the function goes."""
        ...

    def cpu_used(self, id: str) -> float:
        """Seconds of processor time since the sandbox was made, 0 where it is not known (any more)."""
        ...

    def enis(self) -> Collection[str]:
        """The ENIs that its sandboxes have, or are being given: nobody else may take them away."""
        ...

    async def signal(self, id: str, name: str, number: int) -> None:
        """To a process of it, if it runs still."""
        ...

    async def clear(self, id: str) -> None:
        """All that runs in it is killed and gone when it returns; its files stay, those in /tmp too, and it can run others
        from then on, to be settled anew. Raises Temporary, Gone."""
        ...

    async def remove(self, id: str) -> None:
        """Everything in it is killed and everything of it is gone. Of one that is gone: nothing."""
        ...

    async def remove_all(self) -> None:
        """Everything that this or a former process of this instance made."""
        ...

    async def forget(self, functions: Sequence[str]) -> None:
        """Files of functions (ids) that are not needed any more may go."""
        ...

    async def keep_pool(self) -> None:
        """The engine's own loop, declared in apps: keeps sandboxes ready for the runtimes that are in use."""
        ...

    async def close(self) -> None:
        """Lets go of everything. Sandboxes end."""
        ...
