"""Containers' ``repositoryCredentials``: user and password of a private registry, in a secret of Secrets Manager.

Like secrets (``secrets.py``): fetched by the execution role, once before the task goes to a node and again when its node
pulls the image; they are in no record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from havre.kernel.errors import Permanent
from havre.kernel.workload import Registry
from havre.services.ecs.life import INITIALIZATION
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.secrets import Caller, Place, fetched, place_of
from havre.services.ecs.workload import role

DOCKER_HUB = "docker.io"


async def problem(caller: Caller, task: TaskRecord, body: Mapping[str, Any]) -> str:
    """Why the task cannot start, "" if nothing is wrong with its credentials."""
    m = task.meta
    who = m.account, m.region, role(body, task.spec.overrides, "executionRoleArn", m.account), m.name
    for each in body["containerDefinitions"]:
        if given := each.get("repositoryCredentials"):
            try:
                await credentials(caller, who, given["credentialsParameter"], each["image"])
            except Permanent as refused:
                return f"{INITIALIZATION}{refused.reason}"
    return ""


async def credentials(caller: Caller, who: tuple[str, str, str, str], secret: str, image: str) -> Registry:
    """``who`` and what is raised: as ``secrets.values`` has it."""
    named = not secret.startswith("arn:")
    place = Place("secretsmanager", who[1], secret) if named else place_of(secret, who[1])
    text = (await fetched(caller, who, {secret: place}))[secret]
    try:
        said = json.loads(text)
        return Registry(_host(image), str(said["username"]), str(said["password"]))
    except (ValueError, KeyError, TypeError):
        raise Permanent(
            f"unable to retrieve secret from asm: secret {place.id} is no JSON object with a username and a password"
        ) from None


def _host(image: str) -> str:
    """As Docker reads it."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB
