"""The borrowed services behind a gateway, with the real process beside it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from havre.apps.beside import Beside
from havre.control.operation import Aws, Operations, Service, Site
from havre.control.patient import patient
from havre.engines.borrowed import Deliver
from havre.kernel.errors import ApiError
from havre.services import dynamodb, dynamodbstreams, kinesis, kms, s3, secretsmanager, ssm
from havre.services.s3.preflight import Preflight
from havre.wire.http import HttpRequest, HttpResponse
from tests.running_gateway import Running


class Destination:
    """Stands for a service that takes notifications: what it was sent, and what it refuses."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any], str]] = []
        self.traces: list[str] = []
        self.refuses = ""

    def service(self, name: str, operation: str) -> Service:
        ops = Operations()

        @ops(operation, action="", read_only=True)
        async def take(call: Any, request: Any) -> Any:
            if self.refuses:
                raise ApiError(self.refuses, "no", 503 if self.refuses == "ServiceUnavailable" else 403)
            self.traces.append(call.trace)
            self.got.append((name, dict(request), call.principal.source))
            return {}

        return Service(name, ops.all)


class Lent(Running):
    def __init__(self, folder: Path, besides: Sequence[Service] = (), **more: Any) -> None:
        self.beside = Beside(folder, self._deliver)
        self.notifier = s3.Notifier(self._aws_for, Site())
        packages = (dynamodb, dynamodbstreams, kinesis, secretsmanager, ssm)
        lent = [package.service(self.beside) for package in packages]
        policies = {"s3": s3.resource_policy, "kms": kms.resource_policy}
        more = {"resource_policies": policies, "resource_owners": {"s3": s3.resource_owner}} | more
        more.setdefault("preflight", self._preflight)
        keys = kms.service(kms.Vault(b"\x07" * 32))
        super().__init__(besides=[*lent, keys, s3.service(self.beside, self.notifier), *besides], **more)

    def _aws_for(self, account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws:
        return patient(self.gateway.as_service(service, account, region, source, trace))

    async def _preflight(self, request: HttpRequest) -> HttpResponse | None:
        return await Preflight(self.store, self._aws_for, "us-east-1")(request)

    async def _deliver(self, frame: Deliver, body: bytes) -> None:
        await self.notifier.deliver(frame, body)

    def kill(self) -> None:
        """As a machine does that has no memory left."""
        assert self.beside.pid is not None
        before = self.beside._writer
        os.kill(self.beside.pid, signal.SIGKILL)
        while before is not None and self.beside._writer is before:  # until it is noticed: before, changes are refused
            time.sleep(0.001)

    def stop_beside(self) -> None:
        """In order: it writes a snapshot. The next request starts it again."""
        self.wait(self.beside.stop())

    def close(self) -> None:
        self.wait(self.beside.close())
        super().close()
