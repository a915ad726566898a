"""Which target groups a listener's or a rule's action may name."""

from __future__ import annotations

from havre.control.operation import Call
from havre.kernel.errors import ApiError
from havre.services.elbv2 import queries
from havre.services.elbv2 import resources as r
from havre.services.elbv2.errors import configuration, limit
from havre.store.ports import Reader

MOST_GROUPS = 100


def _check_version(group: r.TargetGroupR, protocol: str) -> None:
    version = group.spec.protocol_version
    if protocol == "HTTP" and version in ("HTTP2", r.GRPC):
        raise configuration(
            f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{version}'"
        )


def check(call: Call, reader: Reader, lb: r.LoadBalancerR, action: r.Action, protocol: str) -> None:
    """``protocol`` is the listener's. Raises TargetGroupNotFound, TargetGroupAssociationLimit,
    InvalidConfigurationRequest."""
    elsewhere = []
    for arn, _ in action.groups:
        group = queries.target_group(call, reader, arn)
        _check_version(group, protocol)
        if group.spec.target_type != r.FUNCTION and group.spec.vpc != lb.spec.vpc:
            raise configuration(
                f"The following target groups have target group and load balancer in different VPCs: '{arn}'"
            )
        if [name for name in queries.used_by(reader, group) if name != lb.meta.name]:
            elsewhere.append(arn)
    if elsewhere:
        listed = ", ".join(elsewhere)
        raise ApiError(
            "TargetGroupAssociationLimit",
            f"The following target groups cannot be associated with more than one load balancer: {listed}",
        )
    used = {arn for rule in queries.rules_of_balancer(reader, lb) for arn, _ in rule.spec.action.groups}
    if len(used | {arn for arn, _ in action.groups}) > MOST_GROUPS:
        raise limit("TooManyUniqueTargetGroupsPerLoadBalancer", "unique target groups per load balancer", lb.meta.arn)
