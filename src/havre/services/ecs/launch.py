"""From a wish to start tasks to placed tasks: RunTask, StartTask and the service reconciler share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from havre.core.placement import Constraint, Demand, Place, Refusal, Strategy, place, suits
from havre.core.placement.model import FARGATE_CPU_OVERCOMMIT
from havre.kernel.arn import arn
from havre.kernel.world import World
from havre.services.ecs.ledger import ClusterKey, Ledger, scope
from havre.services.ecs.queries import DefinitionRecord, TaskRecord
from havre.services.ecs.resources import TASK, Launch, Task, TaskStatus
from havre.services.ecs.rules.fargate import sizes
from havre.store.ports import Transaction

Json = Mapping[str, Any]
ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "aarch64"}


class Order(msgspec.Struct, frozen=True):
    """Start tasks of one kind. ``template`` is the task as it is to be written but for where and which id."""

    account: str
    region: str
    launch: Launch
    definition: DefinitionRecord
    template: Task
    demand: Demand
    providers: Mapping[str, int] = {}
    """How many tasks each capacity provider runs already, for its base and weight."""
    ordinal: int = 0
    """Where to begin among subnets that have equally many tasks."""
    subnets: Mapping[str, int] = {}
    """How many tasks each subnet has already."""


class Placed(NamedTuple):
    id: str
    spec: Task
    status: TaskStatus


class Size(NamedTuple):
    cpu: int
    memory: int
    tcp: tuple[int, ...]
    udp: tuple[int, ...]


def size(body: Json, overrides: Json) -> Size:
    """What a task of this definition reserves. Raises ClientException for overrides that are no sizes."""
    changed = {o.get("name"): o for o in overrides.get("containerOverrides", ())}
    containers = [{**c, **changed.get(c["name"], {})} for c in body["containerDefinitions"]]
    cpu, memory = sizes(overrides.get("cpu") or body.get("cpu"), overrides.get("memory") or body.get("memory"))
    cpu = cpu or sum(c.get("cpu", 0) for c in containers)
    memory = memory or sum(c.get("memoryReservation") or c.get("memory") or 0 for c in containers)
    tcp: list[int] = []
    udp: list[int] = []
    if body.get("networkMode", "bridge") != "awsvpc":
        for each in body["containerDefinitions"]:
            for mapping in each["portMappings"]:
                if mapping["hostPort"]:
                    (tcp if mapping["protocol"] == "tcp" else udp).append(mapping["hostPort"])
    return Size(cpu, memory, tuple(tcp), tuple(udp))


def order(owner: tuple[str, str], launch: Launch, definition: DefinitionRecord, template: Task, **more: Any) -> Order:
    """Complete the template and the demand out of the definition. ``owner`` is (account, region)."""
    body = definition.spec.body
    needs = size(body, template.overrides)
    template = msgspec.structs.replace(
        template, cpu=needs.cpu, memory=needs.memory, tcp=needs.tcp, udp=needs.udp, definition=definition.meta.name
    )
    demand = msgspec.structs.replace(
        demand_for(launch, body),
        cpu=needs.cpu // FARGATE_CPU_OVERCOMMIT if launch.type == "FARGATE" else needs.cpu,
        memory=needs.memory,
        tcp=needs.tcp,
        udp=needs.udp,
        group=scope(*owner, template.cluster, template.group),
    )
    return Order(*owner, launch, definition, template, demand, **more)


def demand_for(launch: Launch, body: Json) -> Demand:
    """What a task asks of a machine by its nature: all but how much room it takes."""
    constraints = [Constraint(c["type"], c.get("expression", "")) for c in body["placementConstraints"]]
    constraints += [Constraint(t, e) for t, e in launch.constraints]
    return Demand(
        awsvpc=body.get("networkMode") == "awsvpc",
        architecture=ARCHITECTURES.get((body.get("runtimePlatform") or {}).get("cpuArchitecture", ""), ""),
        constraints=tuple(constraints),
        strategies=tuple(Strategy(t, f) for t, f in launch.strategies),
    )


def daemon_places(ledger: Ledger, cluster: ClusterKey, launch: Launch, body: Json) -> tuple[str, ...]:
    """Where a DAEMON is to run: the instances that accept tasks and have what it asks for, room or not."""
    demand = demand_for(launch, body)
    return tuple(sorted(p.name for p in ledger.places(cluster, "EC2") if suits(demand, p)))


def place_tasks(ledger: Ledger, world: World, wish: Order, count: int) -> tuple[list[Placed], list[Refusal]]:
    """Choose machines and reserve on them. What comes back is to be written (``write``) or given back
    (``ledger.release``). Fewer than ``count`` come with the refusals, the nearest miss first."""
    places = ledger.places((wish.account, wish.region, wish.template.cluster), wish.launch.type)
    chosen, refused = place(wish.demand, places, count, world.chance.randrange)
    return put(ledger, world, wish, chosen), refused


def put(ledger: Ledger, world: World, wish: Order, chosen: Sequence[Place]) -> list[Placed]:
    """Make the tasks for places that are taken already."""
    made = []
    providers, subnets = dict(wish.providers), Counter(wish.subnets)
    for n, at in enumerate(chosen):
        id = world.hex()
        ledger.reserve(id, at, wish.demand)
        provider = _provider(wish.launch.providers, providers)
        providers[provider] = providers.get(provider, 0) + 1
        awsvpc = wish.demand.awsvpc
        spec = msgspec.structs.replace(
            wish.template,
            node=at.machine.id,
            instance=at.name if wish.launch.type == "EC2" else "",
            provider=provider,
            attachment=world.uuid() if awsvpc else "",
            subnets=_subnet(wish, n, subnets) if awsvpc else None,
        )
        made.append(Placed(id, spec, TaskStatus(last="PROVISIONING" if awsvpc else "PENDING")))
    return made


def _subnet(wish: Order, n: int, taken: Counter[str]) -> Any:
    """The task's own subnet first: one that has the fewest tasks, so that they are spread over zones."""
    given = wish.launch.subnets
    if given is None or len(given.subnets) < 2:
        return given
    turn = (wish.ordinal + n) % len(given.subnets)
    order = given.subnets[turn:] + given.subnets[:turn]
    own = min(order, key=lambda subnet: taken[subnet])
    taken[own] += 1
    return msgspec.structs.replace(given, subnets=(own, *(s for s in order if s != own)))


def _provider(strategy: Sequence[tuple[str, int, int]], running: Mapping[str, int]) -> str:
    """The capacity provider of the next task: bases first, then by weight."""
    if not strategy:
        return ""
    for name, base, _ in strategy:
        if running.get(name, 0) < base:
            return name
    weighted = [(name, base, weight) for name, base, weight in strategy if weight > 0]
    best = min(weighted or strategy, key=lambda s: (running.get(s[0], 0) - s[1] + 1) / (s[2] or 1))
    return best[0]


def task_arn(account: str, region: str, cluster: str, id: str) -> str:
    return arn("ecs", region, account, f"task/{cluster}/{id}")


def write(tx: Transaction, account: str, region: str, placed: Sequence[Placed]) -> list[TaskRecord]:
    return [
        tx.create(
            TASK,
            account=account,
            region=region,
            name=id,
            arn=task_arn(account, region, spec.cluster, id),
            spec=spec,
            status=status,
        )
        for id, spec, status in placed
    ]
