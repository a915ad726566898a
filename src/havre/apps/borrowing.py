"""The borrowed services, put together when one of them is first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service
from havre.services import catalogue

if TYPE_CHECKING:
    from havre.apps.beside import Beside
    from havre.engines.borrowed import Deliver
    from havre.services.s3 import Notifier
    from havre.services.s3.preflight import Preflight
    from havre.wire.http import HttpRequest, HttpResponse

BORROWED = ("dynamodb", "dynamodbstreams", "kinesis", "s3", "secretsmanager", "ssm")


class Borrowing:
    """``folder`` is where their state lies. Nothing is imported or started before it is needed."""

    def __init__(self, folder: Path, deps: Callable[[], ReconcilerDeps]) -> None:
        self._folder = folder
        self._deps = deps
        self.makers = {name: partial(self._make, name) for name in BORROWED}

    @cached_property
    def beside(self) -> Beside:
        from havre.apps import beside

        return beside.Beside(self._folder, self._deliver)

    @cached_property
    def notifier(self) -> Notifier:
        from havre.services import s3

        deps = self._deps()
        return s3.Notifier(deps.aws_for, deps.site)

    async def preflight(self, request: HttpRequest) -> HttpResponse | None:
        """Browsers' questions before requests to buckets."""
        return await self._preflight(request)

    @cached_property
    def _preflight(self) -> Preflight:
        from havre.services.s3.preflight import Preflight

        deps = self._deps()
        return Preflight(deps.store, deps.aws_for, deps.site.region)

    @property
    def problem(self) -> str:
        """Why they do not run, when they should."""
        return self.beside.problem if "beside" in self.__dict__ else ""

    async def resume(self) -> None:
        """Deliver what was not delivered when this process last ended."""
        if (self._folder / "notifies").exists():
            await self.beside.start()

    async def reset(self) -> None:
        """Forget everything that it keeps."""
        import shutil  # it loads two compression libraries: not at start

        if "beside" in self.__dict__:
            await self.beside.stop(kill=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def close(self) -> None:
        if "beside" in self.__dict__:
            await self.beside.close()

    def _make(self, name: str) -> Service:
        package = catalogue.package(name)
        made: Service = package.service(self.beside, self.notifier) if name == "s3" else package.service(self.beside)
        return made

    async def _deliver(self, frame: Deliver, body: bytes) -> None:
        await self.notifier.deliver(frame, body)
