"""Limits and TLS policies."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.elbv2 import association, conditions
from havre.services.elbv2.declare import ElbOperations
from havre.services.elbv2.operations import listeners, load_balancers, rules, target_groups, targets
from havre.services.elbv2.paging import page

ops = ElbOperations()
LIMITS = {
    "application-load-balancers": load_balancers.MOST,
    "condition-values-per-alb-rule": conditions.MOST_VALUES,
    "condition-wildcards-per-alb-rule": conditions.MOST_WILDCARDS,
    "listeners-per-application-load-balancer": listeners.MOST,
    "rules-per-application-load-balancer": rules.MOST,
    "target-groups": target_groups.MOST,
    "target-groups-per-action-on-application-load-balancer": 5,
    "target-groups-per-application-load-balancer": association.MOST_GROUPS,
    "targets-per-target-group": targets.MOST,
}
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_TLS12 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
POLICIES = {
    "ELBSecurityPolicy-TLS13-1-2-2021-06": (("TLSv1.2", "TLSv1.3"), (*_TLS13, *_TLS12)),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": (("TLSv1.3",), _TLS13),
    "ELBSecurityPolicy-TLS-1-2-2017-01": (("TLSv1.2",), _TLS12),
}


@ops.on("DescribeAccountLimits", "Marker PageSize")
async def describe_account_limits(call: Call, request: Request) -> Answer:
    shown, marker = page(call, request, sorted(LIMITS), lambda name: name)
    return {"Limits": [{"Name": name, "Max": str(LIMITS[name])} for name in shown], "NextMarker": marker}


@ops.on("DescribeSSLPolicies", "Names Marker PageSize LoadBalancerType")
async def describe_ssl_policies(call: Call, request: Request) -> Answer:
    wanted = request.get("Names") or sorted(POLICIES)
    unknown = [name for name in wanted if name not in POLICIES]
    if unknown:
        raise ApiError("SSLPolicyNotFound", f"SSL policies '{unknown}' not found")
    if request.get("LoadBalancerType", "application") != "application":
        wanted = []
    shown, marker = page(call, request, sorted(wanted), lambda name: name)
    described = []
    for name in shown:
        protocols, ciphers = POLICIES[name]
        described.append(
            {
                "Name": name,
                "SslProtocols": list(protocols),
                "Ciphers": [{"Name": cipher, "Priority": i + 1} for i, cipher in enumerate(ciphers)],
                "SupportedLoadBalancerTypes": ["application"],
            }
        )
    return {"SslPolicies": described, "NextMarker": marker}
