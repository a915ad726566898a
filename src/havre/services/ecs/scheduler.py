"""The service scheduler: what a service does next. Pure; the steps themselves are core/deployment's."""

from __future__ import annotations

import msgspec

from havre.core.deployment import Breaker, Rollout, RolloutView, Step, TaskView, Wish, back_off, judge, roll, spread
from havre.kernel.effects import Effect, Plan, Remove
from havre.services.ecs.queries import DeploymentRecord, Record, ServiceRecord, TaskRecord
from havre.services.ecs.resources import DeploymentStatus, Json, Service, ServiceStatus
from havre.services.ecs.views import Sight, unhealthy_words, view

replace = msgspec.structs.replace
KEPT = 3600.0
"""Seconds that a deleted service can be described."""
RETRY = 30.0
"""Seconds after which placement is tried again though nothing has changed."""
GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
IMPAIRED = f"is unable to consistently start tasks successfully. {GUIDE}"
STUCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)
BREAKER = "ECS deployment circuit breaker: tasks failed to start."
FAILED = "deployment failed: tasks failed to start."


class Advance(Effect, frozen=True):
    """One step of a service, all of it in one transaction, if the service still is as it was seen.

    ``stops``: (task id, why), if the tasks ``trusted`` to serve meanwhile still run, and the ``useless`` ones among those
    that are stopped, (id, version), have not changed and nobody settles before ``until``. ``start`` tasks go where
    placement decides, or one to each instance of ``at``.
    """

    service: ServiceRecord
    status: ServiceStatus
    spec: Service | None = None
    deployments: tuple[tuple[DeploymentRecord, DeploymentStatus], ...] = ()
    stops: tuple[tuple[str, str], ...] = ()
    trusted: tuple[str, ...] = ()
    useless: tuple[tuple[str, int], ...] = ()
    until: float | None = None
    start: int = 0
    at: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()


class ServiceSeen(msgspec.Struct, frozen=True):
    """``deployments``: oldest first. ``places``: container instances that a DAEMON is to run on. ``leftovers``: what
    goes with a service that nobody can describe any more."""

    service: ServiceRecord
    deployments: tuple[DeploymentRecord, ...]
    tasks: tuple[TaskRecord, ...]
    sight: Sight
    places: tuple[str, ...] = ()
    leftovers: tuple[Record, ...] = ()

    @property
    def now(self) -> float:
        return self.sight.now


class Decision(msgspec.Struct, frozen=True):
    """What was found out about an ACTIVE service, on the way to a plan."""

    primary: DeploymentRecord
    desired: int
    tasks: tuple[TaskView, ...]
    rollout: Rollout
    step: Step
    throttled: float = 0.0


def breaker_of(configuration: Json) -> Breaker:
    given = configuration.get("deploymentCircuitBreaker") or {}
    limit = given.get("thresholdConfiguration") or {}
    return Breaker(
        enable=given.get("enable", False),
        rollback=given.get("rollback", False),
        reset=given.get("resetOnHealthyTask", True),
        kind=limit.get("type", "BOUNDED_PERCENT"),
        value=limit.get("value", 50),
    )


def decide(seen: ServiceSeen) -> Plan:
    state = seen.service.spec.state
    if state == "INACTIVE":
        return _past(seen)
    return _drain(seen) if state == "DRAINING" else _active(seen)


# The end of a service


def _past(seen: ServiceSeen) -> Plan:
    goes = seen.service.spec.deleted + KEPT
    if seen.now < goes:
        return Plan(wake_at=goes, reasons=("The service was deleted.",))
    return Plan(writes=tuple(Remove(r) for r in (*seen.deployments, *seen.leftovers, seen.service)))


def _drain(seen: ServiceSeen) -> Plan:
    service = seen.service
    left = [t for t in seen.tasks if t.status.last != "STOPPED"]
    reasons = (f"The service was deleted; {len(left)} of its tasks have not stopped yet.",)
    stops = tuple((t.meta.name, _scaling(service)) for t in left if t.spec.desired == "RUNNING")
    if stops:
        return Plan((Advance(_key(seen), service, service.status, stops=stops, messages=_stopped(seen, stops)),))
    if left:
        return Plan(reasons=reasons)
    spec = replace(service.spec, state="INACTIVE", deleted=seen.now)
    return Plan((Advance(_key(seen), service, service.status, spec),), reasons=("Its last task has stopped.",))


def _key(seen: ServiceSeen) -> str:
    return f"{seen.service.meta.arn}@{seen.service.meta.version}"


def _scaling(service: ServiceRecord) -> str:
    return f"Scaling activity initiated by (deployment {service.spec.primary})"


# An active one


def _active(seen: ServiceSeen) -> Plan:
    found = _judged(seen)
    if found.rollout.back_to:
        return _roll_back(seen, found)
    now, before = seen.now, seen.service.status
    start, at = found.step.start, found.step.at
    if now < found.throttled:
        start, at = 0, ()
    steady = _is_steady(found) and not start and not found.step.stop
    status = replace(
        before,
        steady=steady,
        stuck=found.step.stuck,
        throttled=found.throttled,
        instances=len(seen.places),
        unplaced=before.unplaced if start else "",
        crowded=before.crowded and start > 0,
    )
    progress = _progress(seen, found)
    messages = _messages(seen, found, status, progress)
    wake = _wake(seen, found, start)
    reasons = _reasons(seen, found, status, start)
    changed = progress != found.primary.status
    if not (start or found.step.stop or messages or changed or status != before):
        return Plan(wake_at=wake, reasons=reasons)
    deployments = ((found.primary, progress),) if changed else ()
    effect = Advance(
        _key(seen),
        seen.service,
        status,
        deployments=deployments,
        stops=found.step.stop,
        trusted=_trusted(found),
        useless=_useless(seen, found),
        until=found.rollout.settles if found.step.stop else None,
        start=start,
        at=at,
        messages=messages,
    )
    return Plan((effect,), wake_at=wake, reasons=reasons)


def _judged(seen: ServiceSeen) -> Decision:
    spec, status = seen.service.spec, seen.service.status
    primary = next(d for d in seen.deployments if d.meta.name == spec.primary)
    daemon = spec.scheduling == "DAEMON"
    desired = len(seen.places) if daemon else spec.desired
    tasks = tuple(view(t, seen.sight) for t in seen.tasks)
    others = [_rollout_view(d) for d in seen.deployments]
    rollout = judge(_rollout_view(primary), others, tasks, desired, breaker_of(spec.deployment))
    wish = Wish(
        primary=spec.primary,
        desired=desired,
        minimum_percent=spec.deployment["minimumHealthyPercent"],
        maximum_percent=spec.deployment["maximumPercent"],
        stalled=rollout.state == "FAILED",
        unplaced=status.crowded,
        places=seen.places,
    )
    step = spread(wish, tasks) if daemon else roll(wish, tasks)
    throttled = status.throttled
    if rollout.failed > primary.status.failed and (wait := back_off(rollout.failures, desired)):
        throttled = seen.now + wait
    elif not rollout.failures:
        throttled = 0.0
    return Decision(primary, desired, tasks, rollout, step, throttled)


def _rollout_view(record: DeploymentRecord) -> RolloutView:
    s = record.status
    return RolloutView(
        id=record.meta.name,
        number=record.spec.number,
        state=s.state,
        was_completed=s.was_completed,
        rolling_back=s.was_completed and s.state == "IN_PROGRESS",
        failures=s.failures,
        failed=s.failed,
        counted=s.counted,
    )


def _trusted(found: Decision) -> tuple[str, ...]:
    """The healthy tasks that stay, where healthy ones leave."""
    going = dict(found.step.stop)
    healthy = [t.id for t in found.tasks if t.alive and t.healthy]
    return tuple(id for id in healthy if id not in going) if any(id in going for id in healthy) else ()


def _useless(seen: ServiceSeen, found: Decision) -> tuple[tuple[str, int], ...]:
    """The tasks that are stopped because they do not serve."""
    going = dict(found.step.stop)
    sick = {t.id for t in found.tasks if t.id in going and not t.healthy and t.phase == "running"}
    return tuple((t.meta.name, t.meta.version) for t in seen.tasks if t.meta.name in sick)


def _is_steady(found: Decision) -> bool:
    mine = [t for t in found.tasks if t.alive and t.deployment == found.primary.meta.name]
    others = any(t.phase != "stopped" for t in found.tasks if not t.alive or t.deployment != found.primary.meta.name)
    healthy = sum(1 for t in mine if t.healthy)
    return found.rollout.state == "COMPLETED" and healthy >= found.desired and len(mine) == found.desired and not others


def _progress(seen: ServiceSeen, found: Decision) -> DeploymentStatus:
    """What becomes of the primary deployment's status."""
    primary, rollout = found.primary, found.rollout
    alive = {t.id for t in found.tasks if t.alive}
    healthy = {t.id for t in found.tasks if t.alive and t.healthy and t.deployment == primary.meta.name}
    status = replace(
        primary.status,
        failures=rollout.failures,
        failed=rollout.failed,
        counted=rollout.counted,
        proven=tuple(sorted(healthy | (alive & set(primary.status.proven)))),
    )
    if primary.status.state != "IN_PROGRESS" or rollout.state == "IN_PROGRESS":
        return status
    if rollout.state == "COMPLETED":
        reason = f"ECS deployment {primary.meta.name} completed."
        return replace(status, state="COMPLETED", reason=reason, was_completed=True, finished=seen.now)
    return replace(status, state="FAILED", reason=BREAKER, finished=seen.now)


def _roll_back(seen: ServiceSeen, found: Decision) -> Plan:
    """The circuit breaker has tripped: the last good deployment becomes the primary one again."""
    primary, rollout = found.primary, found.rollout
    good = next(d for d in seen.deployments if d.meta.name == rollout.back_to)
    counted = replace(primary.status, failures=rollout.failures, failed=rollout.failed, counted=rollout.counted)
    failed = given_up(counted, rollout.back_to, seen.now, BREAKER)
    reason = f"ECS deployment circuit breaker: rolling back to deploymentId {rollout.back_to}."
    again = taken_up(good.status, reason)
    messages = (f"(deployment {primary.meta.name}) {FAILED}", f"rolling back to deployment {rollout.back_to}.")
    effect = Advance(
        _key(seen),
        seen.service,
        replace(seen.service.status, steady=False, throttled=0.0, unplaced="", crowded=False, stuck=False),
        replace(seen.service.spec, primary=rollout.back_to),
        ((primary, failed), (good, again)),
        messages=messages,
    )
    return Plan((effect,), reasons=(reason,))


def given_up(status: DeploymentStatus, back_to: str, now: float, reason: str) -> DeploymentStatus:
    return replace(status, state="FAILED", reason=reason, rollback_to=back_to, rolled_back=now, finished=now)


def taken_up(status: DeploymentStatus, reason: str) -> DeploymentStatus:
    """A deployment that was completed before and is rolled out again; it is never given up."""
    return replace(status, state="IN_PROGRESS", reason=reason, failures=0, finished=None)


# What is told


def _stopped(seen: ServiceSeen, stops: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    if not stops:
        return ()
    ids = {id for id, _ in stops}
    told = [f"has stopped {len(stops)} running tasks: {' '.join(f'(task {id})' for id, _ in stops)}."]
    draining = sum(1 for t in seen.tasks if t.meta.name in ids and t.status.registered)
    if draining:
        told.append(f"has begun draining connections on {draining} tasks.")
    return tuple(told)


def _messages(seen: ServiceSeen, found: Decision, status: ServiceStatus, progress: DeploymentStatus) -> tuple[str, ...]:
    """Service events, oldest first."""
    before, id = seen.service.status, found.primary.meta.name
    told: list[str] = []
    going = dict(found.step.stop)
    for task in seen.tasks:
        if task.meta.name in going and "health checks" in going[task.meta.name]:
            told += unhealthy_words(task, seen.sight) or [f"(task {task.meta.name}) failed container health checks."]
    told += _stopped(seen, found.step.stop)
    if status.stuck and not before.stuck:
        told.append(STUCK)
    if status.throttled > seen.now and before.throttled <= seen.now:
        told.append(IMPAIRED)
    if status.steady and not before.steady:
        told.append("has reached a steady state.")
    if progress.state != found.primary.status.state:
        ended = "deployment completed." if progress.state == "COMPLETED" else FAILED
        told.append(f"(deployment {id}) {ended}")
    return tuple(told)


def _wake(seen: ServiceSeen, found: Decision, start: int) -> float | None:
    """When to look again though nothing may change: tasks settle, waits end, room may be found."""
    times = [found.rollout.settles, found.throttled]
    times += [t.spec.protected_until for t in seen.tasks if t.spec.protected]
    if start:
        times.append(seen.now + RETRY)
    return min((t for t in times if t is not None and t > seen.now), default=None)


def _reasons(seen: ServiceSeen, found: Decision, status: ServiceStatus, start: int) -> tuple[str, ...]:
    """For ``havre explain``."""
    id = found.primary.meta.name
    alive = [t for t in found.tasks if t.alive]
    mine = [t for t in alive if t.deployment == id]
    healthy = sum(1 for t in mine if t.healthy)
    told = [f"{len(mine)} of {found.desired} tasks of deployment {id} are there, {healthy} of them healthy."]
    if status.unplaced:
        told.append(f"It {status.unplaced}")
    if found.throttled > seen.now:
        told.append(f"Its tasks keep failing: more are started in {found.throttled - seen.now:.0f} s.")
    if start and not status.unplaced:
        told.append(f"{start} tasks are to be started.")
    if len(alive) > len(mine):
        told.append(f"{len(alive) - len(mine)} tasks of earlier deployments are still to be replaced.")
    if status.stuck:
        told.append(f"It {STUCK}")
    told += [f"Task {t.id} is not healthy yet." for t in mine if t.phase == "running" and not t.healthy][:5]
    if healthy < found.desired:
        told += [f"Task {t.meta.name} failed: {t.status.stop_reason}" for t in _last_failed(seen, found)]
    told.append(found.primary.status.reason)
    return tuple(t for t in told if t)


def _last_failed(seen: ServiceSeen, found: Decision) -> list[TaskRecord]:
    failed = {t.id for t in found.tasks if t.failed and t.deployment == found.primary.meta.name}
    records = [t for t in seen.tasks if t.meta.name in failed]
    return sorted(records, key=lambda t: t.meta.created)[-1:]
