"""Archives of code: is it one, how large is it unpacked, does it stay where it is put? Nothing is unpacked here."""

from __future__ import annotations

import io
import posixpath
import zipfile

from havre.services.lambda_.errors import invalid

ZIPPED = 52_428_800
"""Bytes of an archive that comes in the request itself."""
UNZIPPED = 262_144_000
"""Bytes of a function's code and its layers, unpacked; and the bound of an archive that comes from S3."""
MOST_ENTRIES = 200_000
_LONGEST_NAME = 255
"""Bytes of one part of a path."""
_BEST_RATIO = 1032
"""Deflate cannot do better: what claims to be larger is lying."""


def unreadable() -> Exception:
    return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")


def too_large() -> Exception:
    return invalid(f"Unzipped size must be smaller than {UNZIPPED} bytes")


def unzipped_size(data: bytes) -> int:
    """Bytes of all its files. Raises ApiError for what is no archive, is too large unpacked, or would write elsewhere than
    into its own directory."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OSError, NotImplementedError, IndexError):
        raise unreadable() from None
    if not entries or len(entries) > MOST_ENTRIES:
        raise unreadable()
    size = 0
    for entry in entries:
        _check_entry(entry)
        size += entry.file_size
    if sum(e.compress_size for e in entries) > len(data):
        raise unreadable()  # entries that share bytes: an archive that unpacks to more than it can hold
    if size >= UNZIPPED:
        raise too_large()
    _check_places(entries)
    return size


def _check_entry(entry: zipfile.ZipInfo) -> None:
    stored = entry.compress_type == zipfile.ZIP_STORED
    if entry.flag_bits & 0x1 or not (stored or entry.compress_type == zipfile.ZIP_DEFLATED):
        raise unreadable()
    if entry.file_size > (entry.compress_size if stored else entry.compress_size * _BEST_RATIO):
        raise unreadable()


def _check_places(entries: list[zipfile.ZipInfo]) -> None:
    """No entry above the directory that it is unpacked to, none behind a file or a symbolic link of the same archive, and
    no name that no file can have."""
    if not all(entry.filename for entry in entries):
        raise unreadable()
    files = {posixpath.normpath(e.filename) for e in entries if not e.is_dir()}
    checked = {""}
    for entry in entries:
        name = entry.filename
        if "\\" in name or "\0" in name or not inside(name):
            raise unreadable()
        if any(len(part) > _LONGEST_NAME for part in name.encode("utf-8", "replace").split(b"/")):
            raise unreadable()
        whole = posixpath.normpath(name)
        parent = whole if entry.is_dir() else posixpath.dirname(whole)
        while parent not in checked:
            if parent in files:
                raise unreadable()
            checked.add(parent)
            parent = posixpath.dirname(parent)


def inside(name: str) -> bool:
    """Whether a path of an archive stays below the directory that it is unpacked to."""
    return not name.startswith("/") and ".." not in name.split("/")
