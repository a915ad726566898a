"""The store (small blobs with it), the journal and records on SQLite: WAL, synchronous FULL, group commit, one writer.

The promise: what was acknowledged survives ``kill -9`` and power loss; what the disk refused never was. A file that another
process writes is not opened.
"""

from havre.store.sqlite.journal import SqliteJournal
from havre.store.sqlite.records import SqliteRecords
from havre.store.sqlite.store import SqliteStore

__all__ = ["SqliteJournal", "SqliteRecords", "SqliteStore"]
