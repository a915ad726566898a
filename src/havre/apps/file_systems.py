"""The directories of file systems (``Shelf`` of services/efs), on this machine's disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from havre.kernel.errors import Temporary

_BLOCK = 512


class DiskShelf:
    """``directory`` has one directory a file system; only root can enter it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def make(self, file_system: str) -> None:
        await self._try(lambda: self._make(file_system))

    def _make(self, file_system: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / file_system
        if not path.is_dir():
            path.mkdir()
            path.chmod(0o755)
            _sync(self._directory)

    async def remove(self, file_system: str) -> None:
        await self._try(lambda: self._remove(file_system))

    def _remove(self, file_system: str) -> None:
        path, gone = self._directory / file_system, self._directory / f".gone-{file_system}"
        if path.is_dir():
            path.rename(gone)  # nobody mounts half of it
        if gone.is_dir():
            from shutil import rmtree  # it brings three compressors, a mebibyte that a server at rest does not need

            rmtree(gone)

    async def reset(self) -> None:
        """All of them go."""
        if self._directory.is_dir():
            for name in await asyncio.to_thread(os.listdir, self._directory):
                await self.remove(name.removeprefix(".gone-"))

    async def size(self, file_system: str) -> int:
        found: list[int] = []
        await self._try(lambda: found.append(_size(self._directory / file_system)))
        return found[0]

    async def _try(self, do: object) -> None:
        assert callable(do)
        try:
            await asyncio.to_thread(do)
        except OSError as error:
            raise Temporary(f"the files of file systems: {error.strerror}", 10) from error


def _size(directory: Path) -> int:
    """Of its files; what comes and goes meanwhile may be counted or not."""
    total = 0
    for _, _, files, at in os.fwalk(directory):
        for name in files:
            try:
                total += os.stat(name, dir_fd=at, follow_symlinks=False).st_blocks * _BLOCK
            except FileNotFoundError:
                continue
    return total


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
