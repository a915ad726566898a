"""What an installation is born with: the root credentials of its accounts and the secret that sessions rest on.

Files in the state directory, mode 0600, written whole or not at all; neither is ever in the store, a log or a listing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import msgspec

from havre.core.credentials import access_key_id, secret_key

ROOT_FILE = "root-credentials.json"
SECRET_FILE = "instance-secret"  # noqa: S105 (the name of a file)


class RootKey(msgspec.Struct, frozen=True):
    account: str
    access_key: str
    secret: str

    def __repr__(self) -> str:
        return f"RootKey(account={self.account!r}, access_key={self.access_key!r}, secret=<hidden>)"


def ensure_root(state: Path, account: str) -> RootKey:
    """The root access key of ``account``, made when there is none yet."""
    keys = load_roots(state)
    for key in keys:
        if key.account == account:
            return key
    made = RootKey(account, access_key_id("AKIA", account, secrets.token_bytes(5)), secret_key(secrets.token_bytes(30)))
    _write(state / ROOT_FILE, msgspec.json.format(msgspec.json.encode([*keys, made]), indent=2))
    return made


def load_roots(state: Path) -> tuple[RootKey, ...]:
    """The root access keys of every account of this installation. Raises ValueError for a damaged file."""
    path = state / ROOT_FILE
    if not path.exists():
        return ()
    return tuple(msgspec.json.decode(path.read_bytes(), type=list[RootKey]))


def ensure_secret(state: Path) -> bytes:
    """The installation's secret, made at the first start."""
    path = state / SECRET_FILE
    if not path.exists():
        _write(path, secrets.token_bytes(32))
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
