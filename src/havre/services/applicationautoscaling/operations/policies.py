"""Scaling policies."""

from __future__ import annotations

from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.autoscaling.tracking import Tracking
from havre.kernel.resource import NoStatus
from havre.services.applicationautoscaling import metrics, parts, queries, scalable
from havre.services.applicationautoscaling.errors import absent, invalid
from havre.services.applicationautoscaling.resources import ECS, POLICY, Policy, PolicyR, TargetR
from havre.store.ports import Transaction

ops = Operations()
COOLDOWN = {ECS: 300.0}
"""Seconds, where nothing is said."""


@ops("PutScalingPolicy")
async def put_scaling_policy(call: Call, request: Request) -> Answer:
    kind = request.get("PolicyType", "StepScaling")
    if kind != "TargetTrackingScaling":
        raise absent(f"PolicyType {kind}")
    given = request.get("TargetTrackingScalingPolicyConfiguration")
    if given is None:
        raise invalid(
            "TargetTrackingScalingPolicyConfiguration must be given for a policy of type TargetTrackingScaling."
        )
    id = call.world.uuid()
    if given.get("CustomizedMetricSpecification") is not None:
        target = queries.get(call.store, call, request)
        said = _policy(target, request["PolicyName"], given, id)
        assert call.as_service is not None
        await metrics.check(call.as_service(scalable.PRINCIPALS[target.spec.dimension]), said, target.spec, call.now)

    def change(tx: Transaction) -> PolicyR:
        target = queries.get(tx, call, request)
        name = request["PolicyName"]
        spec = _policy(target, name, given, id)
        old = parts.get(tx, call, POLICY, target, name)
        if old is not None:
            return tx.update(old, spec=_policy(target, name, given, old.spec.id))
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


@ops("DeleteScalingPolicy")
async def delete_scaling_policy(call: Call, request: Request) -> Answer:
    await parts.delete(call, request, POLICY, request["PolicyName"], "scaling policy")
    return {}


@ops("DescribeScalingPolicies")
async def describe_scaling_policies(call: Call, request: Request) -> Answer:
    found = parts.described(call, request, POLICY, request.get("PolicyNames"))
    shown, token = queries.page(call, request, found, _shown)
    return {"ScalingPolicies": shown, "NextToken": token}


def _shown(pair: tuple[TargetR, PolicyR]) -> dict[str, Any]:
    target, policy = pair[0].spec, pair[1].spec
    tracking = {
        "TargetValue": policy.tracking.target,
        "PredefinedMetricSpecification": _predefined(policy) if policy.metric else None,
        "CustomizedMetricSpecification": policy.customized,
        "ScaleOutCooldown": policy.out_cooldown,
        "ScaleInCooldown": policy.in_cooldown,
        "DisableScaleIn": not policy.tracking.scale_in,
    }
    return {
        "PolicyARN": pair[1].meta.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": target.namespace,
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {n: v for n, v in tracking.items() if v is not None},
        "Alarms": [],
        "CreationTime": pair[1].meta.created,
    }


def _predefined(policy: Policy) -> dict[str, str]:
    return {"PredefinedMetricType": policy.metric, **({"ResourceLabel": policy.label} if policy.label else {})}


@ops("GetPredictiveScalingForecast")
async def get_predictive_scaling_forecast(call: Call, request: Request) -> Answer:
    raise absent("GetPredictiveScalingForecast: there is no predictive scaling")
