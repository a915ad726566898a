"""Records → AWS's shapes."""

from __future__ import annotations

from typing import Any

from havre.services.elbv2 import actions, conditions
from havre.services.elbv2.names import ZONE_IDS
from havre.services.elbv2.queries import balancer_arn, default_rule, load_balancer_of, on_node, used_by
from havre.services.elbv2.resources import FUNCTION, GRPC, ListenerR, LoadBalancerR, RuleR, TargetGroupR
from havre.services.elbv2.state import state_of
from havre.store.ports import Reader


def load_balancer(reader: Reader, lb: LoadBalancerR) -> dict[str, Any]:
    spec = lb.spec
    node = on_node(reader, lb)
    code, reason = state_of(lb, node.status.report if node else None)
    return {
        "LoadBalancerArn": lb.meta.arn,
        "DNSName": spec.dns_name,
        "CanonicalHostedZoneId": ZONE_IDS.get(lb.meta.region, ZONE_IDS["us-east-1"]),
        "CreatedTime": lb.meta.created,
        "LoadBalancerName": spec.name,
        "Scheme": spec.scheme,
        "VpcId": spec.vpc,
        "State": {"Code": code, "Reason": reason} if reason else {"Code": code},
        "Type": spec.type,
        "AvailabilityZones": availability_zones(lb),
        "SecurityGroups": list(spec.security_groups),
        "IpAddressType": "ipv4",
    }


def availability_zones(lb: LoadBalancerR) -> list[dict[str, Any]]:
    return [{"ZoneName": p.zone, "SubnetId": p.subnet, "LoadBalancerAddresses": []} for p in lb.spec.placements]


def target_group(reader: Reader, group: TargetGroupR) -> dict[str, Any]:
    spec, check = group.spec, group.spec.check
    http = check.protocol in ("HTTP", "HTTPS")
    function = spec.target_type == FUNCTION
    return {
        "TargetGroupArn": group.meta.arn,
        "TargetGroupName": spec.name,
        "Protocol": None if function else spec.protocol,
        "Port": spec.port or None,
        "VpcId": spec.vpc or None,
        "HealthCheckProtocol": None if function else check.protocol,
        "HealthCheckPort": None if function else check.port,
        "HealthCheckEnabled": not function,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": check.healthy,
        "UnhealthyThresholdCount": check.unhealthy,
        "HealthCheckPath": check.path if http else None,
        "Matcher": {"GrpcCode" if spec.protocol_version == GRPC else "HttpCode": check.matcher} if http else None,
        "LoadBalancerArns": [arn for name in used_by(reader, group) if (arn := balancer_arn(reader, group, name))],
        "TargetType": spec.target_type,
        "ProtocolVersion": spec.protocol_version or None,
        "IpAddressType": "ipv4",
    }


def listener(reader: Reader, each: ListenerR) -> dict[str, Any]:
    lb = load_balancer_of(reader, each)
    return {
        "ListenerArn": each.meta.arn,
        "LoadBalancerArn": lb.meta.arn if lb else "",
        "Port": each.spec.port,
        "Protocol": each.spec.protocol,
        "DefaultActions": [actions.shown(default_rule(reader, each).spec.action)],
        **(_secure(each) if each.spec.protocol == "HTTPS" else {}),
    }


def _secure(each: ListenerR) -> dict[str, Any]:
    mutual = each.spec.mutual
    shown: dict[str, Any] = {"Mode": "off"}
    if mutual is not None and mutual.mode == "passthrough":
        shown = {"Mode": mutual.mode}
    elif mutual is not None:
        shown = {
            "Mode": mutual.mode,
            "TrustStoreArn": mutual.trust_store,
            "IgnoreClientCertificateExpiry": mutual.ignore_expiry,
            "AdvertiseTrustStoreCaNames": "on" if mutual.advertise else "off",
        }
    return {
        "SslPolicy": each.spec.policy,
        "Certificates": [{"CertificateArn": each.spec.certificate}],
        "MutualAuthentication": shown,
    }


def rule(each: RuleR) -> dict[str, Any]:
    spec = each.spec
    return {
        "RuleArn": each.meta.arn,
        "Priority": str(spec.priority) if spec.priority else "default",
        "Conditions": [conditions.shown(c) for c in spec.conditions],
        "Actions": [actions.shown(spec.action)],
        "IsDefault": spec.priority == 0,
    }
