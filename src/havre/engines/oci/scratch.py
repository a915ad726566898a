"""The disk behind a sandbox's /tmp: a file without a name that becomes an ext4 of the function's size, as in AWS on disk.

A tmpfs would be counted as the function's memory: 512 MiB in /tmp would kill one with 128. A file system with project
quotas for all would be cheaper still, but many kernels are built without. Where there are no loop devices it is a tmpfs.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from havre.kernel.errors import Temporary

_PER_INODE = 16384
"""Bytes of the disk."""
_OPTIONS = ("-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode,^quota", "-m", "0", "-I", "256", "-b", "4096")
_MOST_RESERVED = 16
"""MiB, beside a fiftieth of the disk, that ext4 lets nobody have."""


def why_not() -> str:
    """ "" when sandboxes can have disks."""
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices"
    if not any(Path(p, "mke2fs").exists() for p in ("/usr/sbin", "/sbin")):
        return "mke2fs is not installed (Debian: e2fsprogs)"
    return ""


class Scratch:
    """``owner`` is whose the disks' top directory is. Each size is formatted once."""

    def __init__(self, directory: Path, owner: tuple[int, int]) -> None:
        self._directory = directory
        self._owner = owner

    def disk(self, size: int) -> int:
        """A descriptor of a fresh one, with room for ``size`` MiB of files. Blocks for a millisecond. Raises Temporary."""
        try:
            template = self._template(size)
            fd = os.open(self._directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
            try:
                _copy_sparse(template, fd)
            except BaseException:
                os.close(fd)
                raise
            return fd
        except (OSError, subprocess.SubprocessError) as error:
            raise Temporary(f"no disk for /tmp can be made: {error}") from error

    def _template(self, size: int) -> Path:
        whole = _whole(size)
        path = self._directory / f"{whole}.ext4"
        if not path.exists():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            made, name = tempfile.mkstemp(prefix=f"{size}.", dir=self._directory)  # several threads may be at it
            fresh = Path(name)
            with open(made, "wb") as file:
                file.truncate(whole << 20)
            uid, gid = self._owner
            extended = f"lazy_itable_init=1,nodiscard,root_owner={uid}:{gid}"
            subprocess.run(
                ["mke2fs", *_OPTIONS, "-i", str(_PER_INODE), "-E", extended, str(fresh)],
                check=True,
                capture_output=True,
                env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
            )
            fresh.rename(path)
        return path


def _whole(size: int) -> int:
    """MiB of a disk on which ``size`` MiB of files have room: what the file system itself takes comes on top, as in AWS."""
    inodes = -(-size * 256 // _PER_INODE)
    return size + inodes + min(-(-size // 50), _MOST_RESERVED) + 3 + size // 1024


def _copy_sparse(source: Path, target: int) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        os.ftruncate(target, size)
        at = 0
        while at < size:
            try:
                start = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            end = os.lseek(fd, start, os.SEEK_HOLE)
            while start < end:
                start += os.copy_file_range(fd, target, end - start, start, start)
            at = end
    finally:
        os.close(fd)
