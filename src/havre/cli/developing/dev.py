"""``havre lambda dev``: a function out of a directory. A saved file is live at the next invocation."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from havre.cli.aws import Clients
from havre.cli.developing.logs import events, group_of, line
from havre.cli.options import default_state

ROLE = "havre-dev"
DEBUG_PORT = "HAVRE_DEBUG_PORT"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
_ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


class Wanted(msgspec.Struct, frozen=True):
    """``debug_port`` 0: none; with one the time-out is the longest that there is."""

    name: str
    directory: Path
    handler: str
    runtime: str
    memory: int = 512
    timeout: int = 30
    environment: Mapping[str, str] = {}
    debug_port: int = 0


def dev(clients: Clients, wanted: Wanted) -> int:
    """Until it is interrupted; the function stays."""
    try:
        arn = ensure(clients, wanted)
        where = "" if str(clients.state) == default_state() else f" --state {clients.state}"
        print(f"{arn}\n{wanted.directory} is live: change it, then invoke: havre lambda invoke {wanted.name}{where}")
        if wanted.debug_port:
            print(f"debugger: 127.0.0.1:{wanted.debug_port} (listen on 0.0.0.0:{wanted.debug_port} in the function)")
        group = group_of(clients, wanted.name)
        for event in events(clients("logs"), group, "", 0, follow=True):
            print(line(event), flush=True)
    except (ClientError, BotoCoreError) as error:
        print(f"havre lambda dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def ensure(clients: Clients, wanted: Wanted) -> str:
    """The function as it is wanted: made, or brought up to date. Its ARN. Raises ClientError."""
    client = clients("lambda")
    code = {"S3Bucket": "hot-reload", "S3Key": str(wanted.directory)}
    settings = _settings(clients, wanted)
    try:
        found = client.get_function_configuration(FunctionName=wanted.name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        made = client.create_function(FunctionName=wanted.name, Code=code, **settings)
        client.get_waiter("function_active_v2").wait(FunctionName=wanted.name, WaiterConfig={"Delay": 1})
        return str(made["FunctionArn"])
    client.update_function_code(FunctionName=wanted.name, **code)
    client.get_waiter("function_updated_v2").wait(FunctionName=wanted.name, WaiterConfig={"Delay": 1})
    client.update_function_configuration(FunctionName=wanted.name, **settings)
    client.get_waiter("function_updated_v2").wait(FunctionName=wanted.name, WaiterConfig={"Delay": 1})
    return str(found["FunctionArn"])


def _settings(clients: Clients, wanted: Wanted) -> dict[str, Any]:
    environment = dict(wanted.environment)
    if wanted.debug_port:
        environment[DEBUG_PORT] = str(wanted.debug_port)
    return {
        "Role": _role(clients("iam")),
        "Runtime": wanted.runtime,
        "Handler": wanted.handler,
        "MemorySize": wanted.memory,
        "Timeout": 900 if wanted.debug_port else wanted.timeout,
        "Environment": {"Variables": environment},
    }


def _role(iam: Any) -> str:
    """One for all that is developed here: it may everything in this account."""
    try:
        return str(iam.get_role(RoleName=ROLE)["Role"]["Arn"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
    made = iam.create_role(
        RoleName=ROLE,
        AssumeRolePolicyDocument=json.dumps(_TRUST),
        Description="Functions of havre lambda dev",
    )
    iam.put_role_policy(RoleName=ROLE, PolicyName="everything", PolicyDocument=json.dumps(_ALL))
    return str(made["Role"]["Arn"])
