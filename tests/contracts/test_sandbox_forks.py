"""A child that begins in its control group, in each version of the kernel's interface, is one that os.fork made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

TRY = """
import ctypes, errno, json, os, random, signal, socket, ssl, sys, threading
from havre.engines.oci.zygote import forks

made = forks.Forks(os.open("/", os.O_PATH))
refuse, files = int(sys.argv[1]), sys.argv[2:]
if refuse:
    real = forks.kept.syscall
    def syscall(number, *words):
        if number == forks.CLONE3:
            ctypes.set_errno(refuse)
            return -1
        return real(number, *words)
    forks.kept.syscall = syscall
hooks = []
os.register_at_fork(before=lambda: hooks.append("before"), after_in_child=lambda: hooks.append("child"),
                    after_in_parent=lambda: hooks.append("parent"))
random.random(), ssl.RAND_bytes(1)
libc = ctypes.CDLL(None)
libc.pthread_self.restype = ctypes.c_void_p

def say():
    lock = threading.RLock()
    with lock:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    head, length = ctypes.c_void_p(), ctypes.c_size_t()
    libc.syscall(forks.ROBUST_LIST[os.uname().machine][0], 0, ctypes.byref(head), ctypes.byref(length))
    return {
        "group": open("/proc/self/cgroup").read(), "hooks": hooks, "random": random.random(), "ssl": ssl.RAND_bytes(8).hex(),
        "tid": ctypes.c_int.from_address(made.tid.value).value == os.getpid() == threading.get_native_id(),
        "locks": head.value == made.locks.value, "threads": threading.active_count(),
    }

told = []
for _ in range(2):
    reader, writer = os.pipe()
    try:
        pid, left = made.fork(files)
    except OSError as error:
        print(json.dumps({"error": error.errno}))
        sys.exit()
    if pid == 0:
        os.write(writer, json.dumps({**say(), "left": left}).encode())
        os._exit(7)
    os.close(writer)
    said = json.loads(os.fdopen(reader).read())
    told.append({**said, "pid": pid, "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
print(json.dumps({"children": told, "able": made.able, "hooks": hooks, "left": left}))
"""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """One of version 2, with no controllers, whatever this machine mounts."""
    mount = tmp_path / "unified"
    mount.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "none", str(mount)], check=True)
    made = mount / f"havre-test-{os.urandom(4).hex()}"
    made.mkdir()
    try:
        yield made
    finally:
        made.rmdir()
        subprocess.run(["umount", str(mount)], check=True)


def forked(*files: Path, refuse: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-c", TRY, str(refuse), *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_child_begins_in_its_group(group: Path) -> None:
    told = forked(group / "cgroup.procs")
    one, other = told["children"]
    assert told["able"]
    for child in (one, other):
        assert f"0::/{group.name}\n" in child["group"]
        assert child["left"] == []


def test_it_is_as_one_that_was_forked(group: Path) -> None:
    told = forked(group / "cgroup.procs")
    one, other = told["children"]
    for child in (one, other):
        assert child["tid"] and child["locks"]
        assert (child["threads"], child["code"]) == (1, 7)
    assert one["hooks"] == ["before", "child"]
    assert told["hooks"] == ["before", "parent"] * 2
    assert one["random"] != other["random"] and one["ssl"] != other["ssl"]


@pytest.mark.parametrize("refuse", [38, 22, 1])
def test_where_that_is_refused_the_child_is_told_to_join(group: Path, refuse: int) -> None:
    told = forked(group / "cgroup.procs", refuse=refuse)
    assert not told["able"]
    for child in told["children"]:
        assert group.name not in child["group"]
        assert child["left"] == [str(group / "cgroup.procs")]
    assert told["hooks"][-2:] == ["before", "parent"]


def test_groups_of_version_1_are_joined(tmp_path: Path) -> None:
    files = [tmp_path / name / "tasks" for name in ("cpu", "memory")]
    told = forked(*files)
    assert [child["left"] for child in told["children"]] == [list(map(str, files))] * 2


def test_a_group_that_is_gone_is_an_error(group: Path) -> None:
    assert forked(group / "gone" / "cgroup.procs") == {"error": 2}
