"""Where the files of file systems are."""

from __future__ import annotations

from typing import Protocol


class Shelf(Protocol):
    """Directories, one a file system. All raise Temporary when the disk refuses."""

    async def make(self, file_system: str) -> None:
        """Empty, owned by root; one that is there is left as it is."""
        ...

    async def remove(self, file_system: str) -> None:
        """With everything in it; one that is not there is no error."""
        ...

    async def size(self, file_system: str) -> int:
        """Bytes of its files."""
        ...
