"""AWS Lambda: functions, versions, aliases, layers, policies, event source mappings, and their invocation.

The promise: what is acknowledged is kept; a function that says it is Active can be invoked at once; while an update is in
progress, or when it has failed, invocations run what was before it.

Left out, and refused by name: KMS keys of event filters and of durable executions, file
systems but EFS's of the own account, accelerators, custom runtimes by ARN, versions of runtimes (UpdateRuntimeOn Manual),
sources in Kafka, MQ and DocumentDB, IPv6 in VPCs, resource policies of runtimes.

A capacity provider stands for room on this installation's machines: no instance is started for it. Its vCPUs are held, its
subnets and security groups are where environments have their interfaces, its target is what versions are scaled by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge
from havre.control.supervisor import Loop

if TYPE_CHECKING:
    from havre.services.lambda_.facilities import Facilities
    from havre.services.lambda_.policies import resource_policy

__all__ = ["Facilities", "loops", "reconcilers", "resource_policy", "service"]
__getattr__ = lazily(__name__, {"Facilities": "facilities", "resource_policy": "policies"})

PARTIAL = {
    "CreateFunction.Code": "S3Bucket hot-reload takes the directory S3Key of this machine; its versions change as it does",
    "CreateFunction.CodeSigningConfigArn": "nothing can be signed: Warn lets all code in, Enforce none",
    "CreateFunction.Architectures": "only what the machines of this installation run",
    "CreateFunction.TracingConfig": "there is no X-Ray: trace headers are passed on, and Active samples nothing",
    "PutRuntimeManagementConfig": "runtimes are updated when their images are built again; Manual is refused",
    "GetFunctionConfiguration.RuntimeVersionConfig": "is not told: runtimes here have no versions of AWS's",
    "CreateCapacityProvider.InstanceRequirements": "instance types are checked, kept and shown, and choose nothing",
    "CreateCapacityProvider.PermissionsConfig": "Lambda must be let into the operator's role, and does nothing by it",
    "CreateCapacityProvider.PropagateTags": "is checked, kept and shown: there are no instances to be tagged",
    "CreateCapacityProvider.TelemetryConfig": "is kept and shown: there are no instances whose lines could be written",
    "CreateFunction.CapacityProviderConfig": "timeouts end at 900 seconds, however the function is invoked",
    "ListFunctions.MasterRegion": "there are no replicas of Lambda@Edge: nothing is listed",
}


def service(facilities: Facilities | None = None) -> Service:
    """``facilities`` is filled in by apps; operations that need what is missing fail before that."""
    from havre.services.lambda_.durable import operations as durable
    from havre.services.lambda_.facilities import Facilities
    from havre.services.lambda_.invoking import operations as invoke
    from havre.services.lambda_.operations import (
        aliases,
        capacity,
        code_signing,
        concurrency,
        event_invoke,
        functions,
        layer_permissions,
        layers,
        management,
        mappings,
        permissions,
        scaling,
        tags,
        updates,
        urls,
        versions,
    )
    from havre.services.lambda_.resources import KINDS

    given = facilities or Facilities()
    made = (module.operations(given) for module in (capacity, durable, functions, invoke, layers, updates))
    plain = (
        aliases,
        code_signing,
        concurrency,
        event_invoke,
        layer_permissions,
        management,
        mappings,
        permissions,
        scaling,
        tags,
        urls,
        versions,
    )
    return Service("lambda", merge(*made, *(module.ops for module in plain)), KINDS, partial=PARTIAL)


def reconcilers(deps: ReconcilerDeps, facilities: Facilities) -> list[Any]:
    from havre.services.lambda_.reconcile.capacity import Providing
    from havre.services.lambda_.reconcile.code import Sweeping
    from havre.services.lambda_.reconcile.managed import Managing
    from havre.services.lambda_.reconcile.provisioned import Provisioning
    from havre.services.lambda_.reconcile.readiness import Readying

    return [
        Readying(deps, facilities),
        Sweeping(deps, facilities),
        Provisioning(deps, facilities),
        Providing(deps),
        Managing(deps, facilities),
    ]


def loops(deps: ReconcilerDeps, facilities: Facilities) -> list[Loop]:
    from havre.services.lambda_.sources.pollers import Pollers

    pollers = Pollers(deps)
    polling = Loop("event sources", pollers.run, progress=lambda: pollers.progress)
    return [*facilities.open_invoking(deps.store, deps.world).loops(deps), polling]
