"""Scaling policies."""

from __future__ import annotations

from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.autoscaling.tracking import Tracking
from havre.kernel.resource import NoStatus, scoped
from havre.services.applicationautoscaling import queries
from havre.services.applicationautoscaling.errors import absent, invalid, not_found
from havre.services.applicationautoscaling.resources import (
    LAMBDA,
    POLICY,
    TARGET,
    Policy,
    PolicyR,
    TargetR,
    part_name,
)
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
        old = tx.get(POLICY, call.account, call.region, part_name(target.meta.name, name))
        if old is not None:
            return tx.update(old, spec=_policy(target, name, given, old.spec.id))
        arn = f"arn:aws:autoscaling:{call.region}:{call.account}:scalingPolicy:{id}:resource/"
        arn += f"{target.spec.namespace}/{target.spec.resource}:policyName/{name}"
        where = {"account": call.account, "region": call.region, "name": part_name(target.meta.name, name), "arn": arn}
        return tx.create(POLICY, spec=spec, status=NoStatus(), **where)

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
    def change(tx: Transaction) -> None:
        target = queries.get(tx, call, request)
        found = tx.get(POLICY, call.account, call.region, part_name(target.meta.name, request["PolicyName"]))
        if found is None:
            spec = target.spec
            raise not_found("scaling policy", spec.namespace, spec.resource, spec.dimension)
        tx.remove(found)

    await call.store.transact(change)
    return {}


@ops("DescribeScalingPolicies")
async def describe_scaling_policies(call: Call, request: Request) -> Answer:
    names = request.get("PolicyNames")
    found: list[tuple[TargetR, PolicyR]] = []
    for target in call.store.list(TARGET, call.account, call.region):
        if queries.asked_for(request, target):
            value = scoped(call.account, call.region, target.meta.name)
            found += [
                (target, p) for p in call.store.find(POLICY, "target", value) if not names or p.spec.name in names
            ]
    shown, token = queries.page(request, found, _shown)
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
