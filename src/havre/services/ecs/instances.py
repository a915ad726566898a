"""Every node is a container instance of every cluster: made with the cluster, or when the node appears."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from havre.kernel.arn import arn
from havre.kernel.effects import Create
from havre.kernel.resource import NoStatus, Resource, scoped
from havre.services.ecs.ledger import ClusterKey, ledger_of
from havre.services.ecs.resources import INSTANCE, Instance
from havre.store.ports import Reader, Transaction


def instance_name(cluster: ClusterKey, node: str) -> str:
    """``cluster/<32 hex>``: the same node in the same cluster has the same container instance for ever."""
    account, region, name = cluster
    return f"{name}/{sha256(f'{account}/{region}/{name}/{node}'.encode()).hexdigest()[:32]}"


def ec2_id(node: str) -> str:
    """The EC2 instance id of a node: what instance targets are registered as."""
    return f"i-{sha256(node.encode()).hexdigest()[:17]}"


def new_instance(cluster: ClusterKey, node: str) -> Create[Any, Any]:
    account, region, name = cluster
    key = instance_name(cluster, node)
    spec = Instance(name, node, ec2_id(node))
    return Create(INSTANCE.name, account, region, key, instance_arn(account, region, key), spec, NoStatus())


def instance_arn(account: str, region: str, key: str) -> str:
    return arn("ecs", region, account, f"container-instance/{key}")


def register(tx: Transaction, node: Resource[Any, Any], cluster: ClusterKey) -> None:
    """Harmless when it is registered already, or was deregistered by a user."""
    made = new_instance(cluster, node.meta.name)
    if tx.get(INSTANCE, made.account, made.region, made.name) is None:
        key = {"account": made.account, "region": made.region, "name": made.name}
        tx.create(INSTANCE, **key, arn=made.arn, spec=made.spec, status=made.status)


def follow(store: Reader, cluster: ClusterKey) -> None:
    """Let the ledger know the cluster's instances at once, so that the next RunTask finds them."""
    ledger, (account, region, name) = ledger_of(store), cluster
    for instance in store.find(INSTANCE, "cluster", scoped(account, region, name)):
        ledger.note(instance)
