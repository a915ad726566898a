"""The filter of system calls of containers: Docker's profile, which allows more to those that have more capabilities."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from havre.engines.oci import seccomp

_BY_CAPABILITY: Mapping[str, str] = {
    "DAC_READ_SEARCH": "open_by_handle_at",
    "SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare "
        "fanotify_mark name_to_handle_at"
    ),
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module init_module finit_module",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "SYS_RAWIO": "iopl ioperm",
    "SYS_TIME": "settimeofday stime clock_settime clock_settime64 clock_adjtime clock_adjtime64",
    "SYS_TTY_CONFIG": "vhangup",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYSLOG": "syslog",
    "BPF": "bpf",
    "PERFMON": "perf_event_open",
}
_ALWAYS = "fanotify_mark name_to_handle_at process_madvise swapcontext ustat sysfs"
"""Beyond what functions may: Docker lets every container."""


def allowed(capabilities: Sequence[str]) -> list[str]:
    names = set(seccomp.lists()["allow"]) | set(_ALWAYS.split())
    for capability in capabilities:
        names |= set(_BY_CAPABILITY.get(capability, "").split())
    return sorted(names)


@lru_cache(maxsize=32)
def compiled(capabilities: tuple[str, ...]) -> str:
    """For the kernel, in base 64, as crun takes it. Raises Permanent."""
    names = allowed(capabilities)
    refused = [name for name in seccomp.lists()["refuse"] if name not in names]
    return base64.b64encode(seccomp.compiled(names, refused)).decode()


def rules(capabilities: Sequence[str]) -> dict[str, Any]:
    """The same as the runtime specification has it, for runtimes that compile it themselves."""
    names = allowed(capabilities)
    refused = [name for name in seccomp.lists()["refuse"] if name not in names]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            *_conditional(names),
        ],
    }


_OPERATIONS = {1: "SCMP_CMP_NE", 4: "SCMP_CMP_EQ", 7: "SCMP_CMP_MASKED_EQ"}


def _conditional(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name, condition in seccomp.conditional():
        if name not in names:
            found = {"index": condition.index, "value": condition.a, "op": _OPERATIONS[condition.op]}
            if condition.op == 7:
                found["valueTwo"] = condition.b
            yield {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [found]}
