"""Where uploads lie: files in sixteen directories, which the file system is asked to keep far apart.

A file system looks for a new file's inode near its directory. Where many others make and remove files (ext4 passes over
each inode that was freed a moment ago), that search was a quarter of the time that pushes of a mebibyte cost.
"""

from __future__ import annotations

import array
import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SHARDS = "0123456789abcdef"
"""First characters of an upload's name, which is random there."""
_GET_FLAGS, _SET_FLAGS, _TOP = 0x80086601, 0x40086602, 0x00020000
"""Linux's FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_TOPDIR_FL: what lies in these directories does not belong together."""


class Incoming:
    def __init__(self, root: Path) -> None:
        self._folders = {shard: root / shard for shard in SHARDS}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _part(root)
        for folder in self._folders.values():
            folder.mkdir(mode=0o700, exist_ok=True)

    def folder(self, name: str) -> Path:
        """Where a file of this name lies; it begins with one of SHARDS."""
        return self._folders[name[0]]

    def files(self) -> Iterator[tuple[str, float]]:
        """(name, time of its last change) of each."""
        for folder in self._folders.values():
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        yield entry.name, entry.stat().st_mtime


def _part(directory: Path) -> None:
    """Its subdirectories shall lie apart; where the file system knows no such thing they lie as they do."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(opened, _GET_FLAGS, flags)
        flags[0] |= _TOP
        fcntl.ioctl(opened, _SET_FLAGS, flags)
    except OSError:
        return
    finally:
        os.close(opened)
