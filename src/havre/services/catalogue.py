"""The services that Havre serves: one line each. They are imported by name, so that each is loaded only where needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from havre.control.operation import Service

NAMES: dict[str, str] = {
    # botocore's name: package below havre.services
    "cloudtrail": "cloudtrail",
    "ec2": "ec2",
    "ecr": "ecr",
    "ecs": "ecs",
    "elbv2": "elbv2",
    "iam": "iam",
    "logs": "logs",
    "sts": "sts",
}


def package(name: str) -> ModuleType:
    """The package of a service. Raises KeyError for a service that Havre does not have."""
    return import_module(f"havre.services.{NAMES[name]}")


def load(name: str) -> Service:
    service: Service = package(name).service()
    return service
