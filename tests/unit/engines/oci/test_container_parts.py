"""Parts of the engine without Docker: what needs no root and no kernel."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import looptime  # noqa: F401 (its marker)
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.engines.groups import Limits
from havre.engines.oci.containers import filters, health, jobs, launch, lines, spec, users
from havre.engines.oci.containers.groups import Groups
from havre.engines.oci.containers.image_cache import Stored
from havre.engines.oci.containers.kept import Kept, signal_number
from havre.engines.oci.containers.records import End, Place, Process, Record, Run, birth, id_of, lives
from havre.engines.oci.containers.users import User
from havre.kernel.errors import Permanent
from havre.kernel.workload import Container, HealthCheck, LogTarget, Tmpfs, Ulimit

ROOT = User(0, 0, (0,), "/root")
IMAGE = Stored("sha256:" + "a" * 64, ("layer",), ("entry",), ("command",), ("A=image", "PATH=/own"))


def record(container: Container, network: str = "bridge", **more: Any) -> Record:
    name = f"havre-x-w-{container.name}"
    return Record(id_of(name), name, "w", container.name, container, IMAGE.id, network, 1.0, **more)


def configured(container: Container, user: User = ROOT, machine: spec.Machine = spec.Machine(), **more: Any) -> Any:
    inside = spec.Inside(user, "here", "/group", "/root", namespaces={"uts": "", "ipc": ""})
    return spec.configuration(record(container, **more), IMAGE, inside, machine)


# --- the description


def test_environment_in_dockers_order() -> None:
    told = configured(Container("c", "i", environment={"A": "mine", "B": "2"}, tty=True))
    assert told["process"]["env"] == ["PATH=/own", "HOSTNAME=here", "TERM=xterm", "A=mine", "B=2", "HOME=/root"]
    assert told["process"]["args"] == ["entry", "command"]
    assert told["process"]["terminal"] is True


def test_who_is_not_root_has_capabilities_only_in_reach() -> None:
    told = configured(Container("c", "i"), User(7, 8, (8,), "/"))["process"]
    assert told["user"] == {"uid": 7, "gid": 8, "additionalGids": [8]}
    assert len(told["capabilities"]["bounding"]) == 14
    assert told["capabilities"]["effective"] == told["capabilities"]["permitted"] == []
    assert "ambient" not in told["capabilities"]
    assert "inheritable" not in told["capabilities"]


@pytest.mark.parametrize(
    ("fields", "has", "has_not"),
    [
        ({}, "CHOWN", "SYS_ADMIN"),
        ({"capabilities_add": ("SYS_ADMIN",)}, "SYS_ADMIN", "SYS_TIME"),
        ({"capabilities_add": ("CAP_SYS_TIME",), "capabilities_drop": ("CHOWN",)}, "SYS_TIME", "CHOWN"),
        ({"capabilities_add": ("ALL",), "capabilities_drop": ("SYS_TIME",)}, "SYS_ADMIN", "SYS_TIME"),
        ({"capabilities_add": ("KILL",), "capabilities_drop": ("ALL",)}, "KILL", "CHOWN"),
        ({"privileged": True}, "SYS_ADMIN", "MAC_ADMIN"),
    ],
)
def test_capabilities_are_added_and_dropped(fields: dict[str, Any], has: str, has_not: str) -> None:
    here = spec.held((1 << 41) - 1) - {"MAC_ADMIN"}
    found = spec.capabilities(Container("c", "i", **fields), here)
    assert has in found
    assert has_not not in found


def test_limits_mounts_and_devices() -> None:
    container = Container(
        "c",
        "i",
        cpu=128,
        memory=64,
        memory_reservation=32,
        swap_mib=16,
        swappiness=10,
        ulimits=(Ulimit("nofile", 1, 2),),
        tmpfs=(Tmpfs("/run", 5, ("mode=700",)),),
        read_only_root=True,
        shm_size_mib=8,
    )
    told = configured(container, machine=spec.Machine(swap=True))
    resources = told["linux"]["resources"]
    assert resources["cpu"] == {"shares": 128}
    assert resources["memory"] == {"limit": 64 << 20, "reservation": 32 << 20, "swap": 80 << 20, "swappiness": 10}
    assert told["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]
    mounts = {m["destination"]: m["options"] for m in told["mounts"]}
    assert "size=5m" in mounts["/run"] and "mode=700" in mounts["/run"]
    assert "size=8m" in mounts["/dev/shm"]
    assert told["root"]["readonly"] is True
    assert resources["devices"][0] == {"allow": False, "access": "rwm"}
    assert "swap" not in configured(container)["linux"]["resources"]["memory"], "where swap is not counted"
    assert configured(Container("c", "i"))["linux"]["resources"]["cpu"] == {"shares": 2}


def test_a_privileged_one_has_no_filter_and_nothing_masked() -> None:
    machine = spec.Machine(seccomp="program")
    assert configured(Container("c", "i"), machine=machine)["annotations"] == {"run.oci.seccomp_bpf_data": "program"}
    told = configured(Container("c", "i", privileged=True), machine=machine)
    assert told["annotations"] == {}
    assert "maskedPaths" not in told["linux"]
    assert told["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_an_init_that_is_not_there_is_said() -> None:
    with pytest.raises(Permanent, match="docker-init, tini-static or catatonit"):
        configured(Container("c", "i", init=True))
    told = configured(Container("c", "i", init=True), machine=spec.Machine(init="/usr/bin/tini-static"))
    assert told["process"]["args"][:2] == ["/sbin/docker-init", "--"]


def test_an_image_that_says_nothing() -> None:
    with pytest.raises(Permanent, match="No command specified"):
        spec.arguments(Container("c", "i"), Stored("x", ()))
    assert spec.arguments(Container("c", "i", entry_point=("mine",)), IMAGE) == ["mine"]


@pytest.mark.parametrize(
    ("container", "network", "words"),
    [
        (Container("c", "i", log=LogTarget("gelf")), "bridge", "no log driver 'gelf'"),
        (Container("c", "i", security_options=("seccomp=unconfined",)), "bridge", "seccomp=unconfined"),
        (Container("c", "i", capabilities_drop=("NONSENSE",)), "bridge", "NONSENSE"),
        (Container("c", "i", sysctls={"net.x": "1"}), "host", "not allowed in host network mode"),
        (Container("c", "i", log=LogTarget("json-file", options={"max-file": "3"})), "bridge", "max-size alone"),
        (Container("c", "i", log=LogTarget("local", options={"max-size": "much"})), "bridge", "max-size alone"),
        (Container("c", "i", log=LogTarget("local", options={"max-size": "2m"})), "bridge", ""),
        (Container("c", "i", log=LogTarget("awslogs"), security_options=("no-new-privileges",)), "bridge", ""),
    ],
)
def test_what_is_refused(container: Container, network: str, words: str) -> None:
    said = spec.refused(container, network)
    assert words in said
    assert bool(words) == bool(said)


def test_namespaces_by_mode() -> None:
    def of(network: str, **more: Any) -> dict[str, str]:
        return jobs.namespaces(
            Kept(record(Container("c", "i"), network, **more), Place(Path("/x"), Path("/y"))), version2=False
        )

    assert of("bridge") == {"mount": "", "uts": "", "network": "", "pid": "", "ipc": ""}
    assert "network" not in of("host")
    assert of("awsvpc", sandbox=7)["network"] == "/proc/7/ns/net"
    shared = of("bridge", sandbox=7, pid_mode="task", ipc_mode="host")
    assert shared["pid"] == "/proc/7/ns/pid"
    assert "ipc" not in shared
    with pytest.raises(Permanent, match="no sandbox"):
        of("awsvpc")


# --- the filter


def test_the_filter_allows_more_to_who_may_more() -> None:
    assert "chroot" in filters.allowed(["SYS_CHROOT"])
    assert "chroot" not in filters.allowed([])
    assert {"mount", "unshare", "clone"} <= set(filters.allowed(["SYS_ADMIN"]))
    assert not {"mount", "unshare", "kexec_load", "init_module"} & set(filters.allowed(["SYS_CHROOT"]))
    assert len(base64.b64decode(filters.compiled(("SYS_CHROOT",)))) % 8 == 0
    assert filters.compiled(("SYS_CHROOT",)) != filters.compiled(("SYS_CHROOT", "SYS_ADMIN"))


def test_the_same_filter_in_words() -> None:
    told = filters.rules(["SYS_CHROOT"])
    allowed = next(s for s in told["syscalls"] if s["action"] == "SCMP_ACT_ALLOW" and "args" not in s)["names"]
    assert "chroot" in allowed
    clone = [s for s in told["syscalls"] if s["names"] == ["clone"]]
    assert clone[0]["args"] == [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ", "valueTwo": 0}]
    assert [s for s in filters.rules(["SYS_ADMIN"])["syscalls"] if s["names"] == ["clone"]] == []


# --- lines

WHEN = b"2026-11-26T01:09:58.150601842+00:00"
PIECES = st.lists(st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.booleans(), st.binary(max_size=8)), max_size=30)


def written(pieces: Sequence[tuple[bytes, bool, bytes]]) -> tuple[bytes, list[bytes]]:
    """What a monitor writes of these, and the whole lines in it."""
    out, whole, open_lines = b"", [], dict[bytes, bytes]()
    for stream, ends, raw in pieces:
        text = raw.replace(b"\n", b" ")
        out += b" ".join((WHEN, stream, b"F" if ends else b"P", text)) + b"\n"
        open_lines[stream] = open_lines.get(stream, b"") + text
        if ends:
            whole.append(open_lines.pop(stream))
    return out, whole


@given(PIECES, st.integers(0, 100))
def test_lines_are_whole_however_they_come(pieces: list[tuple[bytes, bool, bytes]], cut: int) -> None:
    data, whole = written(pieces)
    begun: lines.Open = {}
    first, used = lines.read(data[: len(data) * cut // 100], begun)
    second, rest = lines.read(data[used:], begun)
    assert [text for _, text in first + second] == whole
    assert used + rest == len(data)
    assert {at for at, _ in first + second} <= {1795655398150}


@given(PIECES)
def test_at_the_end_nothing_is_left(pieces: list[tuple[bytes, bool, bytes]]) -> None:
    data, _ = written(pieces)
    begun: lines.Open = {}
    found, used = lines.read(data, begun, last=True)
    assert (used, begun) == (len(data), {})
    assert sum(len(text) for _, text in found) == sum(len(text) for _, _, text in pieces)


def test_long_lines_come_in_pieces_and_nonsense_is_passed_over() -> None:
    piece = b" ".join((WHEN, b"stdout", b"P", b"x" * 8192)) + b"\n"
    begun: lines.Open = {}
    found, used = lines.read(piece * 33, begun)
    assert [len(text) for _, text in found] == [lines.LARGEST]
    assert (used, len(begun["stdout"][1])) == (len(piece) * 33, 8192)
    assert lines.read(b"nonsense\n" + b"2026-99-99T99:99:99.150601842+00:00 stdout F x\n", {}) == ([], 56)
    assert lines.tail(piece + b" ".join((WHEN, b"stdout", b"F", b"y")) + b"\n", 1) == b"x" * 8192 + b"y\n"


def test_one_stream_does_not_wait_for_the_other() -> None:
    data = b" ".join((WHEN, b"stdout", b"P", b"? ")) + b"\n" + b" ".join((WHEN, b"stderr", b"F", b"trouble")) + b"\n"
    assert [text for _, text in lines.read(data, {})[0]] == [b"trouble"]


# --- health


async def results(outcomes: Sequence[int], check: HealthCheck, before: str = "UNKNOWN", age: float = 0.0) -> list[str]:
    told: list[str] = []
    left = list(outcomes)

    async def run(command: Sequence[str]) -> int:
        if not left:
            await asyncio.Event().wait()
        outcome = left.pop(0)
        if outcome < 0:
            await asyncio.sleep(1000)
        return outcome

    watching = asyncio.ensure_future(health.watch(check, age, run, told.append, before))
    await asyncio.sleep((check.interval + check.timeout) * len(outcomes) + 1)
    watching.cancel()
    return told


CHECK = HealthCheck(("CMD-SHELL", "x"), interval=10, timeout=2, retries=2)


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_health_as_docker_judges_it() -> None:
    assert await results([0], CHECK) == ["HEALTHY"]
    assert await results([1], CHECK) == []
    assert await results([1, 1], CHECK) == ["UNHEALTHY"]
    assert await results([0, 1, 0, 1, 1, 0], CHECK) == ["HEALTHY", "UNHEALTHY", "HEALTHY"]
    assert await results([-1, -1], CHECK) == ["UNHEALTHY"], "one that hangs has failed"
    started = HealthCheck(("CMD", "x"), interval=10, timeout=2, retries=1, start_period=25)
    assert await results([1, 1], started) == []
    assert await results([1, 1, 1], started) == ["UNHEALTHY"]
    assert await results([1], started, age=100) == ["UNHEALTHY"]
    assert await results([1], started, "HEALTHY") == ["UNHEALTHY"], "who was healthy has started"


def test_commands_of_checks() -> None:
    assert health.command(HealthCheck(("CMD-SHELL", "a || b"))) == ["/bin/sh", "-c", "a || b"]
    assert health.command(HealthCheck(("CMD", "a", "b"))) == ["a", "b"]


# --- files


def test_paths_in_a_root_do_not_leave_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "up").symlink_to("../../../../etc")
    (tmp_path / "round").symlink_to("round")
    assert users.within(tmp_path, "/out/passwd") == tmp_path / "etc" / "passwd"
    assert users.within(tmp_path, "/up/passwd") == tmp_path / "etc" / "passwd"
    assert users.within(tmp_path, "/../../x/./y") == tmp_path / "x" / "y"
    with pytest.raises(Permanent, match="symbolic links"):
        users.within(tmp_path, "/round")


def test_users_as_docker_finds_them(tmp_path: Path) -> None:
    assert users.resolve(tmp_path, "") == User(0, 0, (0,), "/root")
    assert users.resolve(tmp_path, "5") == User(5, 0, (0,), "/")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("nonsense\nroot:x:0:0::/r:\napp:x:7:8::/home/app:\nbad:x:y:z::/:\n")
    (tmp_path / "etc" / "group").write_text("app:x:8:\nmore:x:9:other,app\nbad:x:q:app\n")
    assert users.resolve(tmp_path, "app") == User(7, 8, (8, 9), "/home/app")
    assert users.resolve(tmp_path, "7") == User(7, 8, (8, 9), "/home/app")
    assert users.resolve(tmp_path, "app:more") == User(7, 9, (9,), "/home/app")
    for wrong in ("bad", "nobody", "app:none"):
        with pytest.raises(Permanent, match="unable to find"):
            users.resolve(tmp_path, wrong)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    place, made = Place(tmp_path / "c", tmp_path / "exits"), record(Container("c", "i", environment={"A": "1"}))
    place.settle(made)
    place.write("run", Run(Process(1, 2), Process(3, 4), 5.0, "10.0.0.1"))
    place.write("end", End(137, 6.0, True))
    again = Place(tmp_path / "c", tmp_path / "exits")
    assert again.read("record", Record) == made
    assert again.read("run", Run) == Run(Process(1, 2), Process(3, 4), 5.0, "10.0.0.1")
    assert again.read("end", End) == End(137, 6.0, True)
    (again.path / "end.json").write_text("{")
    assert again.read("end", End) is None
    assert again.exit_code("x") is None
    again.remove()
    again.remove()
    assert not again.path.exists()


def test_processes_are_told_apart_by_their_birth() -> None:
    import os

    own = birth(os.getpid())
    assert own > 0
    assert lives(Process(os.getpid(), own))
    assert not lives(Process(os.getpid(), own - 1))
    assert not lives(Process(0, 0))


def test_signals_by_all_their_names() -> None:
    assert [signal_number(n) for n in ("SIGTERM", "term", "15", "SIGRTMIN+3", "SIGKILL")] == [15, 15, 15, 37, 9]
    for wrong in ("", "SIGNOTHING", "99", "SIGRTMIN+99", "-1"):
        with pytest.raises(Permanent, match="Invalid signal"):
            signal_number(wrong)


def test_words_of_runtimes_are_dockers() -> None:
    crun = "executable file `nope` not found in $PATH: No such file or directory\n"
    assert launch.docker_words(crun).endswith('exec: "nope": executable file not found in $PATH: unknown')
    assert launch.docker_words("something else\n") == "OCI runtime create failed: something else"


# --- control groups, version 2


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    return tmp_path


def test_version_2_has_one_tree(mount: Path) -> None:
    groups = Groups("x", mount)
    assert groups.version2
    assert groups.why_not() == ""
    task = mount / "havre-tasks-x" / "t"
    task.mkdir(parents=True)
    for path in (mount / "cgroup.subtree_control", mount / "havre-tasks-x" / "cgroup.subtree_control"):
        path.write_text("")
    for name in ("cpu.max", "cpu.weight", "memory.max"):
        (task / name).write_text("")
    groups.settle_task("t", Limits(cpu=250_000, shares=256, memory=64 << 20))
    assert (task / "cpu.max").read_text() == "25000 100000"
    assert (task / "cpu.weight").read_text() == str(Limits(0, 256, 0).weight)
    assert (task / "memory.max").read_text() == str(64 << 20)
    assert groups.path("t", "c" * 64) == "/havre-tasks-x/t/cccccccccccccccc"
    container = task / ("c" * 16)
    container.mkdir()
    (container / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    (container / "cgroup.procs").write_text("0\n")
    assert groups.oom_kills("t", "c" * 64) == 2
    assert groups.found() == {("t", "c" * 16)}
    assert groups.tasks() == {"t"}
    assert groups.processes("t", "c" * 64) == set()


def test_a_machine_that_lacks_controllers_says_so(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert "lack memory" in Groups("x", tmp_path).why_not()
