"""Event → CloudTrail's record, and the entry of LookupEvents around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from havre.services.cloudtrail.trail import Event, Identity

VERSION = "1.11"
_DOMAIN = {"monitoring": "monitoring", "application-autoscaling": "autoscaling"}


def event_id(event: Event) -> str:
    """A UUID of its own, made of the request's and of what was called: one request records one event."""
    h = sha256(f"{event.request_id}/{event.source}/{event.name}".encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"


def source_host(source: str) -> str:
    return f"{_DOMAIN.get(source, source)}.amazonaws.com"


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def username(who: Identity) -> str:
    """What LookupEvents calls Username: the user's name, the role session's, or root."""
    if who.kind == "AssumedRole":
        return who.arn.rsplit("/", 1)[-1]
    return {"Root": "root", "AWSService": ""}.get(who.kind, who.name)


def lookup_entry(event: Event) -> dict[str, Any]:
    who = event.identity
    answer: dict[str, Any] = {
        "EventId": event_id(event),
        "EventName": event.name,
        "ReadOnly": "true" if event.read_only else "false",
        "EventTime": event.at,
        "EventSource": source_host(event.source),
        "Resources": [{"ResourceType": t, "ResourceName": n} for t, n in named_resources(event)],
        "CloudTrailEvent": msgspec.json.encode(record(event)).decode(),
    }
    if who.access_key:
        answer["AccessKeyId"] = who.access_key
    if username(who):
        answer["Username"] = username(who)
    return answer


def record(event: Event) -> dict[str, Any]:
    """The record as it would lie in a trail's bucket."""
    by_service = event.identity.invoked_by or event.identity.service
    out: dict[str, Any] = {
        "eventVersion": VERSION,
        "userIdentity": user_identity(event.identity),
        "eventTime": timestamp(event.at),
        "eventSource": source_host(event.source),
        "eventName": event.name,
        "awsRegion": event.region,
        "sourceIPAddress": by_service or event.source_ip,
        "userAgent": by_service or event.user_agent,
    }
    if event.error_code:
        out["errorCode"] = _error_code(event)
        out["errorMessage"] = event.error_message
    out["requestParameters"] = _unpack(event.request) or None
    out["responseElements"] = _unpack(event.response) or None
    out |= {"requestID": event.request_id, "eventID": event_id(event), "readOnly": event.read_only}
    if event.resources:
        arns = [arn.removesuffix(_STREAM) for arn in event.resources]  # IAM decides on a group's by that of no stream
        out["resources"] = [{"accountId": _account(arn) or event.account, "ARN": arn} for arn in arns]
    return out | {
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": event.account,
        "eventCategory": "Management",
    }


def _error_code(event: Event) -> str:
    """As CloudTrail spells it: EC2's say whose fault it was, and a refusal by IAM is the same for all other services."""
    code = event.error_code
    if event.source == "ec2":
        return f"{'Server' if code in ('InternalError', 'Unavailable') else 'Client'}.{code}"
    return "AccessDenied" if code == "AccessDeniedException" else code


def _unpack(packed: msgspec.Raw) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = msgspec.msgpack.decode(packed)
    return found


def _account(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def user_identity(who: Identity) -> dict[str, Any]:
    if who.kind == "AWSService":
        return {"type": "AWSService", "invokedBy": who.service}
    out: dict[str, Any] = {"type": who.kind, "principalId": who.id, "arn": who.arn, "accountId": who.account}
    if who.access_key:
        out["accessKeyId"] = who.access_key
    if who.kind == "IAMUser":
        out["userName"] = who.name
    if who.issued:
        out["sessionContext"] = _session(who)
    if who.invoked_by:
        out["invokedBy"] = who.invoked_by
    return out


def _session(who: Identity) -> dict[str, Any]:
    context: dict[str, Any] = {"attributes": {"creationDate": timestamp(who.issued), "mfaAuthenticated": "false"}}
    if who.role:
        context["sessionIssuer"] = {
            "type": "Role",
            "principalId": who.id.split(":", 1)[0],
            "arn": who.role,
            "accountId": who.account,
            "userName": who.role.rsplit("/", 1)[-1],
        }
    return context


_TYPES = {
    ("ecs", "cluster"): "AWS::ECS::Cluster",
    ("ecs", "service"): "AWS::ECS::Service",
    ("ecs", "task-definition"): "AWS::ECS::TaskDefinition",
    ("ecs", "task"): "AWS::ECS::Task",
    ("ecr", "repository"): "AWS::ECR::Repository",
    ("iam", "user"): "AWS::IAM::User",
    ("iam", "role"): "AWS::IAM::Role",
    ("iam", "group"): "AWS::IAM::Group",
    ("iam", "policy"): "AWS::IAM::Policy",
    ("iam", "instance-profile"): "AWS::IAM::InstanceProfile",
    ("elasticloadbalancing", "loadbalancer"): "AWS::ElasticLoadBalancingV2::LoadBalancer",
    ("elasticloadbalancing", "targetgroup"): "AWS::ElasticLoadBalancingV2::TargetGroup",
    ("elasticloadbalancing", "listener"): "AWS::ElasticLoadBalancingV2::Listener",
    ("elasticloadbalancing", "listener-rule"): "AWS::ElasticLoadBalancingV2::ListenerRule",
    ("logs", "log-group"): "AWS::Logs::LogGroup",
    ("acm", "certificate"): "AWS::CertificateManager::Certificate",
    ("dynamodb", "table"): "AWS::DynamoDB::Table",
    ("elasticfilesystem", "file-system"): "AWS::EFS::FileSystem",
    ("elasticfilesystem", "access-point"): "AWS::EFS::AccessPoint",
    ("events", "rule"): "AWS::Events::Rule",
    ("events", "event-bus"): "AWS::Events::EventBus",
    ("kinesis", "stream"): "AWS::Kinesis::Stream",
    ("kms", "key"): "AWS::KMS::Key",
    ("s3", ""): "AWS::S3::Bucket",
    ("scheduler", "schedule"): "AWS::Scheduler::Schedule",
    ("secretsmanager", "secret"): "AWS::SecretsManager::Secret",
    ("sns", ""): "AWS::SNS::Topic",
    ("sqs", ""): "AWS::SQS::Queue",
    ("ssm", "parameter"): "AWS::SSM::Parameter",
    ("ec2", "vpc"): "AWS::EC2::VPC",
    ("ec2", "subnet"): "AWS::EC2::Subnet",
    ("ec2", "security-group"): "AWS::EC2::SecurityGroup",
    ("ec2", "network-interface"): "AWS::EC2::NetworkInterface",
    ("eks", "cluster"): "AWS::EKS::Cluster",
    ("lambda", "function"): "AWS::Lambda::Function",
}


_STREAM = ":log-stream:"


def named_resources(event: Event) -> list[tuple[str, str]]:
    """(type, name) of each resource of a mutating call: its ARN and its name, of ECS the name within its cluster, too; and
    the group of a log stream."""
    if event.read_only:
        return []
    out = []
    for arn in event.resources:
        group, stream, name = arn.partition(_STREAM)
        if stream and name:
            out += [("AWS::Logs::LogStream", arn), ("AWS::Logs::LogStream", name)]
        out += _named(group)
    return out


def _named(arn: str) -> list[tuple[str, str]]:
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return []
    kind, name = [*re.split("[:/]", parts[5], maxsplit=1), ""][:2]
    of = _TYPES.get((parts[2], kind)) if name else None
    if of is None:
        of, name = _TYPES.get((parts[2], "")), re.split("[:/]", parts[5])[0]
    if of is None:
        return []
    bare = name.rsplit("/", 1)[-1]
    names = (bare,) if parts[2] in ("iam", "ec2") or bare == name else (name, bare) if parts[2] == "ecs" else (name,)
    return [(of, each) for each in (arn, *names)]
