"""What topics, rules and schedules deliver to, as stubs behind a real gateway: queues and functions that take note, and
refuse when they are told to. Reconcilers run beside it, in the gateway's own loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Operations, Service
from havre.control.patient import patient
from havre.control.runner import Runner
from havre.control.supervisor import Loop, Supervisor
from havre.kernel.errors import ApiError, Permanent
from tests.running_gateway import ACCOUNT, Running

LET_IN = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}


class Taken:
    """What one stub got: (operation, request) with its caller, and the errors that it is to answer with first."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.callers: list[Any] = []
        self.traces: list[str] = []
        self.failures: dict[str, list[ApiError]] = {}
        """By the last part of what is addressed (a queue's or a function's name)."""

    def take(self, call: Any, addressed: str, request: Mapping[str, Any]) -> None:
        failures = self.failures.get(addressed)
        if failures:
            raise failures.pop(0)
        self.calls.append((call.operation, dict(request)))
        self.callers.append(call.principal)
        self.traces.append(call.trace)


def queue_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:sqs:us-east-1:{account}:{name}"


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}"


class Targets:
    """``make(deps)`` gives the reconcilers of what is tested, ``loops(deps)`` its loops."""

    def __init__(
        self,
        besides: Sequence[Service],
        make: Callable[[ReconcilerDeps], Sequence[Any]],
        loops: Callable[[ReconcilerDeps], Sequence[Loop]] | None = None,
        **more: Any,
    ) -> None:
        self.sqs, self.functions = Taken(), Taken()
        self.policies: dict[str, dict[str, Any] | None] = {}
        """ARN → the policy of a stub; everybody is let in where there is none, nobody where it is None."""
        known = {s.name: s for s in besides}
        services = [*known.values(), *(s for s in (self._sqs(), self._lambda()) if s.name not in known)]
        policies = {"sqs": self._policy, "lambda": self._policy, **more.pop("resource_policies", {})}
        self.running = Running(besides=services, resource_policies=policies, **more)
        self.running.hold_answers()
        gateway, running = self.running.gateway, self.running

        def aws_with(account: str, region: str, credentials: Mapping[str, Any]) -> Any:
            found = running.directory.credential(credentials["AccessKeyId"], credentials["SessionToken"])
            if found is None:
                raise Permanent("The security token included in the request is invalid")
            return patient(gateway.local(found.principal, account, region))

        self.deps = ReconcilerDeps(
            running.store,
            running.journal,
            running.world,
            gateway.parts.site,
            lambda account, region, service, source="", trace="": patient(
                gateway.as_service(service, account, region, source, trace)
            ),
            aws_with,
            gateway.parts.metrics,
        )
        self._make, self._loops = make, loops
        self.start()

    def start(self) -> None:
        """Reconcilers and loops as a new process would make them, on the same store."""
        self.runner = Runner(self._make(self.deps), self.running.store, self.running.world)
        found = [Loop("reconcilers", self.runner.run), *(self._loops(self.deps) if self._loops is not None else ())]
        self.supervisor = Supervisor(found, self.running.world)
        self._task = asyncio.run_coroutine_threadsafe(self.supervisor.run(), self.running.loop)

    def stop(self) -> None:
        self.running.loop.call_soon_threadsafe(self.supervisor.stop)
        self._task.result(20)

    def close(self) -> None:
        self.stop()
        self.running.close()

    def _policy(self, store: Any, arn: str) -> str | None:
        found = self.policies.get(arn, LET_IN)
        return json.dumps(found) if found is not None else None

    def _sqs(self) -> Service:
        ops = Operations()

        def arn(call: Any, request: Any) -> Sequence[str]:
            account, name = request["QueueUrl"].split("/")[-2:]
            return (f"arn:aws:sqs:{call.region}:{account}:{name}",)

        @ops("SendMessage", resources=arn)
        async def send(call: Any, request: Any) -> Any:
            self.sqs.take(call, request["QueueUrl"].rsplit("/", 1)[-1], request)
            return {"MessageId": call.world.uuid(), "MD5OfMessageBody": "0" * 32}

        return Service("sqs", ops.all)

    def _lambda(self) -> Service:
        ops = Operations()

        @ops("Invoke", action="lambda:InvokeFunction", resources=lambda c, r: (r["FunctionName"],))
        async def invoke(call: Any, request: Any) -> Any:
            self.functions.take(call, request["FunctionName"].split(":")[6], request)
            return {"StatusCode": 202}

        return Service("lambda", ops.all)

    # ------------------------------------------------------------------ what tests ask

    def until(self, found: Callable[[], Any], what: str = "") -> Any:
        """Wait for something to be so: what it gives."""
        deadline = time.monotonic() + 20
        while not (value := found()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{what or 'it'} did not come: {self.sqs.calls!r:.1000} {self.functions.calls!r:.1000}"
                )
            time.sleep(0.005)
        return value

    def settled(self, *kinds: Any) -> None:
        """Wait until nothing of these kinds is left."""
        self.until(lambda: not any(self.running.store.list(kind) for kind in kinds), "the end of deliveries")

    def sent(self, queue: str) -> list[dict[str, Any]]:
        """The messages that a queue got."""
        return [r for op, r in self.sqs.calls if op == "SendMessage" and r["QueueUrl"].endswith(f"/{queue}")]

    def invoked(self, function: str) -> list[dict[str, Any]]:
        """The events that a function got."""
        return [
            json.loads(r["Payload"]) for _, r in self.functions.calls if r["FunctionName"].split(":")[6] == function
        ]
