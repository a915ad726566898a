"""What sessions show, in CloudWatch Logs and in S3: a stream and an object for each, written by the task's role, as the
agent in AWS's containers does."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from havre.control.deps import ReconcilerDeps
from havre.control.log_lines import put_lines
from havre.control.operation import Aws
from havre.control.terminals.sessions import Session, Transcript
from havre.core.log_batches import batches
from havre.kernel.errors import ApiError, Permanent, Temporary

log = logging.getLogger("havre.terminals")

TASKS = "ecs-tasks.amazonaws.com"
_LONGEST = 64 << 10
_GATHERED = 256 << 10
_MOST_OBJECT = 32 << 20
"""Bytes of a session that are kept for S3, where an object is written at once; the log stream has all."""
_CUT_OFF = b"(the rest is not kept)\n"
_CONTROL = re.compile(
    rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]"
)
"""What moves a cursor or rings a bell, and is no text."""


class Recorder:
    """Of one session; ``write`` may wait for what is kept."""

    def __init__(self, transcripts: Transcripts, session: Session, where: Transcript) -> None:
        self._transcripts = transcripts
        self._session = session
        self._where = where
        self._lines: list[tuple[int, bytes]] = []
        self._rest = b""
        self._size = 0
        self._object = bytearray()

    async def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._add(line)
        if self._size > _GATHERED:
            await self._flush()

    def _add(self, line: bytes) -> None:
        text = _CONTROL.sub(b"", line)
        if self._where.bucket and len(self._object) < _MOST_OBJECT:
            self._object += text + b"\n"
        if text and self._where.group:
            self._lines.append((int(self._transcripts.deps.world.now() * 1000), text))
            self._size += len(text)

    async def end(self) -> None:
        self._add(self._rest)
        await self._flush()
        if self._where.bucket:
            more = _CUT_OFF if len(self._object) >= _MOST_OBJECT else b""
            await self._transcripts.put(self._session, self._where, bytes(self._object) + more)

    async def _flush(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if lines:
            await self._transcripts.keep(self._session, self._where, lines)


class Transcripts:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self.deps = deps

    def of(self, session: Session) -> Recorder | None:
        return Recorder(self, session, session.transcript) if session.transcript is not None else None

    async def keep(self, session: Session, where: Transcript, lines: Sequence[tuple[int, bytes]]) -> None:
        """What cannot be kept is told of: a session does not end for it."""
        try:
            logs = await self._as_role(session, where)
            for events in batches(lines):
                await put_lines(logs, where.group, session.id, events)
        except (ApiError, Temporary, Permanent) as error:
            log.error("%d lines of %s are not in %s: %s", len(lines), session.id, where.group, error)

    async def put(self, session: Session, where: Transcript, text: bytes) -> None:
        """As ``prefix/session.log``."""
        key = f"{where.prefix.strip('/')}/{session.id}.log".lstrip("/")
        try:
            s3 = await self._as_role(session, where)
            await s3("s3", "PutObject", {"Bucket": where.bucket, "Key": key, "Body": text, "ContentType": "text/plain"})
        except (ApiError, Temporary, Permanent) as error:
            log.error("%s is not in the bucket %s: %s", session.id, where.bucket, error)

    async def _as_role(self, session: Session, where: Transcript) -> Aws:
        aws = self.deps.aws_for(session.account, session.region, TASKS)
        if not where.role or self.deps.aws_with is None:
            return aws
        made = await aws("sts", "AssumeRole", {"RoleArn": where.role, "RoleSessionName": session.id[:64]})
        return self.deps.aws_with(session.account, session.region, made["Credentials"])
