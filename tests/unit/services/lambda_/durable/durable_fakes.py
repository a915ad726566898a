"""A function that speaks the protocol of AWS's SDK for durable functions, in a few lines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from tests.running_gateway import ROOT
from tests.unit.services.lambda_.invoking.invoking_fakes import ACCOUNT, CONFIG, REGION
from tests.unit.services.lambda_.invoking.test_invoke import Lambda

from havre.control.deps import ReconcilerDeps
from havre.control.patient import patient
from havre.control.supervisor import Supervisor
from havre.kernel.function import Function, Invocation, Outcome
from havre.services.lambda_.durable import operations as durable
from havre.services.lambda_.resources import Durable

LASTING = replace(CONFIG, durable=Durable(600))
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


class Suspend(Exception):
    """Nothing to do until something else has happened."""


class Context:
    """A replay: what has been done is not done again."""

    def __init__(self, aws: Any, event: dict[str, Any]) -> None:
        self._aws = aws
        self.arn, self._token = event["DurableExecutionArn"], event["CheckpointToken"]
        state = event["InitialExecutionState"]
        self.ops = {op["Id"]: op for op in state["Operations"]}
        self.input = json.loads(state["Operations"][0]["ExecutionDetails"]["InputPayload"])
        self.updated = event["UpdatedOperationIds"]

    async def checkpoint(self, *given: dict[str, Any]) -> None:
        request = {"DurableExecutionArn": self.arn, "CheckpointToken": self._token, "Updates": list(given)}
        answer = await self._aws("lambda", "CheckpointDurableExecution", request)
        self.ops |= {op["Id"]: op for op in answer["NewExecutionState"]["Operations"]}
        if "CheckpointToken" not in answer:
            raise Suspend
        self._token = answer["CheckpointToken"]

    async def step(self, id: str, work: Callable[[], Any]) -> Any:
        op = self.ops.get(id)
        if op is None or op["Status"] != "SUCCEEDED":
            result = json.dumps(work())
            await self.checkpoint({"Id": id, "Type": "STEP", "Action": "SUCCEED", "Name": id, "Payload": result})
            return json.loads(result)
        return json.loads(op["StepDetails"]["Result"])

    async def until(self, id: str, kind: str, details: str, **options: Any) -> Any:
        """A wait, a callback or another function."""
        if id not in self.ops:
            await self.checkpoint({"Id": id, "Type": kind, "Action": "START", "Name": id, **options})
        op = self.ops[id]
        if op["Status"] in ("STARTED", "PENDING", "READY"):
            raise Suspend
        return op["Status"], op.get(details, {})


class Durables(Lambda):
    def __init__(self) -> None:
        super().__init__(durable)
        gateway = self.gateway
        self.entered: list[dict[str, Any]] = []
        iam = gateway.client("iam")
        iam.create_role(RoleName="runs", AssumeRolePolicyDocument=_document(TRUST))
        may = _document({"Effect": "Allow", "Action": "lambda:*", "Resource": "*"})
        iam.put_role_policy(RoleName="runs", PolicyName="may", PolicyDocument=may)
        principal = gateway.directory.credential(ROOT.access_key).principal  # type: ignore[union-attr]
        self.aws = gateway.gateway.local(principal, ACCOUNT, REGION)

        def aws_with(account: str, region: str, credentials: Any, trace: str = "") -> Any:
            found = gateway.directory.credential(credentials["AccessKeyId"], credentials["SessionToken"])
            assert found is not None
            return patient(gateway.gateway.local(found.principal, account, region, trace))

        def aws_for(account: str, region: str, service: str, source: str = "", trace: str = "") -> Any:
            return patient(gateway.gateway.as_service(service, account, region, source, trace))

        site = gateway.gateway.parts.site
        self.deps = ReconcilerDeps(gateway.store, gateway.journal, gateway.world, site, aws_for, aws_with)
        self.start()

    def start(self) -> None:
        """A process, on what is on disk."""
        self.facilities.invoking = None
        invoking = self.facilities.open_invoking(self.gateway.store, self.gateway.world)
        self.supervisor = Supervisor(invoking.loops(self.deps), self.gateway.world)
        self._task = asyncio.run_coroutine_threadsafe(self.supervisor.run(), self.gateway.loop)

    def stop(self) -> None:
        self.gateway.loop.call_soon_threadsafe(self.supervisor.stop)
        self._task.result(20)

    def function(self, work: Callable[[Context], Any], name: str = "d") -> None:
        async def behave(function: Function, invocation: Invocation) -> Outcome:
            event = json.loads(invocation.payload)
            self.entered.append(event)
            context = Context(self.aws, event)
            try:
                result = await work(context)
            except Suspend:
                return Outcome(b'{"Status":"PENDING"}')
            except ValueError as error:
                told = {"ErrorMessage": str(error), "ErrorType": "ValueError"}
                return Outcome(json.dumps({"Status": "FAILED", "Error": told}).encode())
            return Outcome(json.dumps({"Status": "SUCCEEDED", "Result": json.dumps(result)}).encode())

        self.behave(name, behave)

    def begin(self, payload: Any = None, **more: Any) -> str:
        answer = self.client.invoke(
            FunctionName="d:1", InvocationType="Event", Payload=json.dumps(payload).encode(), **more
        )
        assert answer["StatusCode"] == 202
        return str(answer["DurableExecutionArn"])

    def status(self, arn: str) -> str:
        return str(self.client.get_durable_execution(DurableExecutionArn=arn)["Status"])

    def ended(self, arn: str, status: str = "SUCCEEDED") -> dict[str, Any]:
        until(lambda: self.status(arn) == status)
        found: dict[str, Any] = self.client.get_durable_execution(DurableExecutionArn=arn)
        return found

    def history(self, arn: str, **more: Any) -> list[str]:
        events = self.client.get_durable_execution_history(DurableExecutionArn=arn, **more)["Events"]
        return [event["EventType"] for event in events]


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def until(seen: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)
