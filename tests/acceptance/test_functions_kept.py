"""kill -9 while functions are made and changed: what was acknowledged is there, with its code, and comes to an end."""

from __future__ import annotations

import hashlib
import threading
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Instance, Starter, eventually, kill, start
from .lambda_world import TRUST, document, packed

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
ROLE = "arn:aws:iam::000000000000:role/made"
BEFORE = 20
"""Functions that are acknowledged before the kill."""


def _make(instance: Instance, acknowledged: dict[str, bytes], enough: threading.Event) -> None:
    """One function after the other, each with code of its own, until the server is gone."""
    functions = instance.client("lambda")
    while True:
        name = f"f{len(acknowledged)}"
        code = packed(f"def handler(event, context):\n    return {len(acknowledged)}\n")
        given = {"Role": ROLE, "Runtime": "python3.11", "Handler": "app.handler", "Code": {"ZipFile": code}}
        try:
            functions.create_function(FunctionName=name, Publish=True, **given)
            acknowledged[name] = code
            functions.update_function_configuration(FunctionName="first", Description=name)
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "ResourceConflictException":
                break
        except BotoCoreError:
            break
        if len(acknowledged) >= BEFORE:
            enough.set()


def test_acknowledged_functions_are_there_with_their_code(havre: Starter) -> None:
    instance = havre()
    instance.client("iam").create_role(RoleName="made", AssumeRolePolicyDocument=document(TRUST))
    functions = instance.client("lambda")
    given: dict[str, Any] = {"Role": ROLE, "Runtime": "python3.11", "Handler": "app.handler"}
    functions.create_function(FunctionName="first", Code={"ZipFile": packed("")}, **given)
    acknowledged: dict[str, bytes] = {}
    enough = threading.Event()
    maker = threading.Thread(target=_make, args=(instance, acknowledged, enough))
    maker.start()
    assert enough.wait(120)
    for pid in (instance.process.pid, *instance.run_file["pids"].values()):
        kill(pid)
    instance.process.wait()
    maker.join(60)
    instance = start(instance.state, port=instance.port)
    functions = instance.client("lambda")
    for name, code in acknowledged.items():
        found = functions.get_function(FunctionName=name, Qualifier="1")
        downloaded = urllib.request.urlopen(found["Code"]["Location"]).read()
        assert hashlib.sha256(downloaded).digest() == hashlib.sha256(code).digest()
    names = ("first", *acknowledged)
    eventually(lambda: all(_settled(functions, name) for name in names))
    functions.update_function_configuration(FunctionName="first", Description="after")


def _settled(functions: Any, name: str) -> bool:
    """Neither its creation nor an update goes on, however they went: this machine may have no such runtime."""
    shown = functions.get_function_configuration(FunctionName=name)
    return shown["State"] in ("Active", "Failed") and shown["LastUpdateStatus"] in ("Successful", "Failed")
