"""One container of a task definition: checked as RegisterTaskDefinition does, with the defaults that AWS shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from havre.kernel.errors import ApiError, not_built
from havre.services.ecs.rules.common import NAME, client

Json = Mapping[str, Any]

LOG_DRIVERS = ("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens")
AWSLOGS = (
    "awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "mode", "max-buffer-size",
)  # fmt: skip
SIZE = re.compile(r"\d{1,9}[kmg]?b?", re.IGNORECASE)
FARGATE_TIMEOUT = 120
FARGATE_LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
CAPABILITIES = frozenset(
    [
        "ALL",
        "AUDIT_CONTROL",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "SYSLOG",
        "WAKE_ALARM",
    ]
)
MOUNT_OPTIONS = (
    "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount",
    "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind", "unbindable", "runbindable",
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "relatime", "norelatime", "strictatime",
    "nostrictatime", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol",
)  # fmt: skip
"""Of tmpfs; a value may follow behind "="."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,1022}")
_PASSWORD = re.compile(r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[^\s:]+|[A-Za-z0-9/_+=.@-]{1,512}")
MOST_ENVIRONMENT_FILES = 10
_ENVIRONMENT_FILE = re.compile(r"arn:aws[a-z-]*:s3:::[^/]+/.+\.env")
_SECRET = re.compile(r"(arn:aws:(secretsmanager|ssm):[a-z0-9-]+:\d{12}:\S+|/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)")

NOT_BUILT: Mapping[str, Callable[[Any], bool]] = {
    "restartPolicy": lambda v: bool(v.get("enabled")),
    "firelensConfiguration": bool,
    "credentialSpecs": bool,
    "resourceRequirements": bool,
    "disableNetworking": bool,
}
"""Members that would change what runs, and that Havre does not carry out: refused when they ask for something."""


def bad(name: str, message: str) -> ApiError:
    return client(f"Invalid setting for container '{name}'. {message}")


def named(given: Json) -> tuple[str, str]:
    """The container's name and image, without which nothing else is looked at. Raises ClientException."""
    for member in ("name", "image"):
        if not (given.get(member) or "").strip():
            raise client(f"Container.{member} should not be null or empty.")
    return given["name"], given["image"]


def container(given: Json, network: str, fargate: bool) -> dict[str, Any]:
    """The ContainerDefinition as it is stored. Raises ClientException."""
    name, image = named(given)
    if not NAME.fullmatch(name):
        raise client(f"Container.name contains invalid characters: {name}")
    if not _IMAGE.fullmatch(image):
        raise client("Container.image contains invalid characters.")
    for member, asks in NOT_BUILT.items():
        if member in given and asks(given[member]):
            raise not_built("ecs", f"RegisterTaskDefinition containerDefinitions.{member}")
    made: dict[str, Any] = {"cpu": 0, "essential": True, "environment": [], "mountPoints": [], "volumesFrom": []}
    made.update({"systemControls": [], **given})
    made["portMappings"] = _ports(name, given.get("portMappings") or (), network)
    sizes(name, made)
    _times(name, made)
    _process(name, made, network)
    _linux(name, made, fargate)
    _logs(name, made, fargate)
    _health(name, made)
    return made


def _ports(name: str, given: Any, network: str) -> list[dict[str, Any]]:
    made, seen = [], set()
    for mapping in given:
        if "containerPortRange" in mapping:
            raise not_built("ecs", "RegisterTaskDefinition portMappings.containerPortRange")
        port = mapping.get("containerPort")
        if port is None or not 1 <= port <= 65535:
            raise bad(name, f"Invalid container port: {port}. Ports must be between 1 and 65535.")
        host = mapping.get("hostPort")
        protocol = mapping.get("protocol", "tcp")
        if protocol not in ("tcp", "udp"):
            raise bad(name, f"Invalid protocol: {protocol}. Valid values are tcp and udp.")
        if host is not None and not 0 <= host <= 65535:
            raise bad(name, f"Invalid host port: {host}. Ports must be between 0 and 65535.")
        if network == "none":
            raise client("Port mappings cannot be specified when networkMode=none.")
        if network in ("awsvpc", "host"):
            if host not in (None, 0, port):
                raise client(
                    f"When networkMode={network}, the host ports and container ports in port mappings must match."
                )
            host = port
        taken = (host or port, protocol) if host else (port, protocol, name)
        if taken in seen:
            raise bad(name, f"The port mapping of container port {port} is given twice.")
        seen.add(taken)
        made.append({**mapping, "containerPort": port, "hostPort": host or 0, "protocol": protocol})
    return made


def sizes(name: str, made: Json) -> None:
    """A container's CPU and memory. Raises ClientException."""
    cpu, memory, soft = made.get("cpu", 0), made.get("memory"), made.get("memoryReservation")
    if cpu < 0 or cpu > 196_608:
        raise bad(name, "Invalid value for 'cpu'.")
    for value in (memory, soft):
        if value is not None and value < 6:
            raise bad(name, "The 'memory' setting must be at least 6 MiB.")
    if memory is not None and soft is not None and soft > memory:
        raise bad(name, "The 'memory' setting must be greater than or equal to the 'memoryReservation' setting.")


def _times(name: str, made: Json) -> None:
    for member, low, high in (("startTimeout", 2, 1200), ("stopTimeout", 0, 86_400)):
        value = made.get(member)
        if value is not None and not low <= value <= high:
            raise bad(name, f"{member} must be between {low} and {high} seconds.")
    for depends in made.get("dependsOn", ()):
        if depends["condition"] not in ("START", "COMPLETE", "SUCCESS", "HEALTHY"):
            raise bad(name, f"Invalid container dependency condition: {depends['condition']}.")


def _process(name: str, made: Json, network: str) -> None:
    keys = [e.get("name", "") for e in made["environment"]]
    if any(not k for k in keys):
        raise bad(name, "Environment variable names must not be null or empty.")
    secrets = [s["name"] for s in made.get("secrets", ())]
    if len(set(secrets)) != len(secrets) or set(secrets) & set(keys):
        raise client("The secret name must be unique and not shared with any new or existing environment variables set "
                     f"on the container, such as '{(secrets or [''])[0]}'.")  # fmt: skip
    for secret in made.get("secrets", ()):
        if not _SECRET.fullmatch(secret["valueFrom"]):
            raise bad(name, f"Invalid valueFrom of secret '{secret['name']}'.")
    environment_files(name, made)
    credentials = made.get("repositoryCredentials")
    if credentials and not _PASSWORD.fullmatch(credentials["credentialsParameter"]):
        raise bad(name, f"Invalid credentialsParameter: {credentials['credentialsParameter']}.")
    _names(made, network)
    for control in made["systemControls"]:
        if not control.get("namespace") or not control.get("value"):
            raise bad(name, "systemControls need a namespace and a value.")
    for limit in made.get("ulimits", ()):
        if limit["name"] not in ULIMITS:
            raise bad(name, f"Invalid ulimit name: {limit['name']}.")
        if limit["softLimit"] > limit["hardLimit"] >= 0:
            raise bad(name, f"The soft limit of ulimit {limit['name']} exceeds its hard limit.")


def environment_files(name: str, made: Json) -> None:
    """Raises ClientException."""
    files = made.get("environmentFiles", ())
    if len(files) > MOST_ENVIRONMENT_FILES:
        raise bad(name, f"At most {MOST_ENVIRONMENT_FILES} environment files can be specified.")
    for each in files:
        if each["type"] != "s3":
            raise bad(name, f"Invalid environment file type: {each['type']}. The only supported value is s3.")
        if not _ENVIRONMENT_FILE.fullmatch(each["value"]):
            raise bad(name, f"Invalid environment file: {each['value']}. It must be the ARN of an Amazon S3 object with a "
                      ".env extension.")  # fmt: skip


def _names(made: Json, network: str) -> None:
    if network == "awsvpc":
        for member in ("links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts"):
            if made.get(member):
                what = "links are" if member == "links" else f"{member} is"
                raise client(f"{what} not supported on container when networkMode=awsvpc.")
    elif made.get("links") and network != "bridge":
        raise client(f"Links are not supported when networkMode={network}.")
    if network == "host" and made.get("hostname"):
        raise client("hostname is not supported on container when networkMode=host.")


def _linux(name: str, made: Json, fargate: bool) -> None:
    linux = made.get("linuxParameters") or {}
    capabilities = linux.get("capabilities") or {}
    for each in (*capabilities.get("add", ()), *capabilities.get("drop", ())):
        if each not in CAPABILITIES:
            raise bad(name, f"Invalid capability: {each}.")
    if not 0 <= linux.get("swappiness", 60) <= 100:
        raise bad(name, "swappiness must be between 0 and 100.")
    if linux.get("maxSwap", 0) < 0:
        raise bad(name, "maxSwap must be 0 or positive.")
    if linux.get("sharedMemorySize", 1) < 1:
        raise bad(name, "sharedMemorySize must be at least 1 MiB.")
    _tmpfs(name, linux)
    for each in linux.get("devices", ()):
        if not each["hostPath"].startswith("/dev/") or "/../" in each["hostPath"]:
            raise bad(name, f"Invalid device: {each['hostPath']}.")
    if fargate:
        _linux_on_fargate(name, made, linux)


def _tmpfs(name: str, linux: Json) -> None:
    for each in linux.get("tmpfs", ()):
        if each["size"] < 1 or not each["containerPath"].startswith("/"):
            raise bad(name, "tmpfs needs an absolute containerPath and a size of at least 1 MiB.")
        for option in each.get("mountOptions", ()):
            if option.partition("=")[0] not in MOUNT_OPTIONS:
                raise bad(name, f"Invalid tmpfs mount option: {option}.")


def _linux_on_fargate(name: str, made: Json, linux: Json) -> None:
    if set((linux.get("capabilities") or {}).get("add", ())) - {"SYS_PTRACE"}:
        raise client("Fargate only supports adding the SYS_PTRACE Linux capability.")
    for member in ("devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"):
        if linux.get(member):
            raise client(f"Fargate does not support linuxParameters.{member}.")
    for member in ("startTimeout", "stopTimeout"):
        if made.get(member, 0) > FARGATE_TIMEOUT:
            raise bad(name, f"{member} can be at most {FARGATE_TIMEOUT} seconds on Fargate.")
    for member in ("privileged", "dockerSecurityOptions", "links"):
        if made.get(member):
            raise client(f"The '{member}' setting for container '{name}' is not supported by Fargate.")


def _logs(name: str, made: Json, fargate: bool) -> None:
    log = made.get("logConfiguration")
    if not log:
        return
    driver, options = log["logDriver"], log.get("options") or {}
    if driver not in LOG_DRIVERS:
        raise client(f"Invalid log driver: {driver}.")
    if fargate and driver not in FARGATE_LOG_DRIVERS:
        raise client(f"Log driver {driver} is not supported by Fargate.")
    if driver == "awsfirelens" or log.get("secretOptions"):
        what = "awsfirelens" if driver == "awsfirelens" else "secretOptions"
        raise not_built("ecs", f"RegisterTaskDefinition logConfiguration {what}")
    if driver == "awslogs":
        _awslogs(name, options, fargate)


def _awslogs(name: str, options: Json, fargate: bool) -> None:
    for option in ("awslogs-group", "awslogs-region", *(("awslogs-stream-prefix",) if fargate else ())):
        if not options.get(option):
            raise client(f"Log driver awslogs requires options: {option}")
    for option in options:
        if option not in AWSLOGS:
            raise not_built("ecs", f"RegisterTaskDefinition logConfiguration {option}")
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise bad(name, f"The log driver's mode must be blocking or non-blocking, not {options['mode']}.")
    if not SIZE.fullmatch(options.get("max-buffer-size", "1m")):
        raise bad(name, f"The log driver's max-buffer-size is no size: {options['max-buffer-size']}.")


def _health(name: str, made: dict[str, Any]) -> None:
    check = made.get("healthCheck")
    if not check:
        return
    command = check.get("command") or []
    if not command or command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise bad(name, "The health check command must begin with CMD, CMD-SHELL or NONE.")
    if len(command) < 2 and command[0] != "NONE":
        raise bad(name, "The health check command must not be empty.")
    full = {"interval": 30, "timeout": 5, "retries": 3, **check}
    bounds = (("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300))
    for member, low, high in bounds:
        if not low <= full.get(member, low) <= high:
            raise bad(name, f"The health check {member} must be between {low} and {high}.")
    made["healthCheck"] = full
