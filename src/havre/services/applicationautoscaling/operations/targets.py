"""Scalable targets, and what was done to them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.autoscaling.tracking import Bounds
from havre.kernel.resource import NoStatus, Resource, scoped
from havre.services.applicationautoscaling import queries, scalable
from havre.services.applicationautoscaling.errors import invalid, not_found
from havre.services.applicationautoscaling.resources import (
    ACTION,
    ACTIVITY,
    LAMBDA,
    POLICY,
    TARGET,
    ActivityR,
    Target,
    TargetR,
    target_name,
)
from havre.store.ports import Transaction

ops = Operations()


@ops("RegisterScalableTarget")
async def register_scalable_target(call: Call, request: Request) -> Answer:
    namespace, resource, dimension = queries.named(request)
    await _check_there(call, namespace, resource, dimension)
    id = call.world.hex(32)

    def change(tx: Transaction) -> TargetR:
        old = queries.find(tx, call, request)
        spec = _changed(old.spec if old is not None else None, request, namespace, resource, dimension, id)
        if old is not None:
            return tx.update(old, spec=spec)
        arn = call.arn(f"scalable-target/{id}")
        name = target_name(dimension, resource)
        where = {"account": call.account, "region": call.region, "name": name, "arn": arn}
        return tx.create(TARGET, spec=spec, status=NoStatus(), **where)

    return {"ScalableTargetARN": (await call.store.transact(change)).meta.arn}


async def _check_there(call: Call, namespace: str, resource: str, dimension: str) -> None:
    assert call.as_service is not None
    aws = call.as_service(scalable.PRINCIPALS[dimension])
    if await scalable.capacity(aws, dimension, resource) is None:
        what = "Lambda function" if dimension == LAMBDA else "ECS service"
        raise invalid(not_found(what, namespace, resource, dimension).message)


def _changed(old: Target | None, request: Request, namespace: str, resource: str, dimension: str, id: str) -> Target:
    least = request.get("MinCapacity", old.bounds.least if old is not None else None)
    most = request.get("MaxCapacity", old.bounds.most if old is not None else None)
    if least is None or most is None:
        raise invalid("MinCapacity and MaxCapacity must be given when a scalable target is registered.")
    if least > most or least < 0:
        raise invalid("Maximum capacity cannot be less than minimum capacity.")
    made = old or Target(namespace, resource, dimension, Bounds(least, most), id, tags=dict(request.get("Tags") or {}))
    state, before = request.get("SuspendedState") or {}, made.suspended
    names = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    suspended = tuple(bool(state.get(name, was)) for name, was in zip(names, before, strict=True))
    return replace(made, bounds=Bounds(least, most), suspended=(suspended[0], suspended[1], suspended[2]))


@ops("DeregisterScalableTarget")
async def deregister_scalable_target(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.get(tx, call, request)
        value = scoped(call.account, call.region, found.meta.name)
        hanging: list[Resource[Any, Any]] = [*tx.find(POLICY, "target", value), *tx.find(ACTION, "target", value)]
        for each in (*hanging, *tx.find(ACTIVITY, "target", value)):
            tx.remove(each)
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops("DescribeScalableTargets")
async def describe_scalable_targets(call: Call, request: Request) -> Answer:
    found = [t for t in call.store.list(TARGET, call.account, call.region) if queries.asked_for(request, t)]
    shown, token = queries.page(call, request, found, _target)
    return {"ScalableTargets": shown, "NextToken": token}


def _target(found: TargetR) -> dict[str, Any]:
    spec, m = found.spec, found.meta
    role = f"AWSServiceRoleForApplicationAutoScaling_{scalable.ROLES[spec.dimension]}"
    principal = scalable.PRINCIPALS[spec.dimension]
    names = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
    return {
        "ServiceNamespace": spec.namespace,
        "ResourceId": spec.resource,
        "ScalableDimension": spec.dimension,
        "MinCapacity": spec.bounds.least,
        "MaxCapacity": spec.bounds.most,
        "RoleARN": f"arn:aws:iam::{m.account}:role/aws-service-role/{principal}/{role}",
        "CreationTime": m.created,
        "SuspendedState": dict(zip(names, spec.suspended, strict=True)),
        "ScalableTargetARN": m.arn,
    }


@ops("DescribeScalingActivities")
async def describe_scaling_activities(call: Call, request: Request) -> Answer:
    found: list[tuple[TargetR, ActivityR]] = []
    for target in call.store.list(TARGET, call.account, call.region):
        if queries.asked_for(request, target):
            value = scoped(call.account, call.region, target.meta.name)
            found += [(target, activity) for activity in call.store.find(ACTIVITY, "target", value)]
    found.sort(key=lambda pair: pair[1].spec.began, reverse=True)
    shown, token = queries.page(call, request, found, _activity)
    return {"ScalingActivities": shown, "NextToken": token}


def _activity(pair: tuple[TargetR, ActivityR]) -> dict[str, Any]:
    target, spec = pair[0].spec, pair[1].spec
    return {
        "ActivityId": spec.id,
        "ServiceNamespace": target.namespace,
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
        "Description": spec.description,
        "Cause": spec.cause,
        "StartTime": spec.began,
        "EndTime": spec.ended,
        "StatusCode": spec.status,
        "StatusMessage": spec.message,
    }
