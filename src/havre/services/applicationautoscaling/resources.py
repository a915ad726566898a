"""Scalable targets, policies, scheduled actions and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from havre.core.autoscaling.steps import Stepping
from havre.core.autoscaling.tracking import Bounds, Tracking
from havre.kernel.resource import Kind, NoStatus, Resource, scoped

LAMBDA, ECS = "lambda:function:ProvisionedConcurrency", "ecs:service:DesiredCount"


class Target(msgspec.Struct, frozen=True):
    """``resource`` as AWS names it: ``function:name:qualifier``, ``service/cluster/name``. ``suspended``: scaling in,
    scaling out, schedules."""

    namespace: str
    resource: str
    dimension: str
    bounds: Bounds
    id: str
    suspended: tuple[bool, bool, bool] = (False, False, False)
    tags: dict[str, str] = {}


class Policy(msgspec.Struct, frozen=True):
    """A target tracking policy on ``target`` (the name of its record). None where a member was not given. ``metric`` is a
    predefined one (``label``: of which load balancer and target group); or it is "", and ``customized`` is the
    CustomizedMetricSpecification."""

    target: str
    name: str
    id: str
    tracking: Tracking
    metric: str
    out_cooldown: int | None = None
    in_cooldown: int | None = None
    customized: Mapping[str, Any] | None = None
    label: str = ""
    stepping: Stepping | None = None
    """Of a step scaling policy, which has no ``tracking`` of its own."""
    aggregation: str | None = None


class Action(msgspec.Struct, frozen=True):
    """A scheduled action. ``start`` and ``end`` in seconds since the epoch."""

    target: str
    name: str
    id: str
    schedule: str
    zone: str
    least: int | None
    most: int | None
    made: float
    start: float | None = None
    end: float | None = None


class ActionStatus(msgspec.Struct, frozen=True):
    """``done``: the last time of the schedule that was carried out."""

    done: float = 0.0


class Activity(msgspec.Struct, frozen=True):
    target: str
    id: str
    description: str
    cause: str
    began: float
    ended: float
    status: str
    message: str = ""


TargetR: TypeAlias = Resource[Target, NoStatus]
PolicyR: TypeAlias = Resource[Policy, NoStatus]
ActionR: TypeAlias = Resource[Action, ActionStatus]
ActivityR: TypeAlias = Resource[Activity, NoStatus]


def _of_target(resource: PolicyR | ActionR | ActivityR) -> str:
    return scoped(resource.meta.account, resource.meta.region, resource.spec.target)


TARGET: Kind[Target, NoStatus] = Kind("autoscaling.target", Target, NoStatus, {"arn": lambda r: r.meta.arn})
POLICY: Kind[Policy, NoStatus] = Kind("autoscaling.policy", Policy, NoStatus, {"target": _of_target})
ACTION: Kind[Action, ActionStatus] = Kind("autoscaling.action", Action, ActionStatus, {"target": _of_target})
ACTIVITY: Kind[Activity, NoStatus] = Kind("autoscaling.activity", Activity, NoStatus, {"target": _of_target})
KINDS = (TARGET, POLICY, ACTION, ACTIVITY)


def target_name(dimension: str, resource: str) -> str:
    return f"{dimension}|{resource}"


def part_name(target: str, name: str) -> str:
    return f"{target}|{name}"
