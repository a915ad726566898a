"""Scaling policies."""

from __future__ import annotations

from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.autoscaling.steps import Step, Stepping, fault
from havre.core.autoscaling.tracking import Tracking
from havre.kernel.resource import NoStatus
from havre.services.applicationautoscaling import metrics, parts, queries, scalable, stepping
from havre.services.applicationautoscaling.errors import absent, invalid
from havre.services.applicationautoscaling.resources import ECS, LAMBDA, POLICY, Policy, PolicyR, TargetR
from havre.store.ports import Transaction

ops = Operations()
STEPS, TRACKING = "StepScaling", "TargetTrackingScaling"
CONFIGURATIONS = {
    STEPS: "StepScalingPolicyConfiguration",
    TRACKING: "TargetTrackingScalingPolicyConfiguration",
}
COOLDOWN = {ECS: 300.0}
"""Seconds, where nothing is said."""


@ops("PutScalingPolicy")
async def put_scaling_policy(call: Call, request: Request) -> Answer:
    kind = request.get("PolicyType", STEPS)
    if kind not in CONFIGURATIONS:
        raise absent(f"PolicyType {kind}")
    given = request.get(CONFIGURATIONS[kind])
    if given is None:
        raise invalid(f"{CONFIGURATIONS[kind]} must be given for a policy of type {kind}.")
    make = _stepping if kind == STEPS else _policy
    id = call.world.uuid()
    if given.get("CustomizedMetricSpecification") is not None:
        target = queries.get(call.store, call, request)
        said = _policy(target, request["PolicyName"], given, id)
        assert call.as_service is not None
        await metrics.check(call.as_service(scalable.PRINCIPALS[target.spec.dimension]), said, target.spec, call.now)

    def change(tx: Transaction) -> PolicyR:
        target = queries.get(tx, call, request)
        name = request["PolicyName"]
        spec = make(target, name, given, id)
        old = parts.get(tx, call, POLICY, target, name)
        if old is not None:
            return tx.update(old, spec=make(target, name, given, old.spec.id))
        return tx.create(POLICY, spec=spec, status=NoStatus(), **parts.place(call, target, "scalingPolicy", id, name))

    return {"PolicyARN": (await call.store.transact(change)).meta.arn, "Alarms": []}


def _policy(target: TargetR, name: str, given: Any, id: str) -> Policy:
    """Raises ApiError."""
    fixed, own = given.get("PredefinedMetricSpecification"), given.get("CustomizedMetricSpecification")
    if (fixed is None) == (own is None):
        raise invalid(
            "Either PredefinedMetricSpecification or CustomizedMetricSpecification must be given, and not both."
        )
    value = float(given["TargetValue"])
    if value <= 0:
        raise invalid("The target value must be greater than 0.")
    metric = "" if fixed is None else metrics.predefined(fixed, target.spec, value)
    customized = None if own is None else metrics.customized(own)
    out, inward = given.get("ScaleOutCooldown"), given.get("ScaleInCooldown")
    usual = COOLDOWN.get(target.spec.dimension, 0.0)
    waits = [usual if each is None else float(each) for each in (out, inward)]
    tracking = Tracking(value, waits[0], waits[1], not given.get("DisableScaleIn"))
    label = "" if fixed is None else fixed.get("ResourceLabel") or ""
    return Policy(target.meta.name, name, id, tracking, metric, out, inward, customized, label)


def _stepping(target: TargetR, name: str, given: Any, id: str) -> Policy:
    """Raises ApiError."""
    if target.spec.dimension == LAMBDA:
        raise invalid(f"The policy type StepScaling is not supported for the scalable dimension {LAMBDA}.")
    kind, adjustments = given.get("AdjustmentType"), given.get("StepAdjustments") or ()
    if not kind or not adjustments:
        raise invalid("AdjustmentType and StepAdjustments must be given in StepScalingPolicyConfiguration.")
    bounds = ("MetricIntervalLowerBound", "MetricIntervalUpperBound")
    made = tuple(Step(each["ScalingAdjustment"], *(each.get(bound) for bound in bounds)) for each in adjustments)
    out, least = given.get("Cooldown"), given.get("MinAdjustmentMagnitude")
    steps = Stepping(kind, made, least or 0, COOLDOWN[ECS] if out is None else float(out))
    wrong = fault(steps)
    if wrong:
        raise invalid(f"{wrong}.")
    aggregation = given.get("MetricAggregationType")
    return Policy(target.meta.name, name, id, Tracking(0.0), "", out, stepping=steps, aggregation=aggregation)


@ops("DeleteScalingPolicy")
async def delete_scaling_policy(call: Call, request: Request) -> Answer:
    await parts.delete(call, request, POLICY, request["PolicyName"], "scaling policy")
    return {}


@ops("DescribeScalingPolicies")
async def describe_scaling_policies(call: Call, request: Request) -> Answer:
    found = parts.described(call, request, POLICY, request.get("PolicyNames"))
    shown, token = queries.page(call, request, found, _shown)
    return {"ScalingPolicies": [await _with_alarms(call, each) for each in shown], "NextToken": token}


async def _with_alarms(call: Call, shown: dict[str, Any]) -> dict[str, Any]:
    """Those that lead to a step scaling policy."""
    if shown["PolicyType"] != STEPS:
        return shown
    assert call.as_service is not None
    aws = call.as_service(scalable.PRINCIPALS[shown["ScalableDimension"]])
    found = await stepping.alarms(aws, shown["PolicyARN"])
    return {**shown, "Alarms": [{"AlarmName": each["AlarmName"], "AlarmARN": each["AlarmArn"]} for each in found]}


def _shown(pair: tuple[TargetR, PolicyR]) -> dict[str, Any]:
    target, policy = pair[0].spec, pair[1].spec
    kind = TRACKING if policy.stepping is None else STEPS
    return {
        "PolicyARN": pair[1].meta.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": target.namespace,
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
        "PolicyType": kind,
        CONFIGURATIONS[kind]: _tracking(policy) if policy.stepping is None else _steps(policy, policy.stepping),
        "Alarms": [],
        "CreationTime": pair[1].meta.created,
    }


def _steps(policy: Policy, given: Stepping) -> dict[str, Any]:
    adjustments = [
        {
            "MetricIntervalLowerBound": each.lower,
            "MetricIntervalUpperBound": each.upper,
            "ScalingAdjustment": each.adjustment,
        }
        for each in given.steps
    ]
    return {
        "AdjustmentType": given.kind,
        "StepAdjustments": adjustments,
        "MinAdjustmentMagnitude": given.least or None,
        "Cooldown": policy.out_cooldown,
        "MetricAggregationType": policy.aggregation,
    }


def _tracking(policy: Policy) -> dict[str, Any]:
    tracking = {
        "TargetValue": policy.tracking.target,
        "PredefinedMetricSpecification": _predefined(policy) if policy.metric else None,
        "CustomizedMetricSpecification": policy.customized,
        "ScaleOutCooldown": policy.out_cooldown,
        "ScaleInCooldown": policy.in_cooldown,
        "DisableScaleIn": not policy.tracking.scale_in,
    }
    return {name: value for name, value in tracking.items() if value is not None}


def _predefined(policy: Policy) -> dict[str, str]:
    return {"PredefinedMetricType": policy.metric, **({"ResourceLabel": policy.label} if policy.label else {})}


@ops("GetPredictiveScalingForecast")
async def get_predictive_scaling_forecast(call: Call, request: Request) -> Answer:
    raise absent("GetPredictiveScalingForecast: there is no predictive scaling")
