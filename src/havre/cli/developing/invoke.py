"""``havre lambda invoke``: the answer on stdout, what the function wrote and why it failed on stderr."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from havre.cli.aws import Clients

_KNOWN = {"Error", "ResponseMetadata", "message", "Message", "Type"}
"""Members of errors that are told anyway, or tell nothing."""


def invoke(
    clients: Clients, name: str, payload: bytes, given: Mapping[str, str] = MappingProxyType({}), *, asynchronous: bool
) -> int:
    """The exit code: 1 where the function failed or could not be invoked. ``given``: further members of Invoke, "" for
    none."""
    request: dict[str, Any] = {"FunctionName": name, "Payload": payload, **{k: v for k, v in given.items() if v}}
    request |= {"InvocationType": "Event"} if asynchronous else {"LogType": "Tail"}
    try:
        answer = _asked(clients("lambda"), request)
        body = answer["Payload"].read()
    except (ClientError, BotoCoreError) as error:
        print(f"havre lambda invoke: {refusal(error)}", file=sys.stderr)
        if "CloudWatch logs" in str(error):
            print(f"  its log: havre lambda logs {name}", file=sys.stderr)
        return 1
    if asynchronous:
        print(f"queued: {answer['ResponseMetadata']['RequestId']}", file=sys.stderr)
        return 0
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    _show_log(console, base64.b64decode(answer.get("LogResult") or b"").decode("utf-8", "replace"))
    if answer.get("FunctionError"):
        _show_error(console, body)
        return 1
    sys.stdout.write(pretty(body) + "\n")
    return 0


def _asked(client: Any, request: dict[str, Any]) -> Any:
    """With the log's tail, where there is one: functions on capacity providers have none."""
    try:
        return client.invoke(**request)
    except ClientError as error:
        if "Tail logs are not supported" not in str(error):
            raise
        return client.invoke(**{k: v for k, v in request.items() if k != "LogType"})


def refusal(error: ClientError | BotoCoreError) -> str:
    """With all that the error has to say, a line for each of its members: why one is throttled, for how long."""
    if not isinstance(error, ClientError):
        return str(error)
    told = error.response
    more = [f"  {name}: {value}" for name, value in told.items() if name not in _KNOWN]
    return "\n".join([f"{told['Error']['Code']}: {told['Error'].get('Message', '')}", *more])


def read_payload(text: str) -> bytes:
    """JSON as it stands, ``@file``, or ``-`` for stdin. Raises ValueError in words for what is none."""
    if text == "-":
        data = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            data = Path(text[1:]).read_bytes()
        except OSError as error:
            raise ValueError(f"{text[1:]}: {error.strerror}") from None
    else:
        data = text.encode()
    try:
        json.loads(data)
    except ValueError as error:
        raise ValueError(f"the payload is no JSON: {error}") from None
    return data


def pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")


def _show_log(console: Console, log: str) -> None:
    for line in log.splitlines():
        platform = line.startswith(("START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START", "XRAY "))
        console.print(Text(line, style="dim" if platform else ""))


def _show_error(console: Console, body: bytes) -> None:
    """The kind, the message and the trace, as a person reads them."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        console.print(Text(body.decode("utf-8", "replace"), style="red"))
        return
    kind, words = told.get("errorType", "Error"), told.get("errorMessage", "")
    console.print(Text(f"{kind}: {words}", style="bold red"))
    for line in told.get("stackTrace") or told.get("trace") or ():
        console.print(Text(str(line).rstrip("\n"), style="red"))
