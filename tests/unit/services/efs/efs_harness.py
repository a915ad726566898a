"""EFS behind a real gateway with EC2, its reconciler beside it, and directories that can refuse."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, ROOT, Running

from havre.control import nodes
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Aws
from havre.control.runner import Runner
from havre.kernel.errors import Temporary
from havre.services import ec2, efs

__all__ = ["ACCOUNT", "ROOT", "Efs", "Shelf", "refusal"]


class Shelf:
    """``there``: ids of the file systems that have a directory. ``full``: the disk refuses."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.full = False

    def _try(self) -> None:
        if self.full:
            raise Temporary("the disk is full", 0.01)

    async def make(self, file_system: str) -> None:
        self._try()
        if file_system not in self.there:
            self.there.append(file_system)

    async def remove(self, file_system: str) -> None:
        self._try()
        if file_system in self.there:
            self.there.remove(file_system)

    async def size(self, file_system: str) -> int:
        self._try()
        return 4096


class Efs:
    def __init__(self, auth: str = "strict") -> None:
        self.shelf = Shelf()
        self.running = Running(
            auth,
            besides=(efs.service(), ec2.service()),
            kinds=nodes.KINDS,
            resource_policies={"elasticfilesystem": efs.resource_policy},
        )
        running = self.running
        self.client = running.client("efs")
        self.running.hold_answers("efs")
        self.ec2 = running.client("ec2")
        deps = ReconcilerDeps(running.store, running.journal, running.world, running.gateway.parts.site, self.aws_for)
        self.runner = Runner(efs.reconcilers(deps, self.shelf), running.store, running.world)
        self.subnets: list[dict[str, Any]] = self.ec2.describe_subnets()["Subnets"]

    def aws_for(self, account: str, region: str, service: str, source: str = "", trace: str = "") -> Aws:
        return self.running.gateway.as_service(service, account, region, source)

    def close(self) -> None:
        self.running.close()

    def settle(self) -> None:
        self.running.wait(self.runner.drain())

    def make(self, token: str = "one", **more: Any) -> str:
        """An available file system."""
        id: str = self.client.create_file_system(CreationToken=token, **more)["FileSystemId"]
        self.settle()
        return id

    def described(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_file_systems(FileSystemId=id)["FileSystems"][0]
        return found


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        told = error.response["Error"]
        return str(told["Code"]), str(told.get("Message") or error.response.get("Message") or "")
    return "", ""
