"""``havre lambda logs``: what a function wrote, and goes on writing."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from havre.cli.aws import Clients
from havre.cli.client import ask

EVERY = 0.5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LATE = 10_000
"""Milliseconds that are looked at again: events of several streams do not come in the order of their times."""


def since(text: str) -> float:
    """Seconds: ``90s``, ``10m``, ``2h``, ``1d``. Raises ValueError."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise ValueError(f"{text} is no span of time: 90s, 10m, 2h, 1d")
    return int(found[1]) * _UNITS[found[2]]


def logs(clients: Clients, name: str, *, pattern: str, back: float, follow: bool) -> int:
    """Until there is no more, or until it is interrupted."""
    try:
        found = clients("lambda").get_function_configuration(FunctionName=name)
        for reason in unwritten(clients.state, str(found["FunctionArn"])):
            print(f"havre lambda logs: {reason}", file=sys.stderr)
        group = str(found["LoggingConfig"]["LogGroup"])
        for event in events(clients("logs"), group, pattern, back, follow=follow):
            sys.stdout.write(line(event) + "\n")
            sys.stdout.flush()
    except (ClientError, BotoCoreError) as error:
        print(f"havre lambda logs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def group_of(clients: Clients, name: str) -> str:
    """Raises ClientError for a function that is not there."""
    found = clients("lambda").get_function_configuration(FunctionName=name)
    return str(found["LoggingConfig"]["LogGroup"])


def unwritten(state: Path, function: str) -> list[str]:
    """Why lines of this function are not in its log, if they are not."""
    status, answer = ask(state, "explain", arn=function)
    reasons = answer["reasons"] if status == 200 else ()
    return [reason for reason in reasons if reason.startswith("its log lines are not written")]


def line(event: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(event["timestamp"] / 1000).astimezone()
    return f"{at:%H:%M:%S}.{event['timestamp'] % 1000:03} {event['message'].rstrip()}"


def events(
    client: Any,
    group: str,
    pattern: str,
    back: float,
    *,
    follow: bool,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """Each once. A group that does not exist yet has nothing."""
    now = time.time()  # noqa: TID251  the clock of who types
    start, seen = int((now - back) * 1000), dict[str, int]()
    while True:
        for event in _page(client, group, pattern, start):
            if event["eventId"] not in seen:
                seen[event["eventId"]] = event["timestamp"]
                yield event
        if not follow:
            return
        start = max(start, max(seen.values(), default=0) - _LATE)
        seen = {id: at for id, at in seen.items() if at >= start}
        pause(EVERY)


def _page(client: Any, group: str, pattern: str, start: int) -> Iterator[dict[str, Any]]:
    try:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=start, filterPattern=pattern
        )
        for page in pages:
            yield from page["events"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
