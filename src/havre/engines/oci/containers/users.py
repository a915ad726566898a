"""Who a container runs as, read from its own /etc/passwd and /etc/group; and paths in its root that cannot leave it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from havre.kernel.errors import Permanent

_MOST_LINKS = 40
_LARGEST = 1 << 20


class User(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def within(root: Path, path: str) -> Path:
    """Where a path of the container is, its symbolic links read as the container would. Nothing else may be changing the
    root. Raises Permanent when they go round in circles."""
    parts, at, links = [p for p in path.split("/") if p not in ("", ".")][::-1], root, 0
    while parts:
        part = parts.pop()
        if part == "..":
            at = at.parent if at != root else root
            continue
        following = at / part
        if following.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise Permanent(f"too many levels of symbolic links: {path}")
            target = str(following.readlink())
            at = root if target.startswith("/") else at
            parts += [p for p in target.split("/") if p not in ("", ".")][::-1]
        else:
            at = following
    return at


def resolve(root: Path, said: str) -> User:
    """``user``, ``user:group``, as names or numbers. Raises Permanent in Docker's words."""
    name, _, group = said.partition(":")
    uid, gid, home, known = 0, 0, "", name
    for entry in _lines(root, "/etc/passwd", 7):
        if entry[0] == name or entry[2] == (name or "0"):
            uid, gid, home, known = int(entry[2]), int(entry[3]), entry[5], entry[0]
            break
    else:
        uid = _number(name or "0", f"unable to find user {name}: no matching entries in passwd file")
    if group:
        gid = _group(root, group)
        return User(uid, gid, (gid,), home or "/")
    more = [int(g[2]) for g in _lines(root, "/etc/group", 4) if known and known in g[3].split(",")]
    return User(uid, gid, tuple(sorted({gid, *more})), home or ("/root" if uid == 0 else "/"))


def _group(root: Path, group: str) -> int:
    for entry in _lines(root, "/etc/group", 3):
        if group in (entry[0], entry[2]):
            return int(entry[2])
    return _number(group, f"unable to find group {group}: no matching entries in group file")


def _number(text: str, otherwise: str) -> int:
    if text.isdecimal() and int(text) < 1 << 31:
        return int(text)
    raise Permanent(otherwise)


def _lines(root: Path, path: str, fields: int) -> Iterator[list[str]]:
    try:
        with within(root, path).open(errors="replace") as file:
            text = file.read(_LARGEST)
    except OSError:
        return
    for line in text.splitlines():
        entry = line.split(":")
        if len(entry) >= min(fields, 4) and entry[2].isdecimal():
            if fields == 7 and not (len(entry) >= 6 and entry[3].isdecimal()):
                continue
            yield [*entry, "", "", ""]
