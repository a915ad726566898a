"""Clusters and their capacity providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.nodes import NODE
from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import NoStatus, scoped
from havre.services.ecs import queries
from havre.services.ecs.instances import follow, register
from havre.services.ecs.operations.paging import paged
from havre.services.ecs.operations.settings import caller, effective
from havre.services.ecs.present import cluster as shapes
from havre.services.ecs.resources import CLUSTER, INSTANCE, SERVICE, TASK, Cluster
from havre.services.ecs.rules import execute_command
from havre.services.ecs.rules.capacity import PROVIDERS, strategy
from havre.services.ecs.rules.common import cluster_name, invalid, tags
from havre.store.ports import Transaction

ops = Operations()
replace = msgspec.structs.replace
_SETTINGS = {"containerInsights": ("enabled", "disabled", "enhanced")}


def _named(call: Call, request: Request) -> list[str]:
    try:
        return [call.arn(f"cluster/{cluster_name(request.get('clusterName'))}")]
    except ApiError:
        return ["*"]


def _each(call: Call, request: Request) -> list[str]:
    try:
        return [call.arn(f"cluster/{cluster_name(c)}") for c in request.get("clusters") or ("default",)]
    except ApiError:
        return ["*"]


@ops("CreateCluster", resources=_named)
async def create_cluster(call: Call, request: Request) -> Answer:
    name = request.get("clusterName") or "default"
    if name.startswith("arn:"):
        raise invalid("Invalid identifier: a cluster is created by its name.")
    cluster_name(name)
    if request.get("serviceConnectDefaults"):
        raise not_built("ecs", "CreateCluster serviceConnectDefaults")
    providers = _providers(request.get("capacityProviders") or ())
    spec = Cluster(
        settings=_settings(call, request.get("settings") or ()),
        configuration=_configuration(call, request.get("configuration")),
        providers=providers,
        strategy=strategy(request.get("defaultCapacityProviderStrategy") or (), providers),
        tags=tags(request.get("tags")),
    )
    if spec.tags:
        await call.authorize("ecs:TagResource", _named(call, request), {"ecs:CreateAction": "CreateCluster"})

    def create(tx: Transaction) -> queries.ClusterRecord:
        found = tx.get(CLUSTER, call.account, call.region, name)
        if found is not None and found.spec.active:
            return found  # as on AWS: creating it again gives the one that is there
        for node in tx.list(NODE):
            register(tx, node, (call.account, call.region, name))
        if found is not None:
            return tx.update(found, spec=spec)
        key = {"account": call.account, "region": call.region, "name": name}
        return tx.create(CLUSTER, **key, arn=call.arn(f"cluster/{name}"), spec=spec, status=NoStatus())

    made = await call.store.transact(create)
    follow(call.store, (call.account, call.region, name))
    return {"cluster": shapes.cluster(call.store, made, ("SETTINGS", "TAGS", "CONFIGURATIONS"))}


def _settings(call: Call, given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What is not given is as the account setting of the same name says."""
    made = {"containerInsights": effective(call, call.store, "containerInsights", caller(call))}
    for each in given:
        name, value = each.get("name", ""), each.get("value", "")
        if value not in _SETTINGS.get(name, ()):
            raise invalid(f"Invalid cluster setting: {name} = {value}.")
        made[name] = value
    return made


def _configuration(call: Call, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if given and given.get("managedStorageConfiguration"):
        raise not_built("ecs", f"{call.operation} configuration.managedStorageConfiguration")
    execute_command.check(given, call.operation)
    return given or {}


def _providers(given: Sequence[str]) -> tuple[str, ...]:
    for name in given:
        if name not in PROVIDERS:
            raise ApiError("InvalidParameterException", f"The specified capacity provider '{name}' does not exist.")
    return tuple(dict.fromkeys(given))


@ops("DescribeClusters", resources=_each)
async def describe_clusters(call: Call, request: Request) -> Answer:
    wanted = request.get("clusters") or ("default",)
    if len(wanted) > 100:
        raise invalid("clusters can have at most 100 items.")
    include = request.get("include") or ()
    found, failures = [], []
    for reference in wanted:
        try:
            record = queries.any_cluster(call, reference)
        except ApiError:
            record = None
        if record is None:
            arn = reference if reference.startswith("arn:") else call.arn(f"cluster/{reference}")
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(shapes.cluster(call.store, record, include))
    return {"clusters": found, "failures": failures}


@ops("ListClusters")
async def list_clusters(call: Call, request: Request) -> Answer:
    active = [c for c in call.store.list(CLUSTER, call.account, call.region) if c.spec.active]
    shown, token = paged(call, request, active, lambda c: c.meta.name)
    return {"clusterArns": [c.meta.arn for c in shown], "nextToken": token}


@ops("DeleteCluster", resources=queries.cluster_arns)
async def delete_cluster(call: Call, request: Request) -> Answer:
    def delete(tx: Transaction) -> queries.ClusterRecord:
        found = queries.any_cluster(call, request["cluster"], tx)
        if found is None:
            raise queries.no_cluster()
        if not found.spec.active:
            return found
        here = scoped(call.account, call.region, found.meta.name)
        if tx.count(SERVICE, "active", here):
            raise ApiError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(t.status.last != "STOPPED" for t in tx.find(TASK, "cluster", here)):
            raise ApiError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        for instance in tx.list(INSTANCE, call.account, call.region):
            if instance.spec.cluster == found.meta.name:
                tx.remove(instance)  # nobody registered it: each node is an instance of each cluster by itself
        return tx.update(found, spec=replace(found.spec, active=False, deleted=call.now))

    return {"cluster": shapes.cluster(call.store, await call.store.transact(delete))}


async def _change(call: Call, reference: str, **changes: Any) -> queries.ClusterRecord:
    def change(tx: Transaction) -> queries.ClusterRecord:
        found = queries.cluster(call, reference, tx)
        return tx.update(found, spec=replace(found.spec, **changes))

    return await call.store.transact(change)


@ops("UpdateCluster", resources=queries.cluster_arns)
async def update_cluster(call: Call, request: Request) -> Answer:
    if request.get("serviceConnectDefaults"):
        raise not_built("ecs", "UpdateCluster serviceConnectDefaults")
    changes: dict[str, Any] = {}
    if "settings" in request:
        changes["settings"] = _settings(call, request["settings"])
    if "configuration" in request:
        changes["configuration"] = _configuration(call, request["configuration"])
    made = await _change(call, request["cluster"], **changes)
    return {"cluster": shapes.cluster(call.store, made, ("SETTINGS", "CONFIGURATIONS", "TAGS"))}


@ops("UpdateClusterSettings", resources=queries.cluster_arns)
async def update_cluster_settings(call: Call, request: Request) -> Answer:
    made = await _change(call, request["cluster"], settings=_settings(call, request["settings"]))
    return {"cluster": shapes.cluster(call.store, made, ("SETTINGS",))}


@ops("PutClusterCapacityProviders", resources=queries.cluster_arns)
async def put_cluster_capacity_providers(call: Call, request: Request) -> Answer:
    providers = _providers(request["capacityProviders"])
    chosen = strategy(request["defaultCapacityProviderStrategy"], providers)
    return {
        "cluster": shapes.cluster(
            call.store, await _change(call, request["cluster"], providers=providers, strategy=chosen), ("SETTINGS",)
        )
    }


@ops("DescribeCapacityProviders")
async def describe_capacity_providers(call: Call, request: Request) -> Answer:
    wanted = request.get("capacityProviders")
    names = [n.rsplit("/", 1)[-1] for n in wanted] if wanted else sorted(PROVIDERS)
    shown: list[dict[str, Any]] = [
        {
            "capacityProviderArn": call.arn(f"capacity-provider/{name}"),
            "name": name,
            "status": "ACTIVE",
            "type": name,
            "tags": [],
        }
        for name in names
        if name in PROVIDERS
    ]
    failures = [
        {"arn": call.arn(f"capacity-provider/{name}"), "reason": "MISSING"} for name in names if name not in PROVIDERS
    ]
    return {"capacityProviders": shown, "failures": failures}
