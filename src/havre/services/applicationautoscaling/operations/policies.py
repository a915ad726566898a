"""Scaling policies."""

from __future__ import annotations

from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.autoscaling.tracking import Tracking
from havre.kernel.resource import NoStatus
from havre.services.applicationautoscaling import parts, queries
from havre.services.applicationautoscaling.errors import absent, invalid
from havre.services.applicationautoscaling.resources import LAMBDA, POLICY, Policy, PolicyR, TargetR
from havre.store.ports import Transaction

ops = Operations()
METRIC = "LambdaProvisionedConcurrencyUtilization"


@ops("PutScalingPolicy")
async def put_scaling_policy(call: Call, request: Request) -> Answer:
    kind = request.get("PolicyType", "StepScaling")
    if kind != "TargetTrackingScaling":
        raise absent(f"PolicyType {kind}: there are no alarms of CloudWatch to follow")
    given = request.get("TargetTrackingScalingPolicyConfiguration")
    if given is None:
        raise invalid(
            "TargetTrackingScalingPolicyConfiguration must be given for a policy of type TargetTrackingScaling."
        )
    id = call.world.uuid()

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
    if "CustomizedMetricSpecification" in given:
        raise absent("CustomizedMetricSpecification: there are no metrics of CloudWatch to follow")
    metric = (given.get("PredefinedMetricSpecification") or {}).get("PredefinedMetricType", "")
    if not metric:
        raise invalid("PredefinedMetricSpecification must be given.")
    if metric != METRIC or target.spec.dimension != LAMBDA:
        raise absent(f"PredefinedMetricType {metric} of {target.spec.dimension}")
    value = float(given["TargetValue"])
    if not 0.1 <= value <= 0.9:
        raise invalid("The target value of LambdaProvisionedConcurrencyUtilization must be between 0.1 and 0.9.")
    out, inward = given.get("ScaleOutCooldown"), given.get("ScaleInCooldown")
    tracking = Tracking(value, float(out or 0), float(inward or 0), not given.get("DisableScaleIn"))
    return Policy(target.meta.name, name, id, tracking, metric, out, inward)


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
        "PredefinedMetricSpecification": {"PredefinedMetricType": policy.metric},
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


@ops("GetPredictiveScalingForecast")
async def get_predictive_scaling_forecast(call: Call, request: Request) -> Answer:
    raise absent("GetPredictiveScalingForecast: there is no predictive scaling")
