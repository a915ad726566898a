"""Roles that are linked to AWS services: their names, whom they trust, what they may."""

from __future__ import annotations

import json

from havre.services.iam import managed

_ROLES: dict[str, tuple[str, str, bool]] = {
    # service → role's name without AWSServiceRoleFor, policy below aws-service-role/, whether a suffix is possible
    "application-autoscaling.amazonaws.com": ("ApplicationAutoScaling", "", False),
    "autoscaling.amazonaws.com": ("AutoScaling", "AutoScalingServiceRolePolicy", True),
    "ecs.amazonaws.com": ("ECS", "AmazonECSServiceRolePolicy", False),
    "ecs.application-autoscaling.amazonaws.com": (
        "ApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
        False,
    ),
    "eks.amazonaws.com": ("AmazonEKS", "AmazonEKSServiceRolePolicy", False),
    "eks-fargate.amazonaws.com": ("AmazonEKSForFargate", "AmazonEKSForFargateServiceRolePolicy", False),
    "eks-nodegroup.amazonaws.com": ("AmazonEKSNodegroup", "AWSServiceRoleForAmazonEKSNodegroup", False),
    "elasticloadbalancing.amazonaws.com": (
        "ElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
        False,
    ),
    "lambda.application-autoscaling.amazonaws.com": (
        "ApplicationAutoScaling_LambdaConcurrency",
        "AWSApplicationAutoscalingLambdaConcurrencyPolicy",
        False,
    ),
    "replication.ecr.amazonaws.com": ("ECRReplication", "ECRReplicationServiceRolePolicy", False),
    "spot.amazonaws.com": ("EC2Spot", "AWSEC2SpotServiceRolePolicy", False),
}


def role_name(service: str, suffix: str = "") -> str | None:
    """None for a service without such a role."""
    found = _ROLES.get(service)
    if found is None or (suffix and not found[2]):
        return None
    return f"AWSServiceRoleFor{found[0]}" + (f"_{suffix}" if suffix else "")


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def policies(service: str) -> tuple[str, ...]:
    """ARNs of the policies that the catalogue has; the services themselves are allowed everything they do."""
    arn = f"{managed.PREFIX}aws-service-role/{_ROLES[service][1]}"
    return (arn,) if managed.find(arn) is not None else ()
