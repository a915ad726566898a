"""One service at a time: its tasks, its deployments, what its load balancers say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from havre.control.deps import ReconcilerDeps
from havre.control.reconciler import Executor
from havre.kernel.effects import Effect, Plan
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.ecs.launch import daemon_places
from havre.services.ecs.ledger import ledger_of, zone_of
from havre.services.ecs.queries import DeploymentRecord, Record, ServiceRecord, TaskRecord, deployments
from havre.services.ecs.reconcile.advance import Advancing
from havre.services.ecs.reconcile.effects import PRINCIPAL
from havre.services.ecs.resources import EVENTS, SERVICE, TASK, TASK_DEFINITION
from havre.services.ecs.scheduler import Advance, ServiceSeen, decide
from havre.services.ecs.views import Sight, Target, has_check, phase
from havre.store.ports import Change

ServiceKey = tuple[str, str, str]
_ARNS = ("service", "service-deployment", "service-revision")
GONE = ("TargetGroupNotFound", "TargetGroupNotFoundException")


class Said(NamedTuple):
    """Of load balancers: (group, id, port) → (state, description), and the groups that are not there any more."""

    targets: Mapping[Target, tuple[str, str]]
    gone: frozenset[str]


class Services:
    """Keyed by (account, region, ``cluster/name``)."""

    name = "ecs.service"
    watches: tuple[str, ...] = ("ecs.service", "ecs.task", "ecs.container_instance", "node.node", "node.balancer")
    resync = 300.0

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._store = deps.store
        self._ledger = ledger_of(deps.store)
        self._executors: Mapping[type[Effect], Executor] = {Advance: Advancing(deps)}

    @property
    def executors(self) -> Mapping[type[Effect], Executor]:
        return self._executors

    # Who is woken

    def keys_of(self, change: Change) -> Iterable[ServiceKey]:
        kind, (_, account, region, name) = change.key.kind, change.key
        if kind == "ecs.service":
            return ((account, region, name),)
        if kind == "ecs.task":
            return self._of_task(change)
        if kind == "ecs.container_instance":
            return _keys(self._store.find(SERVICE, "cluster", scoped(account, region, name.split("/", 1)[0])))
        if kind == "node.balancer":
            return _keys(self._store.find(SERVICE, "balanced", "1")) if _reports_differ(change) else ()
        if change.old is not None and change.new is not None and _same_room(change):
            return self._unplaced() if _ports_freed(change) else ()
        daemons = _keys(s for s in self._store.list(SERVICE) if s.spec.scheduling == "DAEMON")
        return (*self._unplaced(), *daemons, *self._on(name))

    def _on(self, node: str) -> set[ServiceKey]:
        """The services that have tasks there."""
        tasks = [t for t in self._store.find(TASK, "node", node) if t.spec.service]
        return {(t.meta.account, t.meta.region, f"{t.spec.cluster}/{t.spec.service}") for t in tasks}

    def _of_task(self, change: Change) -> Iterable[ServiceKey]:
        task, keys = change.new or change.old, []
        assert task is not None
        if task.spec.service and (change.old is None or change.new is None or _matters(change.old, change.new)):
            keys.append((task.meta.account, task.meta.region, f"{task.spec.cluster}/{task.spec.service}"))
        if change.new is None or change.new.status.last == "STOPPED":
            keys += self._unplaced()
        return keys

    def _unplaced(self) -> list[ServiceKey]:
        return _keys(self._store.find(SERVICE, "unplaced", "1"))

    def all_keys(self) -> Iterable[ServiceKey]:
        return _keys(self._store.list(SERVICE))

    def key_of(self, arn: str) -> ServiceKey | None:
        parts = arn.split(":", 5)
        kind, *name = parts[-1].split("/")
        if len(parts) != 6 or parts[2] != "ecs" or kind not in _ARNS or len(name) < 2:
            return None
        return parts[4], parts[3], "/".join(name[:2])

    # What is seen

    async def observe(self, key: ServiceKey) -> ServiceSeen | None:
        service = self._store.get(SERVICE, *key)
        if service is None:
            return None
        said = await self._said(service)
        service = self._store.get(SERVICE, *key)  # everything else at one moment, behind what had to be asked for
        if service is None:
            return None
        tasks, known = self._tasks(service), tuple(deployments(self._store, service))
        leftovers: tuple[Record, ...] = ()
        if service.spec.state == "INACTIVE" and (events := self._store.get(EVENTS, *key)) is not None:
            leftovers = (events,)
        sight = self._sight(service, known, tasks, said)
        return ServiceSeen(service, known, tasks, sight, self._places(service, known), leftovers)

    def _tasks(self, service: ServiceRecord) -> tuple[TaskRecord, ...]:
        m = service.meta
        return tuple(self._store.find(TASK, "service", scoped(m.account, m.region, m.name)))

    async def _said(self, service: ServiceRecord) -> Said:
        """What the load balancers say of the tasks that run."""
        running = [t for t in self._tasks(service) if t.status.last == "RUNNING" and t.spec.desired == "RUNNING"]
        groups = sorted({group for t in running for group, _, _ in t.status.registered})
        found: dict[Target, tuple[str, str]] = {}
        gone: set[str] = set()
        if service.spec.state != "ACTIVE":
            return Said(found, frozenset(gone))
        aws = self._deps.aws_for(service.meta.account, service.meta.region, PRINCIPAL)
        for group in groups:
            try:
                answer = await aws("elbv2", "DescribeTargetHealth", {"TargetGroupArn": group})
            except ApiError as error:
                if error.code not in GONE:
                    raise
                gone.add(group)
                continue
            for each in answer.get("TargetHealthDescriptions") or ():
                target, health = each["Target"], each.get("TargetHealth") or {}
                state = (health.get("State") or "", health.get("Description") or "")
                found[group, target["Id"], target["Port"]] = state
        return Said(found, frozenset(gone))

    def _sight(
        self, service: ServiceRecord, known: Sequence[DeploymentRecord], tasks: Sequence[TaskRecord], said: Said
    ) -> Sight:
        m = service.meta
        cluster = (m.account, m.region, service.spec.cluster)
        at = {name: self._ledger.place_at(cluster, name) for name in {t.spec.instance for t in tasks}}
        return Sight(
            now=self._deps.world.now(),
            grace=service.spec.grace,
            checked=self._checked(service, tasks),
            targets=said.targets,
            gone=said.gone,
            proven=frozenset(id for d in known for id in d.status.proven),
            closed=frozenset(name for name, place in at.items() if place is not None and not place.accepting),
            zones={node: zone_of(m.region, self._ledger.zone(node)) for node in {t.spec.node for t in tasks}},
            heard={node: self._ledger.heard(node) for node in {t.spec.node for t in tasks}},
        )

    def _checked(self, service: ServiceRecord, tasks: Sequence[TaskRecord]) -> frozenset[str]:
        """The definitions of its running tasks that have a container health check."""
        m, checked = service.meta, set()
        for name in {t.spec.definition for t in tasks if t.status.last == "RUNNING"}:
            definition = self._store.get(TASK_DEFINITION, m.account, m.region, name)
            if definition is not None and has_check(definition.spec.body):
                checked.add(name)
        return frozenset(checked)

    def _places(self, service: ServiceRecord, known: Sequence[DeploymentRecord]) -> tuple[str, ...]:
        m, spec = service.meta, service.spec
        if spec.scheduling != "DAEMON" or spec.state != "ACTIVE":
            return ()
        launch = next(d for d in known if d.meta.name == spec.primary).spec.launch
        definition = self._store.get(TASK_DEFINITION, m.account, m.region, launch.definition)
        if definition is None:
            return ()
        return daemon_places(self._ledger, (m.account, m.region, spec.cluster), launch, definition.spec.body)

    def decide(self, seen: ServiceSeen) -> Plan:
        return decide(seen)


def _keys(services: Iterable[ServiceRecord]) -> list[ServiceKey]:
    return [(s.meta.account, s.meta.region, s.meta.name) for s in services]


def _matters(old: TaskRecord, new: TaskRecord) -> bool:
    return _told(old) != _told(new)


def _told(task: TaskRecord) -> tuple[Any, ...]:
    """What a service looks at: not each step of a task on its way."""
    spec, status = task.spec, task.status
    far = phase(status.last)
    health = status.health if far == "running" else ""
    return far, health, status.registered_at, spec.desired, spec.protected, spec.protected_until


def _reports_differ(change: Change) -> bool:
    """Whether the load balancer says other things of its targets than before."""
    said = [r.status.report.targets if r is not None and r.status.report else () for r in (change.old, change.new)]
    return bool(said[0] != said[1])


def _same_room(change: Change) -> bool:
    """Whether a node's change leaves placement as it was, but for ports."""
    assert change.old is not None and change.new is not None
    told = [
        (r.spec, s.connected, s.cpu, s.memory, s.engine_error, s.network_error, s.architecture)
        for r in (change.old, change.new)
        for s in (r.status,)
    ]
    return bool(told[0] == told[1])


def _ports_freed(change: Change) -> bool:
    assert change.old is not None and change.new is not None
    old, new = change.old.status, change.new.status
    return bool({*old.used_host_ports} - {*new.used_host_ports} or {*old.used_udp_ports} - {*new.used_udp_ports})
