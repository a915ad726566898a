"""A cluster's executeCommandConfiguration: what is refused, and where sessions are written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.terminals.sessions import Transcript
from havre.kernel.errors import not_built
from havre.services.ecs.rules.common import invalid, one_of

Json = Mapping[str, Any]
MEMBER = "executeCommandConfiguration"
_NOT_BUILT = ("s3EncryptionEnabled", "cloudWatchEncryptionEnabled")
"""Havre's log groups are not encrypted by keys, and a bucket's encryption says nothing about its disk."""


def check(given: Json | None, operation: str) -> None:
    """Raises InvalidParameterException, NotImplementedException."""
    configuration = (given or {}).get(MEMBER)
    if not configuration:
        return
    if configuration.get("kmsKeyId"):
        raise not_built("ecs", f"{operation} configuration.{MEMBER}.kmsKeyId")
    logging = one_of(configuration.get("logging"), ("NONE", "DEFAULT", "OVERRIDE"), "logging") or "DEFAULT"
    target = configuration.get("logConfiguration") or {}
    for member in _NOT_BUILT:
        if target.get(member):
            raise not_built("ecs", f"{operation} configuration.{MEMBER}.logConfiguration.{member}")
    if logging == "OVERRIDE" and not (target.get("cloudWatchLogGroupName") or target.get("s3BucketName")):
        raise invalid("A logConfiguration must be specified when logging is OVERRIDE.")
    if logging != "OVERRIDE" and target:
        raise invalid("A logConfiguration can be specified only when logging is OVERRIDE.")


def transcript(configuration: Json, container: Json, region: str, role: str) -> Transcript | None:
    """Where what a session in this container shows is kept; None for nowhere. DEFAULT is the container's own awslogs
    group."""
    told = configuration.get(MEMBER) or {}
    logging = told.get("logging") or "DEFAULT"
    if logging == "OVERRIDE":
        target = told["logConfiguration"]
        names = (target.get(n) or "" for n in ("s3BucketName", "s3KeyPrefix"))
        return Transcript(target.get("cloudWatchLogGroupName") or "", role, *names)
    log = container.get("logConfiguration") or {}
    options = log.get("options") or {}
    if logging == "NONE" or log.get("logDriver") != "awslogs" or options.get("awslogs-region", region) != region:
        return None
    return Transcript(options["awslogs-group"], role)
