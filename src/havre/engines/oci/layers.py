"""A layer of an OCI image, unpacked as overlayfs wants its directories: whiteouts become its own kind of them.

It is tar, or tar in gzip or Zstandard, told by its first bytes. Layers are untrusted: paths that leave the directory or pass
a symbolic link are refused, device files are left out, and what all of it may take, on disk and in memory, is bounded.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

from havre.kernel.errors import Permanent

LARGEST = 10 << 30
"""Bytes, uncompressed: what Lambda takes of a whole image."""
_MOST_FILES = 1_000_000
_CAPABILITY = "SCHILY.xattr.security.capability"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_LARGEST_HEADER = 1 << 20
_IN_MEMORY = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def unpack(archive: IO[bytes], target: Path, largest: int = LARGEST) -> int:
    """``target`` appears whole, by one rename. Gives its size in bytes, uncompressed, at most ``largest``. Blocks. Raises
    Permanent, OSError."""
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unpacking-"))
    try:
        root = work / "root"
        root.mkdir()
        root.chmod(0o755)
        unpacking = _Unpacking(root, largest)
        _read(archive, unpacking)
        if not target.exists():
            root.rename(target)
        return unpacking.size
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read(archive: IO[bytes], unpacking: _Unpacking) -> None:
    """Raises Permanent for what is no layer: tarfile lets numbers through that no file's time can be."""
    peeked = _Peeked(archive)
    source: Any
    source, broken = _plain(peeked) if peeked.first == _ZSTANDARD else (peeked, EOFError)
    try:
        with tarfile.open(fileobj=source, mode="r|*", tarinfo=_Member) as opened:
            for member in opened:
                unpacking.take(opened, member)
        unpacking.end()
    except (tarfile.TarError, EOFError, ValueError, OverflowError, broken) as error:
        raise Permanent(f"a layer cannot be read: {error}") from error


class _Peeked:
    """A stream whose first bytes are known: what a program writes cannot be gone back in."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.first = self._left = stream.read(len(_ZSTANDARD))
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        left, self._left = self._left, b""
        return left or self._stream.read(size)


def _plain(archive: Any) -> tuple[Any, type[Exception]]:
    """What is in Zstandard, and how it tells of what is none. It takes 128 MiB at most, the library's bound of a window."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd  # a node that pulls no such layer does without
    return zstd.ZstdFile(archive), zstd.ZstdError


class _Member(tarfile.TarInfo):
    """What stands before an entry is read into memory whole, and may claim any size."""

    def _proc_member(self, opened: tarfile.TarFile) -> Any:
        if self.type in _IN_MEMORY and self.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(opened)  # type: ignore[misc]  # tarfile's own hook for subclasses


class _Unpacking:
    def __init__(self, root: Path, largest: int) -> None:
        self._root = root
        self._largest = largest
        self._real = {root}
        """Directories that are known to be such."""
        self._times: list[tuple[Path, float]] = []
        self._count = 0
        self.size = 0

    def take(self, opened: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._count += 1
        self.size += member.size
        if self.size > self._largest or self._count > _MOST_FILES:
            raise Permanent(f"a layer is larger than {self._largest} bytes or {_MOST_FILES} files")
        path = self._path(member.name)
        if path == self._root:
            return
        self._directory(path.parent)
        if path.name == _OPAQUE:
            os.setxattr(path.parent, "trusted.overlay.opaque", b"y")
        elif path.name.startswith(_WHITEOUT):
            hidden = path.name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise Permanent(f"a layer has a whiteout of what is not in its directory: {member.name!r}")
            self._clear(path.with_name(hidden))
            os.mknod(path.with_name(hidden), 0o600 | 0o020000, 0)
        elif member.isdir():
            self._directory(path)
            self._dress(path, member)
        else:
            self._clear(path)
            self._make(opened, member, path)

    def end(self) -> None:
        """Directories' times change while they are filled."""
        for path, mtime in reversed(self._times):
            os.utime(path, (mtime, mtime))

    def _path(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise Permanent(f"a layer has a path that leaves it: {name!r}")
        return self._root.joinpath(*parts)

    def _directory(self, path: Path) -> None:
        if path in self._real:
            return
        self._directory(path.parent)
        if not path.is_dir() or path.is_symlink():
            if os.path.lexists(path):
                raise Permanent(f"a layer has files below {str(path.relative_to(self._root))!r}, which is no directory")
            path.mkdir()
            path.chmod(0o755)
        self._real.add(path)

    def _clear(self, path: Path) -> None:
        """What a layer says twice is what it says last."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            self._real = {known for known in self._real if not known.is_relative_to(path)}
        else:
            path.unlink(missing_ok=True)

    def _make(self, opened: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.issym():
            path.symlink_to(member.linkname)
            os.lchown(path, member.uid, member.gid)
        elif member.islnk():
            source = self._path(member.linkname)
            self._directory(source.parent)
            if source.is_symlink() or not source.is_file():
                raise Permanent(f"a layer has a hard link to {member.linkname!r}, which is no file of it")
            os.link(source, path)
        elif member.isreg():
            source_file = opened.extractfile(member)
            assert source_file is not None, "it is a regular file"
            with path.open("xb") as file:
                shutil.copyfileobj(source_file, file, 1 << 18)
            self._dress(path, member)

    def _dress(self, path: Path, member: tarfile.TarInfo) -> None:
        os.chown(path, member.uid, member.gid)
        path.chmod(member.mode & 0o7777)
        if capability := member.pax_headers.get(_CAPABILITY):
            os.setxattr(path, "security.capability", capability.encode("utf-8", "surrogateescape"))
        if member.isdir():
            self._times.append((path, member.mtime))
        else:
            os.utime(path, (member.mtime, member.mtime))
