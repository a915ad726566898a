"""From a placed task and its definition to the workload that a node runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.kernel.arn import arn
from havre.kernel.workload import (
    Container,
    Dependency,
    Device,
    HealthCheck,
    LogTarget,
    Mount,
    PortMapping,
    Registry,
    Share,
    Tmpfs,
    Ulimit,
    Volume,
    Workload,
)
from havre.services.ecs.ledger import zone_of
from havre.services.ecs.queries import DefinitionRecord, TaskRecord
from havre.services.ecs.rules.overrides import overridden

Json = Mapping[str, Any]
START_TIMEOUT = 180
STOP_TIMEOUT = 30
_PERMISSIONS = {"read": "r", "write": "w", "mknod": "m"}


def role(body: Json, overrides: Json, member: str, account: str) -> str:
    """The ARN of the task or execution role (``taskRoleArn``, ``executionRoleArn``), "" without one."""
    given: str = overrides.get(member) or body.get(member) or ""
    return given if not given or given.startswith("arn:") else f"arn:aws:iam::{account}:role/{given}"


def unassumable(arn: str) -> str:
    """Why a task with this task role does not start, as the beginning of a sentence."""
    return (
        f"ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role being "
        "passed has the proper trust relationship and permissions"
    )


def workload(
    task: TaskRecord,
    definition: DefinitionRecord,
    registries: Mapping[str, tuple[str, Registry]],
    zone: str,
    shares: Mapping[str, Share] | None = None,
) -> Workload:
    """``registries``: image → (the image as this installation serves it, credentials). ``shares``: volume → what it is of a
    file system."""
    m, spec, body = task.meta, task.spec, definition.spec.body
    limits = _task_limits(body, spec.overrides)
    containers = tuple(_container(task, body, c, registries) for c in body["containerDefinitions"])
    return Workload(
        id=m.name,
        arn=m.arn,
        account=m.account,
        region=m.region,
        containers=containers,
        network=body.get("networkMode", "bridge"),
        interface=task.status.interface,
        volumes=tuple(_volume(v, shares or {}) for v in body["volumes"]),
        cpu=limits[0],
        memory=limits[1],
        pid_mode=body.get("pidMode", ""),
        ipc_mode=body.get("ipcMode", ""),
        role=role(body, spec.overrides, "taskRoleArn", m.account),
        execution_role=role(body, spec.overrides, "executionRoleArn", m.account),
        group=spec.group,
        metadata=_metadata(task, definition, zone),
    )


def _task_limits(body: Json, overrides: Json) -> tuple[int, int]:
    return int(overrides.get("cpu") or body.get("cpu") or 0), int(overrides.get("memory") or body.get("memory") or 0)


def _metadata(task: TaskRecord, definition: DefinitionRecord, zone: str) -> dict[str, str]:
    m, spec = task.meta, task.spec
    told = {
        "Cluster": arn("ecs", m.region, m.account, f"cluster/{spec.cluster}"),
        "Family": definition.spec.family,
        "Revision": str(definition.spec.revision),
        "AvailabilityZone": task.status.zone or zone_of(m.region, zone),
        "LaunchType": spec.launch,
        "ServiceName": spec.service,
    }
    if task.status.interface is not None:
        told["VPCID"] = task.status.interface.vpc
    return {k: v for k, v in told.items() if v}


def container_arn(task: TaskRecord, name: str) -> str:
    """Stable: derived from the task's id and the container's name."""
    m = task.meta
    tail = f"{sum(ord(c) << (8 * (n % 6)) for n, c in enumerate(name)) & 0xFFFFFFFFFFFF:012x}"
    h = m.name.ljust(32, "0")
    id = f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{tail}"
    return arn("ecs", m.region, m.account, f"container/{task.spec.cluster}/{m.name}/{id}")


def _container(task: TaskRecord, body: Json, given: Json, registries: Mapping[str, tuple[str, Registry]]) -> Container:
    c = overridden(given, task.spec.overrides)
    image, registry = registries.get(c["image"], (c["image"], None))
    environment = {e["name"]: e.get("value", "") for e in c["environment"]}
    environment.setdefault("AWS_EXECUTION_ENV", f"AWS_ECS_{task.spec.launch}")
    awsvpc = body.get("networkMode") == "awsvpc"
    return Container(
        name=c["name"],
        image=image,
        command=_words(c.get("command")),
        entry_point=_words(c.get("entryPoint")),
        environment=environment,
        secrets={s["name"]: s["valueFrom"] for s in c.get("secrets", ())},
        environment_files=tuple(f["value"] for f in c.get("environmentFiles", ())),
        registry_secret=(c.get("repositoryCredentials") or {}).get("credentialsParameter", ""),
        essential=c["essential"],
        cpu=c["cpu"],
        memory=c.get("memory") or 0,
        memory_reservation=c.get("memoryReservation", 0),
        ports=tuple(
            PortMapping(p["containerPort"], p["containerPort"] if awsvpc else p["hostPort"], p["protocol"])
            for p in c["portMappings"]
        ),
        mounts=tuple(Mount(v["sourceVolume"], v["containerPath"], v.get("readOnly", False)) for v in c["mountPoints"]),
        volumes_from=tuple((v["sourceContainer"], v.get("readOnly", False)) for v in c["volumesFrom"]),
        depends_on=tuple(Dependency(d["containerName"], d["condition"]) for d in c.get("dependsOn", ())),
        health_check=_health(c.get("healthCheck")),
        start_timeout=c.get("startTimeout", START_TIMEOUT),
        stop_timeout=c.get("stopTimeout", STOP_TIMEOUT),
        registry=registry,
        log=_log(task, c),
        arn=container_arn(task, c["name"]),
        labels=_labels(task, c),
        **_process(c),
        **_linux(c.get("linuxParameters") or {}),
    )


def _words(given: Any) -> tuple[str, ...] | None:
    return tuple(given) if given else None


def _process(c: Json) -> dict[str, Any]:
    return {
        "user": c.get("user", ""),
        "working_directory": c.get("workingDirectory", ""),
        "hostname": c.get("hostname", ""),
        "interactive": c.get("interactive", False),
        "tty": c.get("pseudoTerminal", False),
        "privileged": c.get("privileged", False),
        "read_only_root": c.get("readonlyRootFilesystem", False),
        "links": tuple(c.get("links", ())),
        "extra_hosts": tuple(f"{h['hostname']}:{h['ipAddress']}" for h in c.get("extraHosts", ())),
        "dns": tuple(c.get("dnsServers", ())),
        "dns_search": tuple(c.get("dnsSearchDomains", ())),
        "security_options": tuple(c.get("dockerSecurityOptions", ())),
        "ulimits": tuple(Ulimit(u["name"], u["softLimit"], u["hardLimit"]) for u in c.get("ulimits", ())),
        "sysctls": {s["namespace"]: s["value"] for s in c["systemControls"]},
    }


def _linux(given: Json) -> dict[str, Any]:
    capabilities = given.get("capabilities") or {}
    return {
        "init": given.get("initProcessEnabled", False),
        "capabilities_add": tuple(capabilities.get("add", ())),
        "capabilities_drop": tuple(capabilities.get("drop", ())),
        "devices": tuple(
            Device(
                d["hostPath"],
                d.get("containerPath") or d["hostPath"],
                "".join(_PERMISSIONS[p] for p in d.get("permissions") or _PERMISSIONS),
            )
            for d in given.get("devices", ())
        ),
        "tmpfs": tuple(
            Tmpfs(t["containerPath"], t["size"], tuple(t.get("mountOptions", ()))) for t in given.get("tmpfs", ())
        ),
        "shm_size_mib": given.get("sharedMemorySize", 0),
        "swap_mib": given.get("maxSwap"),
        "swappiness": given.get("swappiness") if given.get("maxSwap") is not None else None,
    }


def _health(given: Json | None) -> HealthCheck | None:
    if not given or given["command"][0] == "NONE":
        return None
    return HealthCheck(
        tuple(given["command"]), given["interval"], given["timeout"], given["retries"], given.get("startPeriod", 0)
    )


def _log(task: TaskRecord, c: Json) -> LogTarget:
    given = c.get("logConfiguration")
    if not given:
        return LogTarget()
    options = given.get("options") or {}
    if given["logDriver"] != "awslogs":
        return LogTarget(driver=given["logDriver"], options=options)
    prefix = options.get("awslogs-stream-prefix")
    stream = f"{prefix}/{c['name']}/{task.meta.name}" if prefix else f"{c['name']}/{task.meta.name}"
    return LogTarget("awslogs", options["awslogs-group"], stream, options["awslogs-region"], options)


def _labels(task: TaskRecord, c: Json) -> dict[str, str]:
    m = task.meta
    family, _, revision = task.spec.definition.rpartition(":")
    return {
        **c.get("dockerLabels", {}),
        "com.amazonaws.ecs.cluster": arn("ecs", m.region, m.account, f"cluster/{task.spec.cluster}"),
        "com.amazonaws.ecs.container-name": c["name"],
        "com.amazonaws.ecs.task-arn": m.arn,
        "com.amazonaws.ecs.task-definition-family": family,
        "com.amazonaws.ecs.task-definition-version": revision,
    }


def _volume(given: Json, shares: Mapping[str, Share]) -> Volume:
    if given.get("efsVolumeConfiguration"):
        return Volume(given["name"], "share", share=shares[given["name"]])
    source = (given.get("host") or {}).get("sourcePath")
    if source:
        return Volume(given["name"], "host", source)
    docker = given.get("dockerVolumeConfiguration")
    if not docker:
        return Volume(given["name"])
    shared = docker.get("scope", "task") == "shared"
    return Volume(
        given["name"],
        "docker",
        given["name"] if shared else "",
        docker.get("driver", "local"),
        docker.get("driverOpts", {}),
        docker.get("labels", {}),
        shared,
    )
