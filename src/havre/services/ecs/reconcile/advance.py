"""Carrying out a step of a service: tasks placed and written, tasks told to stop, events, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from havre.control.deps import ReconcilerDeps
from havre.core.placement import Refusal
from havre.core.placement.choose import refusals
from havre.kernel.errors import Conflict
from havre.kernel.resource import scoped
from havre.services.ecs.events import record
from havre.services.ecs.launch import Order, Placed, order, place_tasks, put, write
from havre.services.ecs.ledger import Ledger, ledger_of
from havre.services.ecs.queries import TaskRecord
from havre.services.ecs.resources import (
    DEPLOYMENT,
    SERVICE,
    TASK,
    TASK_DEFINITION,
    Deployment,
    Service,
    ServiceStatus,
    Tags,
    Task,
)
from havre.services.ecs.rules import fargate
from havre.services.ecs.scheduler import GUIDE, Advance
from havre.store.ports import Transaction

replace = msgspec.structs.replace
NO_INSTANCE = "no container instance met all of its requirements."
FARGATE = "Capacity is unavailable at this time. Please try again later or in a different availability zone."


class Placing(NamedTuple):
    """Tasks with their reservations, and why there are not more."""

    tasks: Sequence[Placed] = ()
    unplaced: str = ""
    crowded: bool = False


class Advancing:
    def __init__(self, deps: ReconcilerDeps) -> None:
        self._store, self._world = deps.store, deps.world

    async def __call__(self, step: Advance) -> None:
        """Raises Conflict when the service has moved on."""
        ledger = ledger_of(self._store)
        placing = self._place(ledger, step) if step.start else Placing()
        try:
            made = await self._store.transact(lambda tx: self._write(tx, step, placing))
        except BaseException:
            ledger.release(p.id for p in placing.tasks)
            raise
        for task in made:
            ledger.note(task)

    # Where

    def _place(self, ledger: Ledger, step: Advance) -> Placing:
        wish = self._order(step)
        if wish is None:
            return Placing(unplaced="was unable to place a task because its task definition is gone.")
        if step.at:
            placed, refused = self._place_at(ledger, wish, step.at)
        else:
            placed, refused = place_tasks(ledger, self._world, wish, step.start)
        if len(placed) >= step.start:
            return Placing(placed)
        return Placing(placed, _words(wish, refused), any(r.code.startswith("RESOURCE:") for r in refused))

    def _place_at(self, ledger: Ledger, wish: Order, at: Sequence[str]) -> tuple[list[Placed], list[Refusal]]:
        cluster = (wish.account, wish.region, wish.template.cluster)
        chosen, refused = [], []
        for name in at:
            found = ledger.place_at(cluster, name)
            if found is None:
                continue
            no = refusals(wish.demand, [found])
            if not no:
                found.take(wish.demand)
                chosen.append(found)
            refused += no
        return put(ledger, self._world, wish, chosen), refused

    def _order(self, step: Advance) -> Order | None:
        m, spec = step.service.meta, step.service.spec
        deployment = self._store.get(DEPLOYMENT, m.account, m.region, spec.primary)
        if deployment is None:
            raise Conflict(f"{spec.primary} is gone")
        launch = deployment.spec.launch
        definition = self._store.get(TASK_DEFINITION, m.account, m.region, launch.definition)
        if definition is None:
            return None
        there = self._store.find(TASK, "service", scoped(m.account, m.region, m.name))
        alive = [t for t in there if t.spec.desired == "RUNNING" and t.status.last != "STOPPED"]
        template = _template(spec, deployment.spec, deployment.meta.name, definition.spec.tags)
        running = Counter(t.spec.provider for t in alive if t.spec.provider)
        gone = {id for id, _ in step.stops}
        stay = [t for t in alive if t.spec.deployment == spec.primary and t.meta.name not in gone]
        subnets = Counter(t.spec.subnets.subnets[0] for t in stay if t.spec.subnets)
        owner, more = (m.account, m.region), {"providers": running, "subnets": subnets}
        return order(owner, launch, definition, template, ordinal=len(alive), **more)

    # What is written

    def _still(self, tx: Transaction, step: Advance) -> None:
        """A decision is some time old when it is written. Raises Conflict when it may not be right any more."""
        m = step.service.meta
        for id in step.trusted:
            task = tx.get(TASK, m.account, m.region, id)
            if task is None or task.spec.desired != "RUNNING" or task.status.last != "RUNNING":
                raise Conflict(f"task {id} has ended since others were told to")
        for id, version in step.useless:
            task = tx.get(TASK, m.account, m.region, id)
            if task is None or task.meta.version != version:
                raise Conflict(f"task {id} has changed since it was told to end")
        if step.until is not None and self._world.now() >= step.until:
            raise Conflict(f"tasks of {m.name} have settled since")

    def _write(self, tx: Transaction, step: Advance, placing: Placing) -> list[TaskRecord]:
        m = step.service.meta
        found = tx.get(SERVICE, m.account, m.region, m.name)
        if found is None or found.meta.version != m.version:
            raise Conflict(f"{m.name} has moved on")
        self._still(tx, step)
        status = _placed(step.status, placing)
        told = list(step.messages)
        if placing.unplaced and placing.unplaced != found.status.unplaced:
            told.append(placing.unplaced)
        made = write(tx, m.account, m.region, placing.tasks)
        if made:
            told.append(f"has started {len(made)} tasks: {' '.join(f'(task {t.meta.name})' for t in made)}.")
        for deployment, progress in step.deployments:
            tx.update(deployment, status=progress)
        for id, reason in step.stops:
            _stop(tx, (m.account, m.region, id), reason)
        if made or step.spec is not None or status != found.status:
            tx.update(found, spec=step.spec, status=status)  # with tasks always: this step is not taken a second time
        record(tx, self._world, (m.account, m.region, m.name), told)
        return made


def _placed(status: ServiceStatus, placing: Placing) -> ServiceStatus:
    if not placing.tasks and not placing.unplaced:
        return status
    return replace(status, unplaced=placing.unplaced, crowded=placing.crowded)


def _stop(tx: Transaction, key: tuple[str, str, str], reason: str) -> None:
    task = tx.get(TASK, *key)
    if task is not None and task.spec.desired == "RUNNING" and task.status.last != "STOPPED":
        spec = replace(task.spec, desired="STOPPED", stop_code="ServiceSchedulerInitiated", stop_reason=reason)
        tx.update(task, spec=spec)


def _template(spec: Service, deployment: Deployment, id: str, definition_tags: Tags) -> Task:
    launch = deployment.launch
    tags = {"SERVICE": spec.tags, "TASK_DEFINITION": definition_tags}.get(spec.propagate, {})
    if spec.managed_tags:
        tags = {**tags, "aws:ecs:clusterName": spec.cluster, "aws:ecs:serviceName": spec.name}
    return Task(
        cluster=spec.cluster,
        definition=launch.definition,
        launch=launch.type,
        node="",
        platform=fargate.platform(launch.platform),
        group=f"service:{spec.name}",
        started_by=id,
        service=spec.name,
        deployment=id,
        targets=launch.targets,
        tags=tags,
        exec=launch.exec,
    )


def _words(wish: Order, refused: Sequence[Refusal]) -> str:
    """Behind ``(service x)``, in AWS's words."""
    if wish.launch.type == "FARGATE":
        why = ""
        if refused:
            machine = refused[0].place.machine
            why = f" (Nearest machine: {machine.error or machine.network_error or refused[0].words}.)"
        return f"was unable to place a task. Reason: {FARGATE} {GUIDE}{why}"
    if not refused:
        return (
            f"was unable to place a task because {NO_INSTANCE} Reason: No Container Instances were found in your "
            f"cluster. {GUIDE}"
        )
    name = refused[0].place.name.rsplit("/", 1)[-1]
    return (
        f"was unable to place a task because {NO_INSTANCE} The closest matching (container-instance {name}) "
        f"{refused[0].words}. {GUIDE}"
    )
