"""Amazon ECS: clusters, task definitions, tasks, services and container instances, on real containers.

The promise: what a request asks for happens, or is refused with AWS's error; a task that does not run says why.
Every node is a container instance of every cluster, so launch type EC2 works in a cluster that was created a moment
ago. A FARGATE task is placed by its memory and shares cores; it is a container so far, not yet a microVM.

What is accepted with less than AWS's effect is listed in ``PARTIAL``; what Havre does not do is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler
from havre.control.supervisor import Loop

if TYPE_CHECKING:
    from havre.control.terminals.sessions import Sessions
    from havre.services.ecs.utilization import Ask

PARTIAL = {
    "availabilityZoneRebalancing": "recorded; new tasks are spread over zones, running ones are not moved",
    "awsvpcConfiguration.assignPublicIp": "tasks get no public address; they reach out through their VPC's routes",
    "DeregisterContainerInstance": "the node stays out of the cluster until the cluster is made anew",
    "account settings": "containerInsights is the default of new clusters; of the others only the defaults have an effect",
    "ExecuteCommand": "sessions are not resumed: one whose connection is lost has ended",
    "ephemeralStorage": "recorded; a task's disk is not limited",
    "capacityProviders": "FARGATE and FARGATE_SPOT; Spot tasks are never interrupted",
    "portMappings.name, appProtocol": "recorded; Service Connect is not implemented",
    "referenceId": "recorded; nothing refers to it",
    "requiresCompatibilities FARGATE": "the task is a container that shares the node's kernel",
    "settings.containerInsights": "recorded; no metrics are made of it but those of every service in AWS/ECS",
    "runtimePlatform.cpuArchitecture": "the task goes to a node of this architecture, and waits where there is none",
    "cluster query language, =~": "at most three repetitions, and none of a group: others could hold everybody up",
    "versionConsistency": "recorded; each task pulls what the tag names when it starts",
    "volumes.efsVolumeConfiguration.transitEncryption": "recorded; nothing goes over a network",
    "volumes.dockerVolumeConfiguration.autoprovision": "a shared volume is made where there is none yet, either way",
}


def service(sessions: Sessions | None = None) -> Service:
    """``sessions`` is where apps' data channels find what ExecuteCommand has made."""
    from havre.control.terminals.sessions import Sessions
    from havre.services.ecs.operations import (
        attributes,
        clusters,
        container_instances,
        execute_command,
        protection,
        run_task,
        service_deployments,
        services,
        settings,
        tagging,
        task_definitions,
        tasks,
        update_service,
    )
    from havre.services.ecs.resources import KINDS

    operations = merge(
        clusters.ops,
        task_definitions.ops,
        run_task.ops,
        tasks.ops,
        execute_command.operations(sessions or Sessions()),
        services.ops,
        update_service.ops,
        container_instances.ops,
        attributes.ops,
        service_deployments.ops,
        protection.ops,
        settings.ops,
        tagging.ops,
    )
    return Service("ecs", operations, KINDS, partial=PARTIAL, tags=tagging.tags_of)


def reconcilers(deps: ReconcilerDeps, ask: Ask | None = None) -> list[Reconciler[Any]]:
    from havre.services.ecs.reconcile.instances import Instances
    from havre.services.ecs.reconcile.leftovers import Leftovers
    from havre.services.ecs.reconcile.services import Services
    from havre.services.ecs.reconcile.tasks import Tasks

    return [Tasks(deps), Instances(deps), Services(deps), Leftovers(deps)]


def loops(deps: ReconcilerDeps, ask: Ask) -> list[Loop]:
    """``ask`` tells what a node's workloads use."""
    from havre.services.ecs.utilization import Utilization

    utilization = Utilization(deps, ask)
    return [Loop("utilization of services", utilization.run, essential=False, progress=lambda: utilization.progress)]
