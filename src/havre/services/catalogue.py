"""The services that Havre serves: one line each. They are imported by name, each when it is first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from havre.control.operation import Service
from havre.kernel.resource import Kind

NAMES: dict[str, str] = {
    # botocore's name: package below havre.services
    "acm": "acm",
    "apigatewayv2": "apigatewayv2",
    "application-autoscaling": "applicationautoscaling",
    "cloudtrail": "cloudtrail",
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "dynamodbstreams": "dynamodbstreams",
    "ec2": "ec2",
    "ecr": "ecr",
    "ecs": "ecs",
    "efs": "efs",
    "elbv2": "elbv2",
    "events": "events",
    "iam": "iam",
    "kinesis": "kinesis",
    "kms": "kms",
    "lambda": "lambda_",
    "logs": "logs",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "ssm": "ssm",
    "scheduler": "scheduler",
    "sns": "sns",
    "sqs": "sqs",
    "sts": "sts",
}


@cache
def package(name: str) -> ModuleType:
    """The package of a service. Raises KeyError for a service that Havre does not have."""
    return import_module(f"havre.services.{NAMES[name]}")


def load(name: str) -> Service:
    service: Service = package(name).service()
    return service


_KINDS = (
    "havre.control.certificates.records",
    "havre.control.images",
    "havre.control.nodes",
    "havre.services.acm.resources",
    "havre.services.apigatewayv2.resources",
    "havre.services.applicationautoscaling.resources",
    "havre.services.cloudwatch.resources",
    "havre.services.ec2.resources",
    "havre.services.ecs.resources",
    "havre.services.efs.resources",
    "havre.services.elbv2.resources",
    "havre.services.events.resources",
    "havre.services.iam.resources",
    "havre.services.kms.resources",
    "havre.services.lambda_.resources",
    "havre.services.lambda_.sources.checkpoints",
    "havre.services.logs.resources",
    "havre.services.sqs.resources",
    "havre.services.s3.resources",
    "havre.services.scheduler.resources",
    "havre.services.sns.resources",
)


def kinds() -> list[Kind[Any, Any]]:
    """Every kind of resource: what a store has to know before it is opened, and all that it has to know."""
    return [kind for module in _KINDS for kind in import_module(module).KINDS]


_OUTSIDE = {"havre.control.certificates.records": "acm", "havre.control.images": "ecr"}
_FOR_NODES = {"node.workload": "ecs", "node.vpc": "ec2", "node.balancer": "elbv2"}
"""Kinds outside of services' packages, by module and by name, and the services that care for them."""


def services_of_kinds() -> dict[str, str]:
    """The name of each kind → botocore's name of the service whose reconcilers and loops care for it."""
    packages = {f"havre.services.{package}": name for name, package in NAMES.items()}
    found = dict(_FOR_NODES)
    for module in _KINDS:
        service = _OUTSIDE.get(module) or packages.get(".".join(module.split(".")[:3]))
        if service is not None:
            found |= {kind.name: service for kind in import_module(module).KINDS}
    return found
