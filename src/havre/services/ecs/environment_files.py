"""Containers' ``environmentFiles``: read from S3 by the permissions of the execution role.

Like secrets (``secrets.py``): read once before the task goes to a node, which says why it cannot start, and again when its
node makes the container; what is in them is in no record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.bodies import whole
from havre.control.operation import Aws
from havre.kernel.errors import ApiError, Permanent, Temporary
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.rules.overrides import overridden
from havre.services.ecs.secrets import Caller
from havre.services.ecs.workload import role

LARGEST = 1 << 20
"""Bytes of one file."""
FAILED = "ResourceInitializationError: failed to download env files: file download command: non empty error stream: "


async def problem(caller: Caller, task: TaskRecord, body: Mapping[str, Any]) -> str:
    """Why the task cannot start, "" if nothing is wrong with its files."""
    made = [overridden(c, task.spec.overrides) for c in body["containerDefinitions"]]
    files = [f["value"] for c in made for f in c.get("environmentFiles", ())]
    if not files:
        return ""
    m = task.meta
    execution = role(body, task.spec.overrides, "executionRoleArn", m.account)
    try:
        await variables(caller, (m.account, m.region, execution, m.name), list(dict.fromkeys(files)))
    except Permanent as refused:
        return f"{FAILED}{refused.reason}"
    return ""


async def variables(caller: Caller, who: tuple[str, str, str, str], files: Sequence[str]) -> dict[str, str]:
    """What the files say; of a variable that several have, what the first one says. ``who`` and what is raised: as
    ``secrets.values`` has it."""
    account, region, execution, task = who
    if not execution:
        raise Permanent("unable to find execution role credentials")
    found: dict[str, str] = {}
    try:
        aws = await caller(account, region, execution, task)
        for file in files:
            found = {**_read(await _text(aws, file)), **found}
    except ApiError as refusal:
        if refusal.status is not None and refusal.status >= 500:
            raise Temporary(refusal.message or refusal.code) from None
        raise Permanent(f"{refusal.code}: {refusal.message}") from None
    return found


async def _text(aws: Aws, file: str) -> str:
    bucket, _, key = file.split(":::", 1)[1].partition("/")
    answer = await aws("s3", "GetObject", {"Bucket": bucket, "Key": key})
    data = await whole(answer["Body"], LARGEST)
    if data is None:
        raise Permanent(f"{file} has more than {LARGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Permanent(f"{file} is no text in UTF-8") from None


def _read(text: str) -> dict[str, str]:
    """As the ECS agent does: lines of NAME=VALUE, all behind the first "=" as it is; others are passed over."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name and value and not line.startswith("#"):
            found[name] = value
    return found
