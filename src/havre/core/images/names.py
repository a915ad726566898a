"""What repositories, tags and digests may be called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
HASHES: dict[str, Callable[..., Any]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
"""The digest algorithms that the registry knows."""


def is_repository(name: str) -> bool:
    """ECR's rule: 2 to 256 characters, lower-case components between slashes. So no name can leave its directory."""
    return 2 <= len(name) <= 256 and _REPOSITORY.fullmatch(name) is not None


def is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """``sha256:…`` or ``sha512:…`` in lower-case hexadecimal of the right length."""
    return _DIGEST.fullmatch(text) is not None


def algorithm(digest: str) -> str:
    return digest.partition(":")[0]


def digest_of(content: bytes, kind: str = "sha256") -> str:
    return f"{kind}:{HASHES[kind](content).hexdigest()}"
