"""RegisterTaskDefinition: the whole definition, checked, completed, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.placement import QueryError, parse
from havre.kernel.errors import not_built
from havre.services.ecs.rules import fargate, file_systems
from havre.services.ecs.rules.common import NAME, ROLE, client
from havre.services.ecs.rules.containers import container, named

Json = Mapping[str, Any]

NETWORK_MODES = ("bridge", "host", "awsvpc", "none")
COMPATIBILITIES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_ECR = re.compile(r"(127\.\d+\.\d+\.\d+|localhost):\d+/|\d{12}\.dkr\.ecr\.[a-z0-9-]+\.")
_MEMBERS = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "cpu", "memory", "pidMode", "ipcMode",
    "runtimePlatform", "ephemeralStorage", "requiresCompatibilities",
)  # fmt: skip
_ATTRIBUTE = "com.amazonaws.ecs.capability."


def is_ecr(image: str) -> bool:
    """Whether the image lies in this installation's registry."""
    return _ECR.match(image) is not None


def body(request: Json) -> dict[str, Any]:
    """AWS's TaskDefinition shape without ARN, revision and times. Raises ClientException."""
    family = request["family"]
    if not family:
        raise client("Family should not be null or empty.")
    if not NAME.fullmatch(family):
        raise client("Family contains invalid characters.")
    _refuse(request)
    network = request.get("networkMode") or "bridge"
    if network not in NETWORK_MODES:
        raise client(f"Invalid networkMode: {network}.")
    wanted = list(request.get("requiresCompatibilities") or ())
    for each in wanted:
        if each not in COMPATIBILITIES:
            raise client(f"Invalid requiresCompatibilities: {each}.")
    on_fargate = "FARGATE" in wanted
    for each in request["containerDefinitions"]:
        named(each)
    if on_fargate and network != "awsvpc":
        raise client("Fargate only supports network mode ‘awsvpc’.")
    containers = [container(c, network, on_fargate) for c in request["containerDefinitions"]]
    made = {k: request[k] for k in _MEMBERS if request.get(k) not in (None, [], "")}
    made["containerDefinitions"] = containers
    made["volumes"] = _volumes(request.get("volumes") or (), on_fargate)
    made["placementConstraints"] = _constraints(request.get("placementConstraints") or (), on_fargate)
    _together(made, containers)
    _task_level(made, on_fargate)
    made["compatibilities"] = _compatibilities(made, wanted)
    made["requiresAttributes"] = _attributes(made, network)
    return made


def _refuse(request: Json) -> None:
    for member in ("proxyConfiguration", "inferenceAccelerators", "trustedExecutionConfiguration"):
        if request.get(member):
            raise not_built("ecs", f"RegisterTaskDefinition {member}")
    if request.get("enableFaultInjection"):
        raise not_built("ecs", "RegisterTaskDefinition enableFaultInjection")
    system = (request.get("runtimePlatform") or {}).get("operatingSystemFamily", "LINUX")
    if system != "LINUX":
        raise not_built("ecs", f"RegisterTaskDefinition runtimePlatform.operatingSystemFamily {system}")


def _volumes(given: Sequence[Json], on_fargate: bool) -> list[dict[str, Any]]:
    names: set[str] = set()
    for volume in given:
        name = volume.get("name") or ""
        if not NAME.fullmatch(name):
            raise client("Volume.name should not be null or empty, and has letters, numbers, underscores and hyphens.")
        if name in names:
            raise client(f"Volume name '{name}' is given twice.")
        names.add(name)
        for member in (
            "fsxWindowsFileServerVolumeConfiguration",
            "s3filesVolumeConfiguration",
        ):
            if volume.get(member):
                raise not_built("ecs", f"RegisterTaskDefinition volumes.{member}")
        if volume.get("configuredAtLaunch"):
            raise not_built("ecs", "RegisterTaskDefinition volumes.configuredAtLaunch")
        source, docker = (volume.get("host") or {}).get("sourcePath"), volume.get("dockerVolumeConfiguration")
        if efs := volume.get("efsVolumeConfiguration"):
            file_systems.check(name, efs)
        if sum(map(bool, (source, docker, efs))) > 1:
            raise client(
                "Only one of host, dockerVolumeConfiguration and efsVolumeConfiguration may be given for a volume."
            )
        if on_fargate and (source or docker):
            raise client(f"Fargate does not support {'host sourcePath' if source else 'Docker volume configuration'}.")
        if source and (not source.startswith("/") or ".." in source.split("/")):
            raise client("host.sourcePath must be an absolute path.")
        if docker and docker.get("autoprovision") and docker.get("scope", "task") != "shared":
            raise client("autoprovision is only supported when scope is shared.")
    return [dict(v) for v in given]


def _constraints(given: Sequence[Json], on_fargate: bool) -> list[dict[str, Any]]:
    if given and on_fargate:
        raise client("Fargate does not support task placement constraints.")
    if len(given) > 10:
        raise client("Too many placement constraints: at most 10 are allowed.")
    for each in given:
        if each.get("type") != "memberOf":
            raise client(f"Invalid placement constraint type: {each.get('type')}.")
        try:
            parse(each.get("expression", ""))
        except QueryError as error:
            raise client(f"Invalid expression in placement constraint: {error}") from None
    return [dict(c) for c in given]


def _together(made: Json, containers: Sequence[Json]) -> None:
    if not containers:
        raise client("Container list cannot be empty.")
    if len(containers) > 10:
        raise client("Too many containers: at most 10 are allowed in a task definition.")
    names = [c["name"] for c in containers]
    if len(set(names)) != len(names):
        raise client("Container names must be unique in a task definition.")
    if not any(c["essential"] for c in containers):
        raise client("A task definition must have at least one essential container.")
    volumes = {v["name"] for v in made["volumes"]}
    for each in containers:
        _references(each, names, volumes)
    _acyclic({c["name"]: _needs(c) for c in containers})
    _distinct_ports(containers)
    known = {c["name"]: c for c in containers}
    for each in containers:
        for need in each.get("dependsOn", ()):
            _possible(each["name"], need["condition"], known[need["containerName"]])


def _possible(name: str, condition: str, needed: Json) -> None:
    if condition in ("SUCCESS", "COMPLETE") and needed["essential"]:
        raise client("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")
    if condition == "HEALTHY" and not needed.get("healthCheck"):
        raise client(
            f"The container '{needed['name']}' must have a health check, because container '{name}' depends on it "
            "being HEALTHY."
        )


def _references(each: Json, names: Sequence[str], volumes: set[str]) -> None:
    for mount in each["mountPoints"]:
        if mount.get("sourceVolume") not in volumes:
            raise client(f"Unknown volume '{mount.get('sourceVolume')}'.")
        if not (mount.get("containerPath") or "").startswith("/"):
            raise client("mountPoints.containerPath must be an absolute path.")
    for need in each.get("dependsOn", ()):
        if need["containerName"] not in names:
            raise client(f"Cannot depend on container + '{need['containerName']}' because it does not exist")
    for other in _needs(each):
        if other not in names or other == each["name"]:
            raise client(f"Container '{each['name']}' refers to container '{other}', which is not in the definition.")


def _distinct_ports(containers: Sequence[Json]) -> None:
    names = [p["name"] for c in containers for p in c["portMappings"] if p.get("name")]
    for each in names:
        if not _PORT_NAME.fullmatch(each):
            raise client(f"Invalid portMappings.name: {each}. Up to 64 lowercase letters, numbers, underscores, and "
                         "hyphens are allowed; it cannot start with a hyphen.")  # fmt: skip
        if names.count(each) > 1:
            raise client(f"The portMappings.name {each} is given twice.")
    ports: set[tuple[int, str]] = set()
    for each in containers:
        for mapping in each["portMappings"]:
            taken = (mapping["hostPort"], mapping["protocol"])
            if mapping["hostPort"] and taken in ports:
                raise client(f"The host port {taken[0]}/{taken[1]} is used by more than one container.")
            ports.add(taken)


def _needs(each: Json) -> set[str]:
    needs = {d["containerName"] for d in each.get("dependsOn", ())}
    needs |= {link.split(":")[0] for link in each.get("links", ())}
    return needs | {str(v.get("sourceContainer")) for v in each["volumesFrom"]}


def _acyclic(needs: dict[str, set[str]]) -> None:
    left = dict(needs)
    while left:
        free = [name for name, of in left.items() if not of & left.keys()]
        if not free:
            raise client("Container dependencies must not form a cycle.")
        for name in free:
            del left[name]


def _task_level(made: dict[str, Any], on_fargate: bool) -> None:
    cpu, memory = fargate.sizes(made.get("cpu"), made.get("memory"))
    if cpu:
        made["cpu"] = str(cpu)
    if memory:
        made["memory"] = str(memory)
    _budget(made["containerDefinitions"], cpu, memory)
    for member in ("taskRoleArn", "executionRoleArn"):
        if made.get(member) and not ROLE.fullmatch(made[member]):
            raise client("Role is not valid")
    for member, allowed in (("pidMode", ("host", "task")), ("ipcMode", ("host", "task", "none"))):
        if made.get(member) not in (None, *allowed):
            raise client(f"Invalid {member}: {made[member]}.")
    if on_fargate:
        fargate.check_size(cpu, memory)
        _fargate_level(made)
    elif made.get("ephemeralStorage"):
        raise client("ephemeralStorage is only supported by Fargate.")


def _budget(containers: Sequence[Json], cpu: int, memory: int) -> None:
    if not memory:
        for each in containers:
            if each.get("memory") is None and each.get("memoryReservation") is None:
                raise client(f"Invalid setting for container '{each['name']}'. At least one of 'memory' or "
                             "'memoryReservation' must be specified.")  # fmt: skip
    elif sum(c.get("memoryReservation") or c.get("memory") or 0 for c in containers) > memory:
        raise client("Total memory of the containers exceeds the task's memory.")
    if cpu and sum(c["cpu"] for c in containers) > cpu:
        raise client("The sum of the containers' cpu exceeds the task's cpu.")


def _fargate_level(made: Json) -> None:
    if made.get("pidMode") == "host":
        raise client(
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'."
        )
    if made.get("ipcMode"):
        raise client("Tasks using the Fargate launch type do not support ipcMode.")
    fargate.check_disk(made)
    if made.get("executionRoleArn"):
        return
    for each in made["containerDefinitions"]:
        if is_ecr(each["image"]):
            raise client("Fargate requires task definition to have execution role ARN to support ECR images.")
        if (each.get("logConfiguration") or {}).get("logDriver") == "awslogs":
            raise client("Fargate requires task definition to have execution role ARN to support log driver awslogs.")
        if each.get("secrets"):
            raise client("Fargate requires task definition to have execution role ARN to support secrets.")


def _compatibilities(made: Json, wanted: Sequence[str]) -> list[str]:
    found = ["EC2"]
    if "EXTERNAL" in wanted:
        found.insert(0, "EXTERNAL")
    if "FARGATE" in wanted or fargate.fits(made):
        found.append("FARGATE")
    return found


def _attributes(made: Json, network: str) -> list[dict[str, str]]:
    names: list[str] = []
    for each in made["containerDefinitions"]:
        log = (each.get("logConfiguration") or {}).get("logDriver")
        if log:
            names.append(f"{_ATTRIBUTE}logging-driver.{log}")
        if is_ecr(each["image"]):
            names.append(f"{_ATTRIBUTE}ecr-auth")
        if each.get("privileged"):
            names.append(f"{_ATTRIBUTE}privileged-container")
        if each.get("repositoryCredentials"):
            names.append("ecs.capability.private-registry-authentication.secretsmanager")
        if each.get("environmentFiles"):
            names.append("ecs.capability.env-files.s3")
    if made.get("executionRoleArn"):
        names.append("ecs.capability.execution-role-ecr-pull")
    if made.get("taskRoleArn"):
        names.append(f"{_ATTRIBUTE}task-iam-role")
    if network == "awsvpc":
        names.append("ecs.capability.task-eni")
    names.append(f"{_ATTRIBUTE}docker-remote-api.1.18")
    return [{"name": name} for name in dict.fromkeys(names)]
