"""What tests of functions share: code that tells what it was given to a queue, roles, and short ways to make things."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from havre.kernel import runtimes

from .conftest import HAVRE, Instance, eventually

ACCOUNT, REGION = "000000000000", "us-east-1"
TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}
ALL = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
WITNESS = """
import json, os, boto3

sqs = boto3.client("sqs")

def handler(event, context):
    body = json.dumps({"event": event, "arn": context.invoked_function_arn, "id": context.aws_request_id})
    sqs.send_message(QueueUrl=os.environ["TELL"], MessageBody=body)
    return event if isinstance(event, dict) and "statusCode" in event else {"statusCode": 200, "body": "seen"}
"""


def document(policy: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", **policy})


def build_runtime(name: str = "python3.11") -> None:
    """Once for this machine; it stays."""
    made = subprocess.run([HAVRE, "lambda", "build-runtime", name], capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stdout + made.stderr


def packed(files: Mapping[str, str | bytes] | str) -> bytes:
    """A zip archive; a text alone is ``app.py``."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        named: Mapping[str, str | bytes] = {"app.py": files} if isinstance(files, str) else files
        for name, text in named.items():
            file.writestr(name, text)
    return archive.getvalue()


class World:
    """One instance, and a role that may everything in it."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self._clients: dict[str, Any] = {}
        iam = self.client("iam")
        self.role: str = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=document(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="worker", PolicyName="all", PolicyDocument=document(ALL))

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.instance.client(service)
        return self._clients[service]

    def function(self, name: str, code: Mapping[str, str | bytes] | str, **more: Any) -> str:
        """Made and active; its ARN."""
        given = {"Runtime": "python3.11", "Handler": "app.handler", "Role": self.role, "Timeout": 30, **more}
        made = self.client("lambda").create_function(FunctionName=name, Code={"ZipFile": packed(code)}, **given)
        self.client("lambda").get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
        )
        return str(made["FunctionArn"])

    def invoke(self, name: str, payload: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
        """(what it answered, the whole answer)."""
        request = {"FunctionName": name, "Payload": json.dumps(payload).encode(), **more}
        answer = self.client("lambda").invoke(**request)
        text = answer["Payload"].read()
        return json.loads(text) if text else None, answer

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """(URL, ARN)."""
        url = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return str(url), f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def let(self, function: str, service: str, source: str) -> None:
        """Let a service invoke a function for the sake of a resource."""
        self.client("lambda").add_permission(
            FunctionName=function,
            StatementId=f"s{abs(hash((service, source)))}",
            Action="lambda:InvokeFunction",
            Principal=service,
            SourceArn=source,
        )

    def witness(self, name: str, **more: Any) -> tuple[str, Callable[..., Any]]:
        """A function that tells what it was given, and ``told(holds)``: the first such event that holds."""
        url, _ = self.queue(f"told-{name}")
        arn = self.function(name, WITNESS, Environment={"Variables": {"TELL": url}}, **more)
        sqs = self.client("sqs")

        def told(holds: Callable[[Any], Any] = lambda event: True) -> Any:
            def look() -> Any:
                found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", ())
                for message in found:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                events = [json.loads(message["Body"])["event"] for message in found]
                return next(([event] for event in events if holds(event)), None)

            return eventually(look)[0]

        return arn, told


def need_built(*names: str) -> None:
    """Makes the test fail in CI, or skip elsewhere, where one of these runtimes is not there (``make runtimes``)."""
    missing = set(names) - set(runtimes.there(runtimes.place(os.environ)))
    if missing and os.environ.get("CI"):
        pytest.fail(f"needs the runtimes {sorted(missing)}: make runtimes", pytrace=False)
    if missing:
        pytest.skip(f"needs the runtimes {sorted(missing)}: make runtimes")


def need_runtime() -> None:
    """Functions need root, crun and a runtime: in CI their absence is a failure."""
    assert os.geteuid() == 0
    build_runtime()
