"""One task at a time: its interface, its workload, what its node reports, its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.control.nodes import WORKLOAD
from havre.control.reconciler import Executor
from havre.core.lifecycle import ending
from havre.kernel.effects import Effect, Plan
from havre.kernel.errors import ApiError
from havre.services.ecs import environment_files, file_systems, private_registries, secrets
from havre.services.ecs.instances import ec2_id
from havre.services.ecs.ledger import ledger_of
from havre.services.ecs.life import TaskSeen, decide
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.reconcile.effects import PRINCIPAL, TaskEffects
from havre.services.ecs.registries import Registries
from havre.services.ecs.resources import TASK, TASK_DEFINITION
from havre.store.ports import Change

TaskKey = tuple[str, str, str]


class Tasks:
    name = "ecs.task"
    watches: tuple[str, ...] = ("ecs.task", "node.workload", "node.node", "ecs.container_instance", "node.balancer")
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._store = deps.store
        self._ledger = ledger_of(deps.store)
        self._registries = Registries(deps)
        self._effects = TaskEffects(deps, self._registries).all()
        self._draining: set[TaskKey] = set()

    def keys_of(self, change: Change) -> Iterable[TaskKey]:
        kind = change.key.kind
        if kind == "ecs.task" or kind == "node.workload":
            if kind == "ecs.task":
                self._ledger.apply(change)
                if change.new is None:
                    return ()
            return ((change.key.account, change.key.region, change.key.name),)
        if kind == "node.balancer":
            return tuple(self._draining)
        self._ledger.apply(change)
        if kind == "node.node" and change.new is None:
            return [
                (t.meta.account, t.meta.region, t.meta.name) for t in self._store.find(TASK, "node", change.key.name)
            ]
        return ()

    def all_keys(self) -> Iterable[TaskKey]:
        self._ledger.load(self._store)  # the feed begins only now, and begins anew after it was lost
        return [(t.meta.account, t.meta.region, t.meta.name) for t in self._store.list(TASK)]

    def key_of(self, arn: str) -> TaskKey | None:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "ecs" or not parts[5].startswith("task/"):
            return None
        return parts[4], parts[3], parts[5].rsplit("/", 1)[-1]

    async def observe(self, key: TaskKey) -> TaskSeen | None:
        task = self._store.get(TASK, *key)
        if task is None:
            return None
        account, region, _ = key
        definition = self._store.get(TASK_DEFINITION, account, region, task.spec.definition)
        seen = TaskSeen(
            now=self._deps.world.now(),
            task=task,
            definition=definition,
            workload=self._store.get(WORKLOAD, *key),
            zone=self._ledger.zone(task.spec.node),
            ec2=ec2_id(task.spec.node),
            host_gone=not self._ledger.known(task.spec.node),
            engine_error=self._ledger.machine(task.spec.node).error,
        )
        return await self._more(key, seen)

    async def _more(self, key: TaskKey, seen: TaskSeen) -> TaskSeen:
        """What has to be asked for, where the decision depends on it."""
        task, status = seen.task, seen.task.status
        stopping = task.spec.desired == "STOPPED"
        if not status.assigned and not stopping and seen.definition is not None:
            if task.spec.attachment and status.interface is None:
                return seen
            body = seen.definition.spec.body
            refused = await self._refused(task, body)
            shares = await file_systems.shares(self._deps, task, body)
            if isinstance(shares, str):
                return replace(seen, registries=shares)
            return replace(seen, registries=refused or await self._registries.of(task, body), shares=shares)
        if not stopping or not status.registered or status.last == "STOPPED":
            self._draining.discard(key)
            return seen
        if status.deregistered_at is None:
            return replace(seen, delays=await self._delays(task))
        if ending(status.last) and status.last != "DEACTIVATING":
            self._draining.discard(key)
            return seen
        self._draining.add(key)
        return replace(seen, draining=await self._drains(task))

    async def _refused(self, task: TaskRecord, body: Mapping[str, Any]) -> str:
        """What the execution role cannot fetch for it, in words."""
        for problem in (secrets.problem, private_registries.problem, environment_files.problem):
            if why := await problem(self._registries.caller, task, body):
                return why
        return ""

    async def _delays(self, task: TaskRecord) -> dict[str, float]:
        aws = self._deps.aws_for(task.meta.account, task.meta.region, PRINCIPAL)
        found: dict[str, float] = {}
        for group, _, _ in task.status.registered:
            try:
                answer = await aws("elbv2", "DescribeTargetGroupAttributes", {"TargetGroupArn": group})
            except ApiError:
                continue  # the group is gone: nothing drains
            attributes = {a["Key"]: a.get("Value") or "" for a in answer.get("Attributes") or ()}
            found[group] = float(attributes.get("deregistration_delay.timeout_seconds") or 300)
        return found

    async def _drains(self, task: TaskRecord) -> bool:
        aws = self._deps.aws_for(task.meta.account, task.meta.region, PRINCIPAL)
        for group, id, port in task.status.registered:
            request = {"TargetGroupArn": group, "Targets": [{"Id": id, "Port": port}]}
            try:
                answer = await aws("elbv2", "DescribeTargetHealth", request)
            except ApiError:
                continue
            for each in answer.get("TargetHealthDescriptions") or ():
                if (each.get("TargetHealth") or {}).get("State") == "draining":
                    return True
        return False

    def decide(self, seen: TaskSeen) -> Plan:
        return decide(seen)

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return self._effects
