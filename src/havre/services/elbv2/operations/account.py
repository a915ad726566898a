"""Limits and TLS policies."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Request
from havre.services.elbv2 import association, conditions, tls
from havre.services.elbv2.declare import ElbOperations
from havre.services.elbv2.operations import listeners, load_balancers, rules, target_groups, targets
from havre.services.elbv2.paging import page

ops = ElbOperations()
LIMITS = {
    "application-load-balancers": load_balancers.MOST,
    "certificates-per-application-load-balancer": tls.MOST_CERTIFICATES,
    "condition-values-per-alb-rule": conditions.MOST_VALUES,
    "condition-wildcards-per-alb-rule": conditions.MOST_WILDCARDS,
    "listeners-per-application-load-balancer": listeners.MOST,
    "rules-per-application-load-balancer": rules.MOST,
    "target-groups": target_groups.MOST,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-application-load-balancer": association.MOST_GROUPS,
    "targets-per-target-group": targets.MOST,
}


@ops.on("DescribeAccountLimits", "Marker PageSize")
async def describe_account_limits(call: Call, request: Request) -> Answer:
    shown, marker = page(call, request, sorted(LIMITS), lambda name: name)
    return {"Limits": [{"Name": name, "Max": str(LIMITS[name])} for name in shown], "NextMarker": marker}


@ops.on("DescribeSSLPolicies", "Names Marker PageSize LoadBalancerType")
async def describe_ssl_policies(call: Call, request: Request) -> Answer:
    wanted = [tls.check_policy(name) for name in request.get("Names") or tls.POLICIES]
    if request.get("LoadBalancerType", "application") != "application":
        wanted = []
    shown, marker = page(call, request, sorted(wanted), lambda name: name)
    described = []
    for name in shown:
        policy = tls.POLICIES[name]
        ciphers = (*policy.suites, *policy.ciphers)
        described.append(
            {
                "Name": name,
                "SslProtocols": list(policy.protocols),
                "Ciphers": [{"Name": cipher, "Priority": i + 1} for i, cipher in enumerate(ciphers)],
                "SupportedLoadBalancerTypes": ["application"],
            }
        )
    return {"SslPolicies": described, "NextMarker": marker}
