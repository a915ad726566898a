"""The walls around a function: what it sees, what it may do, and how much it gets."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from havre.engines.oci import cgroups
from havre.engines.sandbox import Sandbox
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code
from tests.contracts.sandbox_bench import Bench

pytestmark = pytest.mark.root


async def python(bench: Bench, sandbox: Sandbox, script: str) -> str:
    await bench.start(sandbox, "/var/lang/bin/python3", "-c", script, name="python")
    await bench.until(lambda: (sandbox.id, "python") in bench.exits)
    bench.exits.pop((sandbox.id, "python"))
    return bench.output.pop((sandbox.id, "python"), bytearray()).decode()


def group(sandbox: Sandbox, controller: str) -> Path:
    """Its directory below a controller's mount."""
    for line in Path(f"/proc/{sandbox.pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return Path("/sys/fs/cgroup", controller, path.lstrip("/"))
    return Path("/sys/fs/cgroup", path.lstrip("/"))


async def test_runs_as_nobody_in_particular(bench: Bench) -> None:
    sandbox = await bench.obtain()
    _, said = await bench.sh(
        sandbox, "id -u; id -g; id -Gn 2>/dev/null; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status"
    )
    lines = said.splitlines()
    assert lines[:3] == ["993", "990", "sbx_user1051"]
    words = dict(line.split(":\t") for line in lines[3:])
    assert {words[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (words["NoNewPrivs"], words["Seccomp"]) == ("1", "2")


async def test_sees_its_own_processes_only(bench: Bench) -> None:
    one, other = await bench.obtain(), await bench.obtain()
    await bench.start(other, "/bin/sleep", "1000", name="other")
    _, said = await bench.sh(one, "cat /proc/[0-9]*/comm")
    assert "sleep" not in said
    assert len(said.splitlines()) <= 3
    code, _ = await bench.sh(one, f"kill -9 {other.pid} || kill -9 {os.getpid()}")
    assert code != 0
    await bench.sh(one, "kill -9 1")
    assert await bench.sh(one, "echo alive") == (0, "alive\n")


async def test_does_not_see_the_hosts_files(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    secret.chmod(0o644)
    for parent in secret.parents:
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    sandbox = await bench.obtain()
    assert (await bench.sh(sandbox, f"cat {secret} /proc/1/root{secret}"))[0] != 0
    _, mounts = await bench.sh(sandbox, "cat /proc/self/mounts")
    points = {line.split()[1] for line in mounts.splitlines()}
    assert points <= {
        *("/", "/tmp", "/var/task", "/proc", "/sys", "/sys/firmware", "/dev"),
        *(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")),
        *(p for p in points if p.startswith("/proc/")),
    }
    assert (await bench.sh(sandbox, "ls /proc/1/root/ /proc/1/fd"))[0] != 0


@pytest.mark.parametrize(
    "path",
    ["/file", "/var/task/file", "/opt/file", "/etc/passwd", "/dev/file", "/proc/sys/kernel/hostname", "/sys/file"],
)
async def test_everything_but_tmp_is_read_only(bench: Bench, path: str) -> None:
    sandbox = await bench.obtain()
    code, said = await bench.sh(sandbox, f"echo x >> {path}")
    assert code != 0, said


@pytest.mark.parametrize(
    "call",
    [
        "os.setuid(0)",
        "os.chroot('/tmp')",
        "os.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))",
        "check(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))",
        "check(libc.unshare(0x10000000))",
        "check(libc.unshare(0x20000))",
        "check(libc.syscall(435, bytes(88), 88))",
        "socket.socket(40, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.sethostname('mine')",
        "open('/proc/kcore', 'rb').read(1)[0]",
        "open('/proc/1/mem', 'rb')",
        "check(libc.ptrace(16, 1, 0, 0))",
        "os.kill(1, 0) or check(libc.process_vm_readv(1, 0, 0, 0, 0, 0) or -1)",
    ],
)
async def test_may_not(bench: Bench, call: str) -> None:
    sandbox = await bench.obtain()
    script = f"""
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), 'refused')
try:
    {call}
except (OSError, IndexError) as error:
    print('refused')
else:
    print('done')
"""
    assert await python(bench, sandbox, script) == "refused\n"


async def test_tmp_is_its_own_and_as_large_as_was_asked_for(bench: Bench) -> None:
    one, other = await bench.obtain(temporary=512, memory=128), await bench.obtain(temporary=1024)
    assert await bench.sh(one, "ls -A /tmp; stat -c %a:%u /tmp") == (0, "700:993\n")
    assert (await bench.sh(one, "dd if=/dev/zero of=/tmp/file bs=1M count=512"))[0] == 0  # more than it has of memory
    code, said = await bench.sh(one, "dd if=/dev/zero of=/tmp/file bs=1M count=600")
    assert code != 0 and "No space left on device" in said
    assert await bench.sh(other, "ls -A /tmp; dd if=/dev/zero of=/tmp/file bs=1M count=600 2>/dev/null && echo ok") == (
        0,
        "ok\n",
    )


async def test_memory_is_bounded_and_told(bench: Bench) -> None:
    sandbox = await bench.obtain(memory=128)
    assert await python(bench, sandbox, "x = bytearray(60 << 20); print(len(x))") == f"{60 << 20}\n"
    assert 60 << 20 < bench.engine.memory_peak(sandbox.id) <= 128 << 20
    files = await bench.obtain(memory=128)
    assert (await bench.sh(files, "dd if=/dev/zero of=/tmp/file bs=1M count=100; cat /tmp/file | wc -c"))[0] == 0
    assert bench.engine.memory_peak(files.id) < 60 << 20, "pages of files are not what a function needs"
    await bench.start(sandbox, "/var/lang/bin/python3", "-c", "x = bytearray(200 << 20)", name="greedy")
    await bench.until(lambda: (sandbox.id, "greedy") in bench.exits)
    assert bench.exits[sandbox.id, "greedy"] == (-9, True)
    assert await bench.sh(sandbox, "kill -9 $$") == (-9, "")
    assert bench.exits[sandbox.id, "p"] == (-9, False)


async def test_ends_before_others_where_the_machine_has_no_memory_left(bench: Bench) -> None:
    sandbox = await bench.obtain()
    assert await bench.sh(sandbox, "cat /proc/self/oom_score_adj") == (0, "500\n")


async def test_processes_and_files_are_bounded(bench: Bench) -> None:
    sandbox = await bench.obtain(memory=512)
    assert await bench.sh(sandbox, "ulimit -n; ulimit -Hn; ulimit -c") == (0, "1024\n1024\n0\n")
    _, limits = await bench.sh(sandbox, "grep core /proc/self/limits")
    assert limits.split()[-3:] == ["1", "1", "bytes"], "the kernel hands none to a program of the machine's either"
    script = """
import os, time
count = 0
try:
    while count < 3000:
        if os.fork() == 0: time.sleep(1000)
        count += 1
except OSError: print(count < 1024)
"""
    await bench.start(sandbox, "/var/lang/bin/python3", "-I", "-S", "-c", script, name="bomb")
    await bench.until(lambda: bench.written(sandbox.id, "bomb"))
    assert bench.written(sandbox.id, "bomb") == "True\n"


async def test_cpu_is_in_proportion_once_it_is_initialised(bench: Bench) -> None:
    sandbox = await bench.obtain(memory=1769)
    small = await bench.obtain(memory=128)
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    file, all_of_it = ("cpu.max", "max 100000") if unified else ("cpu.cfs_quota_us", "-1")

    def quota(of: Sandbox) -> str:
        """Of each 20 ms, in microseconds."""
        return (group(of, "cpu") / file).read_text().strip()

    assert quota(sandbox) == all_of_it
    bench.engine.settle(sandbox.id)
    bench.engine.freeze(small.id)
    bench.engine.thaw(small.id)
    period = " 20000" if unified else ""
    assert quota(sandbox) == f"20000{period}"
    assert quota(small) == f"1447{period}"
    assert (group(sandbox, "pids") / "pids.max").read_text() == "1024\n"


async def test_memory_is_counted_from_when_its_limit_is_set() -> None:
    """A sandbox from the pool used some before it was a function's. (Kernels with cgroup v2 can since 6.12.)"""
    groups = cgroups.cgroups(f"t{os.getpid()}peak")
    files = groups.make("a")
    script = "import sys\nfor f in sys.argv[1:]: open(f, 'w').write('0')\nbytearray(64 << 20)"
    subprocess.run([sys.executable, "-c", script, *files], check=True)
    before = groups.peak("a")
    groups.limit("a", cgroups.Limits(128 << 20))
    release = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
    begins_anew = isinstance(groups, cgroups.Version1) or release >= (6, 12)
    after = groups.peak("a")
    await asyncio.to_thread(cgroups.sweep, groups)
    assert before > 64 << 20
    assert (after < before) is begins_anew
    assert groups.found() == []


async def test_layers_lie_over_each_other(bench: Bench) -> None:
    run = stat.S_IFREG | 0o755
    one = bench.archives.keep(
        {"both.txt": "one", "one.txt": "1", "extensions/watch": "#!/bin/sh\n"}, {"extensions/watch": run}
    )
    two = bench.archives.keep({"both.txt": "two", "extensions/readme": "no program"})
    sandbox = await bench.obtain(layers=(one, two))
    assert await bench.sh(sandbox, "cd /opt; cat both.txt one.txt; ls") == (0, "two1both.txt\nextensions\none.txt\n")
    assert sandbox.extensions == ("watch",)
    single = await bench.obtain(layers=(one,))
    assert await bench.sh(single, "cat /opt/both.txt") == (0, "one")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "..\\outside"])
async def test_archives_stay_inside(bench: Bench, tmp_path: Path, name: str) -> None:
    code = bench.archives.keep({"app.py": "", name: "x"})
    with pytest.raises(Permanent, match="leaves it"):
        await bench.obtain(code=code)
    assert not list(tmp_path.rglob("outside"))


async def test_links_of_archives_are_kept_and_not_followed(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = stat.S_IFLNK | 0o777
    code = bench.archives.keep(
        {"link": str(target), "link/file": "x", "ok": "/etc/hostname"}, {"link": link, "ok": link}
    )
    with pytest.raises(Exception, match=r"."):
        sandbox = await bench.obtain(code=code)
        await bench.sh(sandbox, "cat /var/task/link/file")
        raise LookupError("a directory stands where the link was")
    assert list(target.iterdir()) == []
    sandbox = await bench.obtain(code=bench.archives.keep({"ok": "there", "there": "x"}, {"ok": link}))
    assert await bench.sh(sandbox, "readlink ok; cat ok") == (0, "there\nx")


@pytest.mark.parametrize("behind", ["link/x", "./link/x", "link//y/x"])
async def test_links_of_archives_are_not_followed_by_links(bench: Bench, tmp_path: Path, behind: str) -> None:
    """However they are spelled: they would be made on the host, by root."""
    target = tmp_path / "target"
    target.mkdir()
    link = stat.S_IFLNK | 0o777
    code = bench.archives.keep({"./link": str(target), behind: "evil"}, {"./link": link, behind: link})
    with pytest.raises(Permanent, match="behind a symbolic link"):
        await bench.obtain(code=code)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("files", [{"a": "", "a/b": ""}, {"a/b": "", "a": ""}, {"a/": "", "a": ""}, {"n" * 256: ""}])
async def test_archives_that_no_directory_can_be_are_broken_for_good(bench: Bench, files: dict[str, str]) -> None:
    """What may pass is tried again, for ever."""
    with pytest.raises(Permanent, match="Could not unzip"):
        await bench.obtain(code=bench.archives.keep({"app.py": "", **files}))


async def test_nobody_on_this_machine_sees_what_is_unpacked(bench: Bench, tmp_path: Path) -> None:
    sandbox = await bench.obtain()
    assert await bench.sh(sandbox, "cat /var/task/app.py >/tmp/copy && cat /etc/hosts >/dev/null") == (0, "")
    assert stat.S_IMODE((tmp_path / "engine").stat().st_mode) == 0o700


@pytest.mark.parametrize("link", ["code", "above"])
async def test_a_directory_that_has_become_a_link_is_not_followed(bench: Bench, tmp_path: Path, link: str) -> None:
    """Whose it is may have no right to what it leads to; Havre has it."""
    (tmp_path / "other" / "code").mkdir(parents=True)
    (tmp_path / "other" / "code" / "app.py").write_text("secret")
    path = tmp_path / "above" / "code"
    path.mkdir(parents=True)
    (path / "app.py").write_text("mine")
    code = Code("directory", path=str(path))
    assert await bench.sh(await bench.obtain(code=code), "cat app.py") == (0, "mine")
    replaced = path if link == "code" else path.parent
    replaced.rename(tmp_path / "before")
    replaced.symlink_to(tmp_path / "other" / ("code" if link == "code" else ""))
    assert (path / "app.py").read_text() == "secret"
    with pytest.raises(Temporary, match="Not a directory"):
        await bench.obtain(code=code)
