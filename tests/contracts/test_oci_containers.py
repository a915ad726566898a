"""What a container finds inside when it runs without Docker: who it is, what it may, its files, its volumes."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from havre.engines.oci.containers import apparmor, programs
from havre.kernel.errors import Permanent
from havre.kernel.workload import Container, Device, Mount, Tmpfs, Ulimit, Volume, Workload
from tests.contracts.container_bench import SLEEP, awsvpc, until
from tests.contracts.oci_bench import OciSetting, push, said, shell, shop
from tests.contracts.registry_server import Process
from tests.images import base, layer

pytestmark = pytest.mark.root

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nwheel:x:10:app\nstaff:x:50:root\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with shop(tmp_path_factory.mktemp("shop")) as process:
        files = layer({"etc/passwd": PASSWD, "etc/group": GROUP, "data/kept": "of the image", "link/": None})
        volumes: dict[str, Any] = {"/data": {}}
        push(process, "rich", [base(), files], User="app", WorkingDir="/srv/app", Volumes=volumes, StopSignal="SIGUSR1")
        push(process, "entry", [base()], Entrypoint=["/bin/echo", "entry"], Cmd=["command"])
        yield process


async def begun(setting: OciSetting, container: Container, workload: Workload | None = None) -> str:
    workload = workload or setting.workload(container)
    for volume in workload.volumes:
        await setting.engine.ensure_volume(workload, volume)
    sandbox = await setting.engine.sandbox(workload) if workload.network == "awsvpc" else None
    made = await setting.engine.create(workload, container, await setting.image(container), sandbox)
    await setting.engine.start(made.id)
    return made.id


async def output(setting: OciSetting, script: str, **more: Any) -> list[str]:
    """What it wrote; it ends by itself."""
    id = await begun(setting, shell(setting, script, **more))
    await until(setting.engine, id, "exited")
    return (await setting.engine.logs(id, 1000)).decode().splitlines()


async def test_it_is_who_the_image_says(setting: OciSetting) -> None:
    found = await output(
        setting, "id; pwd; echo $HOME; echo $HOSTNAME; hostname; echo $A", tag="rich", environment={"A": "1"}
    )
    assert found[:3] == ["uid=1000(app) gid=1000(app) groups=10(wheel),1000(app)", "/srv/app", "/home/app"]
    assert found[3] == found[4] != ""
    assert found[5] == "1"


async def test_a_user_of_ones_own(setting: OciSetting) -> None:
    assert (await output(setting, "id -u; id -g; id -G", tag="rich", user="root:staff"))[:2] == ["0", "50"]
    assert await output(setting, "id -u; id -g; pwd", tag="rich", user="7:8", working_directory="/new/place") == [
        "7",
        "8",
        "/new/place",
    ]
    with pytest.raises(Permanent, match="unable to find user nobody-here"):
        await output(setting, "true", user="nobody-here")


async def test_entry_points_and_commands(setting: OciSetting) -> None:
    image = setting.reference.removesuffix(":1") + ":entry"
    for words, expected in (
        ({}, "entry command"),
        ({"command": ("other",)}, "entry other"),
        ({"entry_point": ("/bin/echo", "mine")}, "mine"),
        ({"entry_point": ("/bin/echo", "mine"), "command": ("too",)}, "mine too"),
    ):
        id = await begun(setting, Container("main", image, **words))
        await until(setting.engine, id, "exited")
        assert (await setting.engine.logs(id)).decode() == expected + "\n"


async def test_it_may_what_docker_lets_containers_do(setting: OciSetting) -> None:
    script = (
        "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status;"
        "unshare -m true; echo $?; mount -t tmpfs x /mnt; echo $?"
    )
    status = await output(setting, script)
    assert {"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "Seccomp:\t2"} <= set(status)
    assert status[-1] != "0"
    assert any("Operation not permitted" in line for line in status)
    dropped = await output(setting, script, capabilities_drop=("ALL",), capabilities_add=("CAP_CHOWN",))
    assert "CapEff:\t0000000000000001" in dropped
    free: Any = {"capabilities_add": ("SYS_ADMIN",), "security_options": ("apparmor:unconfined",)}
    admin = await output(setting, "mkdir /m; mount -t tmpfs x /m && echo mounted", **free)
    assert admin[-1] == "mounted"
    other = await output(setting, script, tag="rich")
    assert "CapEff:\t0000000000000000" in other
    assert "NoNewPrivs:\t1" in await output(setting, script, security_options=("no-new-privileges",))


async def test_a_profile_of_apparmor_where_the_kernel_has_it(setting: OciSetting) -> None:
    own = "cat /proc/self/attr/current 2>/dev/null || echo none; "
    ask = own + "mkdir /m; mount -t tmpfs x /m && echo mounted; umount /m; echo x > /proc/self/comm && echo renamed"
    usual = await output(setting, ask, capabilities_add=("SYS_ADMIN",))
    free = await output(setting, own, security_options=("apparmor:unconfined",))
    all_may = await output(setting, ask, privileged=True)
    if apparmor.enabled():
        assert usual[0] == f"{apparmor.NAME} (enforce)" and "mounted" not in usual
        assert free == ["unconfined"] and all_may[0] == "unconfined"
        id = await begun(setting, shell(setting, SLEEP))
        assert (await setting.engine.exec(id, ["cat", "/proc/self/attr/current"]))[1].decode().startswith(apparmor.NAME)
        await setting.engine.stop(id, 5.0)
    else:
        assert usual[0] == free[0] == all_may[0] == "none" and "mounted" in usual
    assert usual[-1] == "renamed" and "mounted" in all_may


async def test_a_privileged_one_may_all(setting: OciSetting) -> None:
    script = "grep Seccomp: /proc/self/status; mkdir /m; mount -t tmpfs x /m && ls /dev/loop-control"
    assert await output(setting, script, privileged=True) == ["Seccomp:\t0", "/dev/loop-control"]


async def test_its_root_and_what_is_mounted_there(setting: OciSetting) -> None:
    assert await output(setting, "echo a > /file && cat /file") == ["a"]
    script = "echo a > /file; echo b > /tmp/file && cat /tmp/file; df -k /tmp /dev/shm | tail -n 2 | awk '{print $2}'"
    tmpfs = (Tmpfs("/tmp", 3, ("mode=1777",)),)
    found = await output(setting, script, read_only_root=True, tmpfs=tmpfs, shm_size_mib=5)
    assert any("Read-only file system" in line for line in found)
    assert {"b", "3072", "5120"} <= set(found)
    hidden = await output(
        setting, "cat /proc/keys /proc/timer_list 2>/dev/null | wc -c; echo 1 > /proc/sys/kernel/panic"
    )
    assert hidden[0] == "0"
    assert "Read-only" in hidden[1]


async def test_settings_of_the_kernel(setting: OciSetting) -> None:
    found = await output(
        setting,
        "ulimit -n; ulimit -Hn; cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start kernel/msgmax net/ipv4/tcp_syncookies",
        ulimits=(Ulimit("nofile", 100, 200),),
        sysctls={"kernel.msgmax": "9000", "net.ipv4.tcp_syncookies": "0"},
    )
    assert found == ["100", "200", "0", "9000", "0"]


async def test_devices(setting: OciSetting) -> None:
    script = "ls /dev; head -c 4 /dev/nought | wc -c; mknod /mem c 1 1; cat /mem"
    found = await output(setting, script, devices=(Device("/dev/zero", "/dev/nought", "r"),))
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "nought", "shm"} <= set(found)
    assert "loop-control" not in found
    assert "4" in found
    assert "Operation not permitted" in found[-1]
    with pytest.raises(Permanent, match="error gathering device information"):
        await output(setting, "true", devices=(Device("/dev/no-such-device"),))


async def test_a_first_process_that_reaps(setting: OciSetting) -> None:
    assert (await output(setting, "cat /proc/1/comm", init=True))[0] in (
        "docker-init",
        "tini-static",
        "catatonit",
        "tini",
    )


async def test_volumes_begin_with_what_the_image_has(setting: OciSetting) -> None:
    volume = Volume("things")
    container = shell(
        setting,
        f"cat /data/kept; echo more > /data/more; {SLEEP}",
        tag="rich",
        user="root",
        mounts=(Mount("things", "/data"),),
    )
    reader = shell(setting, "cat /data/more; echo x > /data/y", name="reader", volumes_from=(("main", True),))
    workload = setting.workload(container, reader, volumes=(volume,))
    id = await begun(setting, container, workload)
    assert await said(setting.oci, id) == ["of the image"]
    second = await begun(setting, reader, workload)
    await until(setting.engine, second, "exited")
    found = (await setting.engine.logs(second)).decode()
    assert found.startswith("more\n")
    assert "Read-only" in found


async def test_an_images_own_volumes(setting: OciSetting) -> None:
    container = shell(setting, f"grep -c ' /data ' /proc/mounts; cat /data/kept; {SLEEP}", tag="rich")
    reader = shell(setting, "cat /data/kept", name="reader", volumes_from=(("main", False),))
    workload = setting.workload(container, reader)
    assert await said(setting.oci, await begun(setting, container, workload), 2) == ["1", "of the image"]
    assert await said(setting.oci, await begun(setting, reader, workload)) == ["of the image"]


async def test_directories_of_the_machine(setting: OciSetting, tmp_path: Path) -> None:
    container = shell(setting, "echo hello > /there/file", mounts=(Mount("there", "/there"),))
    workload = setting.workload(container, volumes=(Volume("there", "host", str(tmp_path / "made" / "here")),))
    before = os.umask(0o077)
    try:
        await until(setting.engine, await begun(setting, container, workload), "exited")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made", tmp_path / "made" / "here")]
    assert modes == [0o755, 0o755], "whoever a container runs as gets in"
    assert (tmp_path / "made" / "here" / "file").read_text() == "hello\n"


async def test_tasks_that_share(setting: OciSetting) -> None:
    """Processes and memory of one container are seen in the other."""
    one = shell(setting, f"echo shared > /dev/shm/x; {SLEEP}")
    other = shell(setting, "cat /dev/shm/x; ps | grep -c 'sleep 1'", name="other")
    workload = setting.workload(one, other, pid_mode="task", ipc_mode="task")
    sandbox = await setting.engine.sandbox(workload)
    for container in (one, other):
        made = await setting.engine.create(workload, container, await setting.image(container), sandbox)
        await setting.engine.start(made.id)
        await asyncio.sleep(0.3)
    found = await said(setting.oci, made.id, 2)
    assert found[0] == "shared"
    assert int(found[1]) >= 1


async def test_processes_of_the_machine(setting: OciSetting) -> None:
    container = shell(setting, "cat /proc/1/comm")
    id = await begun(setting, container, setting.workload(container, pid_mode="host", ipc_mode="host"))
    assert await said(setting.oci, id) == [Path("/proc/1/comm").read_text().strip()]


async def test_it_is_told_to_end_as_the_image_says(setting: OciSetting) -> None:
    container = shell(setting, "trap 'echo asked; exit 7' USR1; echo ready; while :; do sleep 0.1; done", tag="rich")
    id = await begun(setting, container)
    await said(setting.oci, id)
    await setting.engine.stop(id, 20)
    assert (await setting.engine.inspect(id)).exit_code == 7
    assert (await setting.engine.logs(id)).decode().splitlines()[-1] == "asked"
    with pytest.raises(Permanent, match="Invalid signal"):
        await setting.engine.stop(await begun(setting, shell(setting, SLEEP)), 1, "SIGNOTHING")


async def test_a_terminal(setting: OciSetting) -> None:
    found = await output(
        setting, "test -t 1 && echo terminal; echo $TERM; test -t 0 && echo input", tty=True, interactive=True
    )
    assert [line.strip() for line in found] == ["terminal", "xterm", "input"]


async def test_names_of_an_awsvpc_task(setting: OciSetting) -> None:
    container = shell(
        setting, "cat /etc/hosts /etc/resolv.conf; hostname; echo $HOSTNAME", extra_hosts=("db:10.1.0.77",)
    )
    id = await begun(setting, container, awsvpc(setting, container))
    await until(setting.engine, id, "exited")
    found = (await setting.engine.logs(id)).decode()
    assert "10.1.0.9 ip-10-1-0-9.ec2.internal" in found
    assert "10.1.0.77 db" in found
    assert "nameserver 169.254.169.253" in found
    assert found.splitlines()[-2:] == ["ip-10-1-0-9.ec2.internal"] * 2


async def test_runc_does_as_well(setting: OciSetting, monkeypatch: pytest.MonkeyPatch) -> None:
    path = programs.find("runc")
    assert path, "docker.io brings it"
    monkeypatch.setattr(programs, "runtime", lambda: path)
    script = f"grep -E '^(CapBnd|Seccomp):' /proc/self/status; unshare -m true || echo refused; {SLEEP}"
    id = await begun(setting, shell(setting, script, memory=64))
    found = await said(setting.oci, id, 4)
    assert {"CapBnd:\t00000000a80425fb", "Seccomp:\t2", "refused"} <= set(found)
    assert (await setting.engine.exec(id, ["echo", "hello"])) == (0, b"hello\n")
    assert (
        b'"no-such-program": executable file not found in $PATH'
        in (await setting.engine.exec(id, ["no-such-program"]))[1]
    )
    again = await setting.again()
    assert (await again.inspect(id)).state == "running"
    await again.stop(id, 10)
    assert (await again.inspect(id)).exit_code == 0
    with pytest.raises(Permanent, match="executable file not found"):
        await begun(setting, Container("main", setting.reference, command=("no-such-program",)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"log": {"driver": "syslog"}}, "no log driver 'syslog'"),
        ({"security_options": ("label:type:x",)}, "label:type:x"),
        ({"capabilities_add": ("FLYING",)}, "invalid capability"),
        ({"extra_hosts": ("there:nowhere",)}, 'invalid IP address in add-host: "nowhere"'),
    ],
)
async def test_what_is_not_done_is_refused_by_name(setting: OciSetting, fields: dict[str, Any], words: str) -> None:
    from havre.kernel.workload import LogTarget

    if "log" in fields:
        fields = {"log": LogTarget(**fields["log"])}
    container = shell(setting, "true", **fields)
    with pytest.raises(Permanent, match=words):
        await setting.engine.create(setting.workload(container), container, await setting.image(container), None)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (Volume("v", "docker", driver="nfs"), "no volume driver 'nfs'"),
        (Volume("v", "docker", driver_options={"type": "tmpfs"}), "options of volumes: type"),
        (Volume("../v"), "invalid characters"),
    ],
)
async def test_volumes_that_are_not_done_are_refused_by_name(setting: OciSetting, volume: Volume, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        await setting.engine.ensure_volume(setting.workload(), volume)
