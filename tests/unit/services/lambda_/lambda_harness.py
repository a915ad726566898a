"""A gateway with Lambda, a plane that runs nothing but does as it is told, and short ways to make functions."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, OTHER_ROOT, ROOT, Running

from havre.apps.code_store import DiskCodeStore
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws, Service
from havre.control.patient import patient
from havre.control.runner import Runner
from havre.kernel.function import Function, Invocation, Outcome, Provisioned
from havre.services import ec2, lambda_

REGION = "us-east-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class FakeFunctions:
    """``fault`` is what the next preparations raise; ``prepared``, ``retired`` are what was asked for, in order."""

    def __init__(self) -> None:
        self.prepared: list[Function] = []
        self.retired: list[str] = []
        self.fault: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def prepare(self, function: Function) -> None:
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.prepared.append(function)

    async def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        return Outcome(invocation.payload)

    async def stream(self, function: Function, invocation: Invocation) -> AsyncIterator[bytes | str | Outcome]:
        yield Outcome(invocation.payload)

    async def provision(self, function: Function, count: int) -> None:
        return None

    def provisioned(self) -> Mapping[str, Provisioned]:
        return {}

    async def retire(self, id: str) -> None:
        self.retired.append(id)


def archive(files: Mapping[str, str] | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in (files or {"app.py": "def handler(event, context): return event"}).items():
            file.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return made.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Lambda:
    def __init__(self, besides: Sequence[Service] = (), policies: Mapping[str, Any] | None = None, **more: Any) -> None:
        """``policies``: of resources of the services ``besides``."""
        self._directory = tempfile.TemporaryDirectory()
        self.functions = FakeFunctions()
        self.code = DiskCodeStore(Path(self._directory.name) / "functions", lambda: self.running.world.now())
        self.facilities = lambda_.Facilities(self.functions, self.code, b"secret")
        self.running = Running(
            besides=(lambda_.service(self.facilities), ec2.service(), *besides),
            resource_policies={"lambda": lambda_.resource_policy, **(policies or {})},
            **more,
        )
        running = self.running
        self.deps = ReconcilerDeps(
            running.store,
            running.journal,
            running.world,
            running.gateway.parts.site,
            self._aws_for,
        )
        self.running.hold_answers("lambda")
        self.client = self.running.client("lambda", parameter_validation=False)
        self.iam = self.running.client("iam")
        self.role = self.make_role("worker")
        made = lambda_.reconcilers(self.deps, self.facilities)
        self._runner = Runner(made, running.store, running.world)
        self.reconcile()

    def _aws_for(self, account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws:
        return patient(self.running.gateway.as_service(service, account, region, source))

    def make_role(self, name: str, trust: Mapping[str, Any] = TRUST) -> str:
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        return str(made["Role"]["Arn"])

    def grant(self, *actions: str) -> None:
        """To the role of all functions."""
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_role_policy(RoleName="worker", PolicyName="granted", PolicyDocument=document)

    def reconcile(self) -> None:
        """Until nothing is left to do."""

        self.running.wait(self._runner.drain())

    def create(self, name: str = "one", *, ready: bool = True, **more: Any) -> dict[str, Any]:
        given = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": self.role,
            "Code": {"ZipFile": archive()},
            **more,
        }
        made = dict(self.client.create_function(**{k: v for k, v in given.items() if v is not None}))
        if ready:
            self.reconcile()
        return made

    def get(self, name: str = "one", **more: Any) -> dict[str, Any]:
        return dict(self.client.get_function_configuration(FunctionName=name, **more))

    def close(self) -> None:
        self.running.close()
        self._directory.cleanup()


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"]), str(error.response["Error"]["Message"])
    return "no error", ""


def arn(resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:lambda:{REGION}:{account}:{resource}"


__all__ = ["ACCOUNT", "OTHER_ROOT", "ROOT", "FakeFunctions", "Lambda", "archive", "arn", "digest", "refusal"]
