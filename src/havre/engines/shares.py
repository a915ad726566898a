"""Directories of file systems, mounted for containers and functions.

The rule: no path leaves its file system. Paths are resolved beneath its root by the kernel (openat2), symbolic links too,
and what was resolved is what is mounted: whoever exchanges a directory for a link meanwhile gains nothing. Who acts as
another user does so by a mount that maps ids (Linux 5.12 and later).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import stat
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from havre.kernel.errors import Permanent, Temporary
from havre.kernel.workload import Share

T = TypeVar("T")
NOBODY = (65534, 65534)
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_BENEATH, _NO_MAGIC_LINKS = 0x08, 0x02
_CLONE, _EMPTY_PATH = 0x01, 0x1000
_FROM_EMPTY = 0x04
_RDONLY, _NOSUID, _NODEV, _IDMAP = 0x01, 0x02, 0x04, 0x100000
_DETACH = 2
_PATIENCE = 10.0
_IDS = 2**32 - 1
_libc = ctypes.CDLL(None, use_errno=True)


class Shares:
    """``directory`` has a directory for each file system; ``mounts`` is where containers get theirs from."""

    def __init__(self, directory: Path, mounts: Path) -> None:
        self._directory = directory
        self._mounts = mounts
        self._making = asyncio.Lock()

    def at(self, share: Share, user: tuple[int, int] | None) -> Path:
        """Where it is mounted for a container that runs as ``user`` (uid, gid), None where that is not known."""
        as_whom = acting(share, user)
        return self._mounts / sha256(msgspec.msgpack.encode((share, as_whom))).hexdigest()[:32]

    async def ensure(self, share: Share, user: tuple[int, int] | None) -> None:
        """Mounted there; free when it is already. Raises Permanent in words, Temporary."""
        async with self._making:
            await asyncio.to_thread(_told, share, lambda: self._mount(share, user))

    async def open(self, share: Share, user: tuple[int, int] | None) -> int:
        """A mount of it that is nowhere yet, as a descriptor: whoever gets it closes it. Raises Permanent, Temporary."""
        return await asyncio.to_thread(_told, share, lambda: self._tree(share, user))

    def release(self) -> None:
        """What containers have they keep; everything else is unmounted. Raises OSError."""
        for path in _mounted(self._mounts):
            _check(_libc.umount2(os.fsencode(path), _DETACH))
            path.rmdir()

    def _mount(self, share: Share, user: tuple[int, int] | None) -> None:
        target = self.at(share, user)
        if target in _mounted(self._mounts):
            return
        tree = self._tree(share, user)
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mounts.chmod(0o711)
            _call(_MOVE_MOUNT, tree, b"", -100, os.fsencode(target), _FROM_EMPTY)
        finally:
            os.close(tree)

    def _tree(self, share: Share, user: tuple[int, int] | None) -> int:
        directory = self._open(share)
        try:
            tree = _call(_OPEN_TREE, directory, b"", _CLONE | _EMPTY_PATH | os.O_CLOEXEC)
        finally:
            os.close(directory)
        try:
            _set(tree, _NOSUID | _NODEV | (_RDONLY if share.read_only else 0))
            as_whom = acting(share, user)
            if as_whom is not None:
                _map(tree, *as_whom)
        except BaseException:
            os.close(tree)
            raise
        return tree

    def _open(self, share: Share) -> int:
        """The directory itself. Raises OSError."""
        at = os.open(self._directory / share.file_system, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        parts = [part for part in share.path.split("/") if part]
        try:
            for n, part in enumerate(parts):
                try:
                    following = _beneath(at, part)
                except FileNotFoundError:
                    if share.owner is None:
                        raise
                    # those above the last are root's, as AWS makes them
                    _make(at, part, share.owner if n == len(parts) - 1 else (0, 0, 0o755))
                    following = _beneath(at, part)
                os.close(at)
                at = following
        except BaseException:
            os.close(at)
            raise
        return at


def acting(share: Share, user: tuple[int, int] | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(who he is, as whom he acts), None where nothing is mapped."""
    if share.user is not None:
        return (user, share.user) if user is not None and user != share.user else None
    if share.squashed and (user is None or user[0] == 0):
        return ((0, 0) if user is None else user, NOBODY)
    return None


def _told(share: Share, do: Callable[[], T]) -> T:
    """Errors in words. Raises Permanent, Temporary."""
    if os.geteuid() != 0:
        raise Permanent("file systems need root: they are mounted")
    try:
        return do()
    except (FileNotFoundError, NotADirectoryError):
        why = "No such file or directory"
    except OSError as error:
        if error.errno in (18, 40):  # EXDEV, ELOOP: the path leads out of the file system
            why = "access denied by server: the path leads out of the file system"
        elif error.errno in (22, 38, 95) and acting(share, (0, 0)) is not None:
            why = "this kernel or the state's file system cannot map ids (Linux 5.12 and ext4, xfs or btrfs can)"
        else:
            raise Temporary(f"{share.file_system} cannot be mounted: {error.strerror}") from error
    raise Permanent(f"mounting {share.file_system}:{share.path} failed, reason given by server: {why}")


def _check(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _call(number: int, *arguments: int | bytes | ctypes.c_size_t) -> int:
    return _check(_libc.syscall(number, *arguments))


def _beneath(at: int, part: str) -> int:
    """One step, which no symbolic link leads elsewhere: one that leads below the same directory is followed."""
    how = struct.pack("QQQ", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _BENEATH | _NO_MAGIC_LINKS)
    return _call(_OPENAT2, at, os.fsencode(part), how, ctypes.c_size_t(len(how)))


def _make(at: int, part: str, owner: tuple[int, int, int]) -> None:
    uid, gid, mode = owner
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=at)
        made = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            os.fchown(made, uid, gid)
            os.fchmod(made, stat.S_IMODE(mode))
        finally:
            os.close(made)


def _set(tree: int, attributes: int, namespace: int = 0) -> None:
    what = struct.pack("QQQQ", attributes, 0, 0, namespace)
    _call(_MOUNT_SETATTR, tree, b"", _EMPTY_PATH, what, ctypes.c_size_t(len(what)))


def id_map(who: int, acts: int, alone: bool) -> str:
    """Lines of uid_map: id on the disk, id that is seen, how many. ``alone``: nobody else has an id; else the two change
    places, and everybody else is himself."""
    if alone:
        return f"{acts} {who} 1\n"
    low, high = sorted((who, acts))
    ranges = [(0, 0, low), (low, high, 1), (low + 1, low + 1, high - low - 1), (high, low, 1)]
    ranges.append((high + 1, high + 1, _IDS - high - 1))
    if low == high:
        ranges = [(0, 0, _IDS)]
    return "".join(f"{disk} {seen} {count}\n" for disk, seen, count in ranges if count > 0)


def _map(tree: int, who: tuple[int, int], acts: tuple[int, int]) -> None:
    """On the disk it is ``acts`` who acts, and whoever looks sees ``who``. Where that is root, nobody else has an id there,
    so that root's power ends with the files of ``acts``."""
    arguments = ["unshare", "--user", "--", "sh", "-c", "echo; read _"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdin is not None and held.stdout is not None
        if not held.stdout.readline():
            raise OSError(95, "no user namespace can be made")
        for name, n in (("uid_map", 0), ("gid_map", 1)):
            Path(f"/proc/{held.pid}/{name}").write_text(id_map(who[n], acts[n], who[0] == 0))
        namespace = os.open(f"/proc/{held.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set(tree, _IDMAP, namespace)
        finally:
            os.close(namespace)
            held.stdin.close()
            held.wait(_PATIENCE)


def _mounted(below: Path) -> set[Path]:
    """Mount points right below a directory."""
    found = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split(" ")[4].encode().decode("unicode_escape"))
        if point.parent == below:
            found.add(point)
    return found
