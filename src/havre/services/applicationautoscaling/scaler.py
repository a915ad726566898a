"""The loop: measure, decide, scale; carry out what schedules say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from msgspec.structs import replace

from havre.control.deps import ReconcilerDeps
from havre.core.autoscaling.tracking import MINUTE, Bounds, sample, together, wanted
from havre.core.schedules import parse
from havre.kernel.errors import ApiError, Conflict, Permanent, Temporary
from havre.kernel.resource import NoStatus, scoped
from havre.services.applicationautoscaling import metrics, scalable
from havre.services.applicationautoscaling.measures import Measures
from havre.services.applicationautoscaling.resources import (
    ACTION,
    ACTIVITY,
    POLICY,
    TARGET,
    ActionR,
    ActionStatus,
    Activity,
    PolicyR,
    TargetR,
    part_name,
)
from havre.services.applicationautoscaling.stepping import Stepper
from havre.store.ports import Transaction

log = logging.getLogger("havre.autoscaling")
EVERY = 5.0
KEPT = 50
"""Activities of one target."""
BOUNDS = "minimum and maximum capacity"


class Scaler:
    def __init__(self, deps: ReconcilerDeps, measures: Measures) -> None:
        self._deps = deps
        self._store, self._world = deps.store, deps.world
        self._measures = measures
        self._minutes: dict[str, dict[str, dict[int, float]]] = {}
        """By the ARNs of targets and of policies."""
        self._asked: dict[str, tuple[tuple[float, int], Mapping[int, float]]] = {}
        """By the ARN of the policy: when CloudWatch was asked last (and for which version of it), and what it said."""
        self._began = deps.world.now()
        self._stepper = Stepper(deps)
        self._scaled: dict[str, tuple[float, float]] = {}
        self._failed: dict[str, str] = {}
        self.progress: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(EVERY)

    async def turn(self) -> None:
        """Everything once."""
        for target in list(self._store.list(TARGET)):
            try:
                await self._look(target)
            except (ApiError, Temporary, Permanent, Conflict) as error:
                log.warning("%s: %s", target.spec.resource, error)
        known = {t.meta.arn for t in self._store.list(TARGET)}
        for gone in (self._minutes.keys() | self._scaled.keys() | self._failed.keys()) - known:
            self._minutes.pop(gone, None)
            self._scaled.pop(gone, None)
            self._failed.pop(gone, None)
        policies = {p.meta.arn for p in self._store.list(POLICY)}
        self._asked = {arn: asked for arn, asked in self._asked.items() if arn in policies}
        self._stepper.keep_only(policies)
        self.progress = self._world.now()

    async def _look(self, target: TargetR) -> None:
        m = target.meta
        for action in self._store.find(ACTION, "target", scoped(m.account, m.region, m.name)):
            if not target.spec.suspended[2]:
                target = await self._scheduled(target, action)
        spec = target.spec
        aws = self._deps.aws_for(m.account, m.region, scalable.PRINCIPALS[spec.dimension])
        now_there = await scalable.capacity(aws, spec.dimension, spec.resource)
        if now_there is None:
            return
        held = spec.bounds.hold(now_there)
        if held != now_there:
            await self._scale(target, now_there, held, BOUNDS)
            return
        await self._track(target, now_there)

    async def _track(self, target: TargetR, capacity: int) -> None:
        m, spec, now = target.meta, target.spec, self._world.now()
        out_at, in_at = self._scaled.get(m.arn, (0.0, 0.0))
        wants: dict[str, tuple[int, bool]] = {}
        stepped: list[tuple[int, PolicyR]] = []
        for policy in self._store.find(POLICY, "target", scoped(m.account, m.region, m.name)):
            if policy.spec.stepping is not None:
                stepped.append((await self._stepper.wanted(target, policy, capacity), policy))
                continue
            tracking = policy.spec.tracking
            minutes = await self._measure(target, policy)
            want = wanted(minutes, capacity, tracking, spec.bounds, now, out_at, in_at)
            wants[policy.spec.name] = (want, tracking.scale_in)
        to = together(capacity, tuple(wants.values()))
        moved = [pair for pair in stepped if pair[0] > max(capacity, to) or pair[0] < capacity == to]
        if moved:
            to, policy = max(moved, key=lambda pair: pair[0])
            wants[policy.spec.name] = (to, True)
        if to == capacity or spec.suspended[1 if to > capacity else 0]:
            return
        cause = next(name for name, (want, _) in wants.items() if want == to)
        if await self._scale(target, capacity, to, f"policy {cause}"):
            for _, policy in moved:
                self._stepper.scaled(policy, capacity)
        self._minutes.pop(m.arn, None)

    async def _measure(self, target: TargetR, policy: PolicyR) -> Mapping[int, float]:
        """Minutes since the epoch → what the policy's metric was; of no minute before the process or the last change began:
        what was measured then says nothing of what is there now."""
        m, spec, now = target.meta, target.spec, self._world.now()
        known = self._minutes.setdefault(m.arn, {})
        if policy.spec.metric == metrics.PROVISIONED:
            name, qualifier = scalable.function(spec.resource)
            used = self._measures.provisioned_concurrency(m.account, m.region, name, qualifier)
            if used is not None:
                known[policy.meta.arn] = sample(known.get(policy.meta.arn, {}), now, used)
            return known.get(policy.meta.arn, {})
        asked = self._asked.get(policy.meta.arn)
        if asked is None or asked[0] != (now // MINUTE, policy.meta.version):
            aws = self._deps.aws_for(m.account, m.region, scalable.PRINCIPALS[spec.dimension])
            found = await metrics.minutes(aws, metrics.queries(policy.spec, spec), now)
            asked = self._asked[policy.meta.arn] = ((now // MINUTE, policy.meta.version), found)
        since = max(self._began, *self._scaled.get(m.arn, (0.0, 0.0))) // MINUTE
        return {minute: value for minute, value in asked[1].items() if minute > since}

    async def _scale(self, target: TargetR, capacity: int, to: int, cause: str) -> bool:
        """Whether it could be done."""
        m, spec, began = target.meta, target.spec, self._world.now()
        aws = self._deps.aws_for(m.account, m.region, scalable.PRINCIPALS[spec.dimension])
        words, status, message = f"Setting capacity to {to}.", "Successful", ""
        try:
            await scalable.scale(aws, spec.dimension, spec.resource, to)
        except ApiError as error:
            status, message = "Failed", f"Failed to set capacity to {to}. Reason: {error.message}"
            if self._failed.get(m.arn) == message:  # told already; tried again all the same
                return False
            self._failed[m.arn] = message
        else:
            message = f"Successfully set capacity to {to}. Change successfully fulfilled."
            self._failed.pop(m.arn, None)
            out_at, in_at = self._scaled.get(m.arn, (0.0, 0.0))
            self._scaled[m.arn] = (began, in_at) if to > capacity else (out_at, began)
        await self._tell(target, words, cause, began, status, message)
        return status == "Successful"

    async def _scheduled(self, target: TargetR, action: ActionR) -> TargetR:
        from zoneinfo import ZoneInfo  # it loads half a megabyte: not before there is a schedule

        spec, now = action.spec, self._world.now()
        schedule = parse(spec.schedule, spec.start or spec.made, ZoneInfo(spec.zone), at=True)
        since = max(action.status.done, (spec.start or 0.0) - 1e-6)
        due = schedule.after(since)
        if due is None or due > now or (spec.end is not None and due > spec.end):
            return target
        bounds = target.spec.bounds
        least = spec.least if spec.least is not None else min(bounds.least, spec.most or 0)
        most = spec.most if spec.most is not None else max(bounds.most, least)
        changed = replace(target.spec, bounds=Bounds(least, max(least, most)))

        def change(tx: Transaction) -> TargetR:
            tx.update(action, status=ActionStatus(now))
            return tx.update(target, spec=changed)

        target = await self._store.transact(change)
        words = f"Setting min capacity to {least} and max capacity to {changed.bounds.most}"
        await self._tell(target, words, f"scheduled action name {spec.name} was triggered", now, "Successful", words)
        return target

    async def _tell(self, target: TargetR, words: str, cause: str, began: float, status: str, message: str) -> None:
        m, id, ended = target.meta, self._world.uuid(), self._world.now()
        spec = Activity(m.name, id, words, cause, began, ended, status, message)

        def change(tx: Transaction) -> None:
            old = sorted(tx.find(ACTIVITY, "target", scoped(m.account, m.region, m.name)), key=lambda a: a.spec.began)
            for each in old[: max(0, len(old) - KEPT + 1)]:
                tx.remove(each)
            where = {"account": m.account, "region": m.region, "name": part_name(m.name, id), "arn": ""}
            tx.create(ACTIVITY, spec=spec, status=NoStatus(), **where)

        await self._store.transact(change)
