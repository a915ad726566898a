"""EFS volumes of a task definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from havre.services.ecs.rules.common import client

_FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8}(?:[0-9a-f]{9})?").fullmatch
_ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{8,40}").fullmatch


def check(name: str, given: Mapping[str, Any]) -> None:
    """Raises ClientException."""
    id, root = given.get("fileSystemId") or "", given.get("rootDirectory") or "/"
    if not _FILE_SYSTEM(id):
        raise client(f"Invalid 'fileSystemId' for volume '{name}': {id!r}")
    if ".." in root.split("/") or "\0" in root:
        raise client(f"Invalid 'rootDirectory' for volume '{name}': {root}")
    auth, encrypted = given.get("authorizationConfig") or {}, given.get("transitEncryption") == "ENABLED"
    point = auth.get("accessPointId") or ""
    if point and not _ACCESS_POINT(point):
        raise client(f"Invalid 'accessPointId' for volume '{name}': {point}")
    if point and root != "/":
        raise client("If accessPointId is specified, rootDirectory must be either omitted or set to /.")
    if (point or auth.get("iam") == "ENABLED") and not encrypted:
        raise client("EFS transit encryption must be enabled if an access point or EFS IAM authorization is used.")
    if given.get("transitEncryptionPort") is not None and not encrypted:
        raise client("transitEncryptionPort can only be given when transitEncryption is ENABLED.")
