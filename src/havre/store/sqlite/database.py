"""One SQLite file with one writer: opening it, its lock, its permissions, its migrations."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from havre.kernel.errors import Permanent, Temporary

CHECKPOINT_PAGES = 2000
"""Pages of 4 KiB in the write-ahead log after which they are written back."""


class Database:
    """``writer`` is the connection that writes; ``reader`` a second one that sees what is committed, opened when needed."""

    def __init__(self, path: Path, lock: int, writer: apsw.Connection, vfs: str | None) -> None:
        self.path = path
        self.writer = writer
        self.log_pages = 0
        self._vfs = vfs
        self._lock = lock
        self._reader: apsw.Connection | None = None
        self._copier: apsw.Connection | None = None
        writer.set_wal_hook(self._committed)

    @classmethod
    def open(cls, path: Path, migrations: Sequence[str], vfs: str | None = None, *, shrinks: bool = False) -> Database:
        """Creates what is missing. Raises Permanent when another process has it, or a newer Havre has made it.

        A file that ``shrinks`` can give free pages back (``PRAGMA incremental_vacuum``); that is settled when it is made.
        """
        lock = _lock(path)
        try:
            if not path.exists():
                _create(path)
            writer = apsw.Connection(os.fspath(path), vfs=vfs)
            try:
                vacuum = "auto_vacuum=incremental" if shrinks else "auto_vacuum=none"
                for pragma in (vacuum, "journal_mode=wal", "synchronous=full", "wal_autocheckpoint=0"):
                    writer.execute(f"PRAGMA {pragma}").fetchall()
                migrate(writer, migrations)
            except BaseException:
                writer.close()
                raise
        except apsw.Error as error:
            os.close(lock)
            raise Permanent(f"{path} cannot be opened: {error}") from error
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock, writer, vfs)

    @property
    def reader(self) -> apsw.Connection:
        if self._reader is None:
            self._reader = apsw.Connection(os.fspath(self.path), vfs=self._vfs)
            self._reader.execute("PRAGMA query_only=1").fetchall()
        return self._reader

    def _committed(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self.log_pages = pages
        return 0

    def copy_log(self) -> None:
        """Write the log back into the file as far as it goes. For a thread of its own: the writer may write meanwhile. The
        log starts over only after a ``checkpoint``, which has less to do then."""
        if self._copier is None:
            self._copier = apsw.Connection(os.fspath(self.path), vfs=self._vfs)
            self._copier.execute("PRAGMA synchronous=full").fetchall()
            # opens the log, of which the connection knows nothing yet
            self._copier.execute("SELECT 1 FROM sqlite_schema").fetchall()
        self._copier.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def checkpoint(self) -> None:
        """Write the log back into the file, so that the log starts over. Blocks for some milliseconds."""
        self.log_pages = 0  # a failure is tried again after the next commit, which counts the pages anew
        self.writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def roll_back(self) -> None:
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def close(self) -> None:
        for connection in (self._reader, self._copier):
            if connection is not None:
                connection.close()
        self.writer.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    """Held as long as the process lives: a second writer would have an image of its own."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = path.with_name(path.name + ".lock")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise Permanent(f"{path} is in use by process {holder or 'unknown'}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def migrate(connection: apsw.Connection, migrations: Sequence[str]) -> None:
    """Run the numbered migrations that this file has not seen, each in a transaction of its own."""
    version = int(connection.execute("PRAGMA user_version").fetchall()[0][0])  # type: ignore[arg-type]
    if version > len(migrations):
        raise Permanent(
            f"{connection.filename} was written by a newer Havre (schema {version}, known {len(migrations)})"
        )
    for number, script in enumerate(migrations[version:], version + 1):
        with connection:
            connection.execute(script)
            connection.execute(f"PRAGMA user_version={number}")


def refused(error: Exception) -> Temporary:
    """What a caller gets when the disk does not take his write."""
    return Temporary(f"the disk did not take the write: {error}")
