"""Archives of functions and layers, unpacked once each. What is in them is untrusted: nothing is written outside of the
directory, nothing is followed, sizes are bounded as in AWS."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from havre.kernel.errors import Permanent

if TYPE_CHECKING:
    import zipfile

LARGEST = 262_144_000
"""Bytes, unzipped, as in AWS."""
_MOST_FILES = 200_000
_PIECE = 1 << 20
_LONGEST_LINK = 4095
_UNREADABLE = "Could not unzip uploaded file. Please check your file, then try again"
_ITS_FAULT = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""A file that is a directory as well, a name that no file can have."""


def unpack(archive: Path, target: Path) -> None:
    """``target`` appears whole, by one rename. Blocks. Raises Permanent for what is broken or too large, OSError."""
    import zipfile  # a node that unpacks nothing does without

    if target.exists():
        return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpacking-"))
    try:
        root = work / "root"
        root.mkdir()
        root.chmod(0o755)
        try:
            with zipfile.ZipFile(archive) as opened:
                _Unpacking(root).all(opened)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
            raise Permanent(f"{_UNREADABLE}: {error}") from None
        except OSError as error:
            if error.errno not in _ITS_FAULT:
                raise
            raise Permanent(f"{_UNREADABLE}: {error.strerror}") from None
        if not target.exists():
            root.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


class _Unpacking:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = LARGEST

    def all(self, opened: zipfile.ZipFile) -> None:
        entries = opened.infolist()
        if len(entries) > _MOST_FILES:
            raise Permanent(f"the archive has more than {_MOST_FILES} files")
        links: dict[Path, zipfile.ZipInfo] = {}
        for entry in entries:
            path = self._path(entry.filename)
            mode = entry.external_attr >> 16
            if entry.is_dir():
                directory(path)
                path.chmod(0o755)
            elif stat.S_ISLNK(mode):
                links[path] = entry
            else:
                directory(path.parent)
                with opened.open(entry) as source:
                    self._file(source, path, stat.S_IMODE(mode) if mode else 0o644)
        for path, entry in links.items():  # at the end: nothing is written through them, themselves included
            if not links.keys().isdisjoint(path.parents):
                raise Permanent(f"the archive has a path behind a symbolic link of its own: {entry.filename!r}")
            directory(path.parent)
            with opened.open(entry) as source:
                self._link(path, source.read(_LONGEST_LINK + 1))

    def _path(self, name: str) -> Path:
        pure = PurePosixPath(name.replace("\\", "/"))
        if not name or pure.is_absolute() or ".." in pure.parts or "\0" in name:
            raise Permanent(f"the archive has a path that leaves it: {name!r}")
        return self._root / pure

    def _file(self, source: IO[bytes], path: Path, mode: int) -> None:
        path.unlink(missing_ok=True)
        with path.open("xb") as file:
            while piece := source.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise Permanent(f"Unzipped size must be smaller than {LARGEST} bytes")
                file.write(piece)
        # the function's user can read it, whatever made the archive: Python's zipfile writes 0600 unless told otherwise
        path.chmod(mode & 0o755 | 0o444)

    def _link(self, path: Path, target: bytes) -> None:
        if len(target) > _LONGEST_LINK or b"\0" in target:
            raise Permanent("the archive has a symbolic link that is none")
        if not os.path.lexists(path):
            path.symlink_to(os.fsdecode(target))


def directory(path: Path) -> None:
    """With those above, readable by everybody whatever this process's mask is."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        each.mkdir()
        each.chmod(0o755)
