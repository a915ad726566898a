"""Archives of functions and layers on the server's disk, each under the digest of its content."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from havre.kernel.errors import Gone, Temporary

YOUNG = 3600.0
"""Seconds for which an archive is kept that no record names: the record may be about to be written."""


class DiskCodeStore:
    """``CodeStore`` in one directory: content-addressed, so what is there is whole and never changes."""

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self._directory = directory
        self._now = now

    async def put(self, data: bytes) -> str:
        """Raises Temporary when the disk refuses."""
        return await asyncio.to_thread(self._put, data)

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._directory / digest
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if path.exists():
                os.utime(path)  # young again: the sweep lets it be until a record names it
            else:
                self._write(path, data)
        except OSError as error:
            raise Temporary(f"cannot keep code: {error.strerror or error}") from error
        return digest

    def _write(self, path: Path, data: bytes) -> None:
        """Whole or not at all, durable with its name."""
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def path(self, digest: str) -> Path:
        """Raises Gone."""
        path = self._directory / digest
        if len(digest) != 64 or not digest.isalnum() or not path.is_file():
            raise Gone(f"no code with the digest {digest}")
        return path

    async def sweep(self, used: set[str]) -> None:
        await asyncio.to_thread(self._sweep, used)

    def _sweep(self, used: set[str]) -> None:
        before = self._now() - YOUNG
        for path in self._directory.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.name not in used and path.stat().st_mtime < before:
                    path.unlink()
