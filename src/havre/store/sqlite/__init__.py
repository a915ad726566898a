"""The store, the journal, records and the registry's small blobs on SQLite: WAL, synchronous FULL, group commit, one writer.

The promise: what was acknowledged survives ``kill -9`` and power loss; what the disk refused never was. A file that another
process writes is not opened.
"""

from havre.store.sqlite.journal import SqliteJournal
from havre.store.sqlite.pack import SqlitePack
from havre.store.sqlite.records import SqliteRecords
from havre.store.sqlite.store import SqliteStore

__all__ = ["SqliteJournal", "SqlitePack", "SqliteRecords", "SqliteStore"]
