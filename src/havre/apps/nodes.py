"""What the server does for its nodes: keeps the lines of their containers, hands out the credentials of task roles and
what their containers' secrets and environment files say."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from havre.apps import functions
from havre.apps.config import token
from havre.apps.container_lines import LineSink
from havre.apps.function_lines import FunctionLines
from havre.control.deps import ReconcilerDeps
from havre.control.functions import questions
from havre.control.functions.hub import FunctionHub
from havre.control.nodelink.hub import Hub, HubParts
from havre.control.nodelink.messages import TRAFFIC, USAGE, LogStream
from havre.control.nodes import NODE, WORKLOAD
from havre.control.operation import Aws
from havre.control.terminals.hub import TerminalHub
from havre.control.terminals.messages import SOCKET as TERMINALS
from havre.kernel.balancer import PoolTraffic
from havre.kernel.errors import ApiError, Gone, Permanent
from havre.kernel.workload import Registry, Workload

log = logging.getLogger("havre.nodes")
RELINK_PATIENCE = 5.0
"""Seconds that a reset waits for the nodes to come back."""
TASKS = "ecs-tasks.amazonaws.com"


class Nodes:
    def __init__(self, state: Path, secret: bytes, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._state = state
        identity = hmac.digest(secret, b"store-identity", "sha256").hex()[:32]
        word = token(state / "node.token")
        self._sink = LineSink(self._as_tasks)
        self.function_lines = FunctionLines(deps)
        self.hub = Hub(HubParts(deps.store, deps.world, identity, lambda: word, self._keep, self._answer))
        self.functions = FunctionHub(lambda: word)
        self.terminals = TerminalHub(self.hub.ask, lambda: word)

    async def usage(self, node: str) -> Any:
        """What a node's workloads use (``messages.USAGE``). Raises Temporary, Permanent."""
        return await self.hub.ask(node, USAGE, None)

    async def traffic(self, node: str) -> Mapping[str, PoolTraffic]:
        """What a node's load balancers have done (``messages.TRAFFIC``). Raises Temporary, Permanent."""
        return msgspec.convert(await self.hub.ask(node, TRAFFIC, None), dict[str, PoolTraffic])

    async def serve(self) -> None:
        await self.hub.serve(self._state / "node.sock")

    async def serve_functions(self) -> None:
        await self.functions.serve(self._state / questions.SOCKET)

    async def serve_terminals(self) -> None:
        await self.terminals.serve(self._state / TERMINALS)

    async def _keep(self, stream: LogStream, lines: Sequence[tuple[int, bytes]]) -> None:
        """Lines of functions belong to no container."""
        await (self._sink if stream.container else self.function_lines).keep(stream, lines)

    async def _as_tasks(self, stream: LogStream) -> Aws:
        return self._deps.aws_for(stream.account, stream.region, TASKS)

    async def start_afresh(self) -> None:
        """After a reset: the nodes dial in again and are told that nothing is assigned. Returns when they have."""
        known, changes = set(self.hub.nodes), self._deps.store.subscribe([NODE.name])
        self.hub.end_links()
        try:
            async with asyncio.timeout(RELINK_PATIENCE):
                while not known <= set(self.hub.nodes):
                    await anext(changes)
        except TimeoutError:
            log.warning("a node did not come back after the reset")
        finally:
            changes.close()

    async def _answer(self, node: str, what: str, question: Any) -> Any:
        """Raises Permanent, Temporary, Gone."""
        if what == "credentials":
            return await self._credentials(node, str(question))
        if what == "tags":
            return await self._tags(node, str(question))
        if what == "secrets":
            return await self._secrets(node, question)
        if what == "environment files":
            return await self._environment_files(node, question)
        if what == "registry":
            return await self._registry(node, question)
        about = functions.Nodes(self._deps, self.functions, self._state / "functions")
        return await functions.answer(about, node, what, str(question))

    async def _credentials(self, node: str, workload: str) -> dict[str, str]:
        """Of a workload's role, in the shape of the credentials endpoint; only for who runs it."""
        work = self._workload(node, workload)
        if not work.role:
            raise Gone(f"{workload} has no task role")
        sts = self._deps.aws_for(work.account, work.region, TASKS)
        try:
            session = work.arn.rsplit("/", 1)[-1][:64]
            made = await sts("sts", "AssumeRole", {"RoleArn": work.role, "RoleSessionName": session})
        except ApiError as refusal:
            raise Permanent(refusal.message or refusal.code) from None
        keys = made["Credentials"]
        return {
            "RoleArn": work.role,
            "AccessKeyId": keys["AccessKeyId"],
            "SecretAccessKey": keys["SecretAccessKey"],
            "Token": keys["SessionToken"],
            "Expiration": _iso(float(keys["Expiration"])),
        }

    async def _secrets(self, node: str, question: Mapping[str, str]) -> dict[str, str]:
        """Environment variable → value, of one container of a workload; only for who runs it."""
        from havre.services.ecs.registries import Registries
        from havre.services.ecs.secrets import values

        work = self._workload(node, question["workload"])
        wanted = next((c.secrets for c in work.containers if c.name == question["container"]), {})
        found = await values(Registries(self._deps).caller, _execution(work), set(wanted.values()))
        return {name: found[place] for name, place in wanted.items()}

    async def _environment_files(self, node: str, question: Mapping[str, str]) -> dict[str, str]:
        """Environment variable → value, likewise."""
        from havre.services.ecs.environment_files import variables
        from havre.services.ecs.registries import Registries

        work = self._workload(node, question["workload"])
        files = next((c.environment_files for c in work.containers if c.name == question["container"]), ())
        return await variables(Registries(self._deps).caller, _execution(work), files)

    async def _registry(self, node: str, question: Mapping[str, str]) -> Registry:
        """User and password for the image of one container of a workload, likewise."""
        from havre.services.ecs.private_registries import credentials
        from havre.services.ecs.registries import Registries

        work = self._workload(node, question["workload"])
        for container in work.containers:
            if container.name == question["container"] and container.registry_secret:
                caller = Registries(self._deps).caller
                return await credentials(caller, _execution(work), container.registry_secret, container.image)
        raise Gone(f"{question['container']} has no registry of its own")

    def _workload(self, node: str, workload: str) -> Workload:
        for found in self._deps.store.find(WORKLOAD, "node", node):
            if found.meta.name == workload:
                return found.spec.workload
        raise Gone(f"{workload} does not run on {node}")

    async def _tags(self, node: str, workload: str) -> dict[str, Any]:
        """Of a task and of the container instance that it runs on, in the shape of the metadata endpoint."""
        work = self._workload(node, workload)
        ecs = self._deps.aws_for(work.account, work.region, TASKS)
        cluster = work.metadata.get("Cluster", "")
        try:
            described = await ecs("ecs", "DescribeTasks", {"cluster": cluster, "tasks": [work.arn]})
            instances = [t.get("containerInstanceArn") for t in described["tasks"]]
            arns = {"TaskTags": work.arn, "ContainerInstanceTags": next(filter(None, instances), "")}
            tags = {
                member: (await ecs("ecs", "ListTagsForResource", {"resourceArn": arn}))["tags"]
                for member, arn in arns.items()
                if arn
            }
        except ApiError as refusal:
            raise Permanent(refusal.message or refusal.code) from None
        return {member: {t["key"]: t.get("value", "") for t in found} for member, found in tags.items() if found}


def _execution(work: Workload) -> tuple[str, str, str, str]:
    """Account, region, execution role and task."""
    return work.account, work.region, work.execution_role, work.arn.rsplit("/", 1)[-1][:64]


def _iso(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
