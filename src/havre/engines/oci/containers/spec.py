"""A container as an OCI runtime is told of it (config.json), with Docker's defaults. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import msgspec

from havre.engines.oci.containers.image_cache import Stored
from havre.engines.oci.containers.records import Record
from havre.engines.oci.containers.users import User
from havre.kernel.errors import Permanent
from havre.kernel.quantities import MIB
from havre.kernel.workload import Container

Json = dict[str, Any]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT = "/sbin/docker-init"
_MIN_SHARES = 2
"""The least that Linux takes, and what ECS gives to a container with cpu 0."""
_SHM_MIB = 64
_DEFAULT = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT"
)
_CAPABILITIES = _DEFAULT.split()
_BY_NUMBER = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
_ALL_CAPABILITIES = _BY_NUMBER.split()
"""In the order of their numbers."""
_HIDDEN = (
    "/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list "
    "/proc/timer_stats /sys/devices/virtual/powercap /sys/firmware"
)
_MASKED = _HIDDEN.split()
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_SHM = "/dev/shm"  # noqa: S108 (of a container)
_DEVICES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 136, None, "rwm"),
    ("c", 10, 200, "rw"),
)
_LARGEST_LOG = 10 << 20
_LOG_DRIVERS = ("", "awslogs", "json-file", "local", "none")


class HostDevice(msgspec.Struct, frozen=True):
    """A device file, as it is on this machine. ``kind`` c or b."""

    path: str
    kind: str
    major: int
    minor: int
    permissions: str = "rwm"
    mode: int = 0o660


class Machine(msgspec.Struct, frozen=True):
    """What of this machine the description depends on. ``swap``: whether control groups count it. ``init`` is a path, or
    ""; ``seccomp`` is a program for the kernel in base 64, ``rules`` the same as the specification has it; ``apparmor`` is
    the profile of containers that say none, None where the kernel has no AppArmor: what they say is nothing then."""

    version2: bool = False
    swap: bool = False
    init: str = ""
    capabilities: frozenset[str] = frozenset(_ALL_CAPABILITIES)
    queues: bool = False
    seccomp: str = ""
    rules: Mapping[str, Any] | None = None
    apparmor: str | None = None


class Inside(msgspec.Struct, frozen=True):
    """What was found out about a container before it starts. ``binds``: (source, path, read only); ``namespaces``: kind →
    path of the one that it joins, "" for its own; kinds that are left out are this machine's."""

    user: User
    hostname: str
    cgroup: str
    root: str
    binds: Sequence[tuple[str, str, bool]] = ()
    namespaces: Mapping[str, str] = {}
    devices: Sequence[HostDevice] = ()


def refused(container: Container, network: str) -> str:
    """What of a container this engine does not do, in words; "" when it does all."""
    if container.log.driver not in _LOG_DRIVERS:
        known = ", ".join(d for d in _LOG_DRIVERS if d)
        return f"the oci engine has no log driver {container.log.driver!r}: it has {known}"
    if container.log.driver in ("json-file", "local") and log_size(container) is None:
        said = ", ".join(sorted(container.log.options))
        return f"of the log driver {container.log.driver} the oci engine does max-size alone, as 10m: {said}"
    for option in container.security_options:
        word = option.replace("=", ":").partition(":")[0]
        if word not in ("no-new-privileges", "apparmor"):
            return f"the oci engine does not do the security option {option!r}: it does no-new-privileges and apparmor"
    unknown = {*container.capabilities_add, *container.capabilities_drop} - {"ALL"}
    unknown = {c for c in unknown if _bare(c) not in _ALL_CAPABILITIES}
    if unknown:
        return f'invalid capability: "{sorted(unknown)[0]}"'
    if network == "host" and any(k.startswith("net.") for k in container.sysctls):
        return "network settings are not allowed in host network mode"
    for mapping in container.ports if network == "bridge" else ():
        if mapping.protocol not in ("tcp", "udp"):
            return f"the oci engine publishes tcp and udp ports, not {mapping.protocol}"
    return next((bad for extra in container.extra_hosts if (bad := _no_address(extra.partition(":")[2]))), "")


def _no_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        return f'invalid IP address in add-host: "{text}"'
    return ""


def log_size(container: Container) -> int | None:
    """Bytes of its log that are kept where nobody takes it away; None for what is not understood."""
    options = container.log.options
    if not options or container.log.driver == "none":
        return _LARGEST_LOG
    found = re.fullmatch(r"([1-9][0-9]{0,8})([kmg]?)", options.get("max-size", "").lower())
    if found is None or set(options) != {"max-size"}:
        return None
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


def arguments(container: Container, image: Stored) -> list[str]:
    """As Docker puts them together: an entry point of one's own goes without the image's command. Raises Permanent."""
    entry, command = container.entry_point, container.command
    if entry is None:
        entry = image.entry_point
        command = image.command if command is None else command
    found = [*entry, *(command or ())]
    if not found:
        raise Permanent("No command specified")
    return found


def environment(container: Container, image: Stored, user: User, hostname: str) -> dict[str, str]:
    found = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if container.tty:
        found["TERM"] = "xterm"
    for pair in image.environment:
        key, _, value = pair.partition("=")
        found[key] = value
    found |= container.environment
    found.setdefault("HOME", user.home)
    return found


def configuration(record: Record, image: Stored, inside: Inside, machine: Machine) -> Json:
    """Raises Permanent for what cannot be."""
    container = record.spec
    told: Json = {
        "ociVersion": "1.0.2",
        "process": _process(container, image, inside, machine),
        "root": {"path": inside.root, "readonly": container.read_only_root},
        "mounts": _mounts(record, machine, inside),
        "annotations": {},
        "linux": _linux(record, inside, machine),
    }
    if container.init:
        told["mounts"].append(_bind(machine.init, INIT, True))
    if inside.namespaces.get("uts") == "":
        told["hostname"] = inside.hostname
    if not container.privileged:
        if machine.seccomp:
            told["annotations"]["run.oci.seccomp_bpf_data"] = machine.seccomp
        elif machine.rules is not None:
            told["linux"]["seccomp"] = machine.rules
    return told


def _process(container: Container, image: Stored, inside: Inside, machine: Machine) -> Json:
    words, options = arguments(container, image), container.security_options
    if container.init:
        if not machine.init:
            raise Permanent("initProcessEnabled needs docker-init, tini-static or catatonit on this machine")
        words = [INIT, "--", *words]
    user = inside.user
    told: Json = {
        "terminal": container.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": words,
        "env": [f"{k}={v}" for k, v in environment(container, image, user, inside.hostname).items()],
        "cwd": container.working_directory or image.directory or "/",
        "capabilities": _capability_sets(container, user.uid, machine.capabilities),
        "rlimits": [{"type": f"RLIMIT_{u.name.upper()}", "soft": u.soft, "hard": u.hard} for u in container.ulimits],
        "noNewPrivileges": any(o.startswith("no-new-privileges") and "false" not in o for o in options),
    }
    if profile := apparmor(container, machine):
        told["apparmorProfile"] = profile
    return told


def apparmor(container: Container, machine: Machine) -> str:
    """The profile that it has, "" for none."""
    if machine.apparmor is None:
        return ""
    for option in container.security_options:
        word, _, profile = option.replace("=", ":", 1).partition(":")
        if word == "apparmor":
            return profile
    return "unconfined" if container.privileged else machine.apparmor


# --- capabilities


def held(mask: int) -> frozenset[str]:
    """The capabilities of a set, as ``/proc/PID/status`` has it."""
    return frozenset(name for number, name in enumerate(_ALL_CAPABILITIES) if mask >> number & 1)


def _bare(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def capabilities(container: Container, here: frozenset[str]) -> list[str]:
    """Docker's default ones with what is added and without what is dropped; of a privileged one all that there are
    ``here``."""
    every = sorted(here & set(_ALL_CAPABILITIES))
    if container.privileged:
        return every
    added, dropped = ({_bare(c) for c in which} for which in (container.capabilities_add, container.capabilities_drop))
    base: Sequence[str] = every if "ALL" in added else () if "ALL" in dropped else _CAPABILITIES
    found = [c for c in base if c not in dropped or ("ALL" in dropped and "ALL" in added)]
    return found + sorted(c for c in added - {"ALL"} if c not in found and c not in dropped)


def _capability_sets(container: Container, uid: int, here: frozenset[str]) -> Json:
    names = [f"CAP_{c}" for c in capabilities(container, here)]
    own = names if uid == 0 else []
    return {"bounding": names, "permitted": own, "effective": own}


# --- linux


def _linux(record: Record, inside: Inside, machine: Machine) -> Json:
    container = record.spec
    devices = [
        {"path": d.path, "type": d.kind, "major": d.major, "minor": d.minor, "fileMode": d.mode, "uid": 0, "gid": 0}
        for d in inside.devices
    ]
    own_net = record.network in ("bridge", "none")
    told: Json = {
        "cgroupsPath": inside.cgroup,
        "namespaces": [{"type": k, **({"path": p} if p else {})} for k, p in inside.namespaces.items()],
        "devices": devices,
        "sysctl": _sysctls(container, own_net),
        "resources": {**_resources(record, machine), "devices": _allowed(container, inside.devices)},
        "rootfsPropagation": "private",
    }
    if not container.privileged:
        told["maskedPaths"], told["readonlyPaths"] = _MASKED, _READ_ONLY
    return told


def _sysctls(container: Container, own_network: bool) -> dict[str, str]:
    found = {}
    if own_network:
        found = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
    return found | {k: v for k, v in container.sysctls.items() if own_network or not k.startswith("net.")}


def _allowed(container: Container, devices: Sequence[HostDevice]) -> list[Json]:
    if container.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[Json] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in (*_DEVICES, *((d.kind, d.major, d.minor, d.permissions) for d in devices)):
        rule: Json = {"allow": True, "type": kind, "access": access}
        rule |= {k: v for k, v in (("major", major), ("minor", minor)) if v is not None}
        rules.append(rule)
    return rules


def _resources(record: Record, machine: Machine) -> Json:
    container = record.spec
    cpu: Json = {"shares": max(container.cpu, _MIN_SHARES)}
    limit = container.memory
    memory: Json = {"limit": limit * MIB} if limit else {}
    if container.memory_reservation:
        memory["reservation"] = container.memory_reservation * MIB
    if limit and machine.swap:
        memory["swap"] = (limit + (limit if container.swap_mib is None else container.swap_mib)) * MIB
    if container.swappiness is not None and container.swap_mib is not None and not machine.version2:
        memory["swappiness"] = container.swappiness
    return {"cpu": cpu, "memory": memory}


# --- mounts


def _mounts(record: Record, machine: Machine, inside: Inside) -> list[Json]:
    container = record.spec
    sys_mode = "rw" if container.privileged else "ro"
    mounts: list[Json] = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", sys_mode),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", sys_mode, "nosuid", "noexec", "nodev"),
    ]
    if "ipc" in inside.namespaces:
        mounts.append(_mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"))
    elif machine.queues:
        mounts.append(_bind("/dev/mqueue", "/dev/mqueue", False))
    if record.ipc_mode in ("", "none"):
        size = f"size={container.shm_size_mib or _SHM_MIB}m"
        mounts.append(_mount(_SHM, "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", size))
    elif record.ipc_mode == "host":
        mounts.append(_bind(_SHM, _SHM, False))
    covered = {t.path.rstrip("/") for t in container.tmpfs}
    binds = [_bind(*b) for b in inside.binds if b[1].rstrip("/") not in covered]
    tmpfs = [
        _mount(t.path, "tmpfs", "tmpfs", "noexec", "nosuid", "nodev", f"size={t.size_mib}m", *t.options)
        for t in container.tmpfs
    ]
    return mounts + sorted([*binds, *tmpfs], key=lambda m: str(m["destination"]).rstrip("/").count("/"))


def _mount(where: str, kind: str, source: str, *options: str) -> Json:
    return {"destination": where, "type": kind, "source": source, "options": list(options)}


def _bind(source: str, where: str, read_only: bool) -> Json:
    return _mount(where, "bind", source, "rbind", "rprivate", "ro" if read_only else "rw")
