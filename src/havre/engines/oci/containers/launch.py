"""Starting a container, in a thread that has mounts of its own: its root, its monitor, its runtime's two steps.

The root's overlay is mounted where only the monitor and the container are: nothing has to be unmounted, for it goes with
them. What is written down, and when, is ``records``' rule.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from havre.engines.oci.containers import programs, spec, users
from havre.engines.oci.containers.groups import Groups
from havre.engines.oci.containers.image_cache import Stored
from havre.engines.oci.containers.records import Place, Process, Record, Run, lives, process
from havre.engines.oci.containers.threads import mount_overlay, own_mounts
from havre.kernel.errors import Permanent, Temporary

_PATIENCE = 60.0


class Here(msgspec.Struct):
    """This instance on this machine. ``now`` tells the time. ``run``: a directory that goes when the machine does."""

    instance: str
    images: Path
    run: Path
    groups: Groups
    machine: spec.Machine
    now: Callable[[], float]

    @property
    def exits(self) -> Path:
        return self.run / "exits"

    def runtime(self, *words: str) -> list[str]:
        return [programs.runtime(), "--root", str(self.run / "runtime"), *words]


class _There(Permanent):
    """The runtime knows a container of this name already."""


class Job(msgspec.Struct):
    """``mounts``: (source, path inside, read only, whether what the image has there goes into it while it is empty).
    ``held``: descriptors that live as long as the container. ``join`` is called with the pid of a container that is made
    and not begun; it gives its address."""

    record: Record
    place: Place
    image: Stored
    hostname: str
    namespaces: Mapping[str, str]
    mounts: Sequence[tuple[str, str, bool, bool]]
    held: Sequence[int]
    join: Callable[[int], str]

    @property
    def name(self) -> str:
        """As the runtime and the monitor have it."""
        return self.record.id[:32]


def launch(here: Here, job: Job, run: Callable[[Run], None]) -> None:
    """``run`` is told of each step. Blocks. Raises Permanent in Docker's words, Temporary, OSError."""
    own_mounts()
    _prepare(here, job)
    try:
        monitor, first = _create(here, job)
    except _There:  # a monitor that somebody began who was killed: it came after the look for it
        _end(here, job.record, interrupted=True)
        monitor, first = _create(here, job)
    told = Run(monitor, first)
    run(told)
    told = msgspec.structs.replace(told, address=job.join(first.pid))
    run(told)
    _begin(here, job)
    run(msgspec.structs.replace(told, started=here.now()))


def _prepare(here: Here, job: Job) -> None:
    place, record = job.place, job.record
    os.chdir(here.images)
    mount_overlay(str(place.root), ":".join(job.image.layers), str(place.upper), str(place.work))
    user = users.resolve(place.root, record.spec.user or job.image.user)
    directory = users.within(place.root, record.spec.working_directory or job.image.directory or "/")
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    binds = []
    for source, path, read_only, filled in job.mounts:
        if filled:
            _fill(users.within(place.root, path), Path(source))
        binds.append((source, path, read_only))
    group = here.groups.path(record.workload, record.id)
    devices = _all_devices() if record.spec.privileged else [_device(d) for d in record.spec.devices]
    inside = spec.Inside(user, job.hostname, group, str(place.root), binds, job.namespaces, devices)
    told = spec.configuration(record, job.image, inside, here.machine)
    (place.bundle / "config.json").write_text(json.dumps(told))
    here.groups.settle_task(record.workload, record.limits)


def _fill(source: Path, volume: Path) -> None:
    """A volume that is empty gets what the image has in its place, as Docker does it."""
    if not source.is_dir() or any(volume.iterdir()):
        return
    if any(source.iterdir()):
        subprocess.run(["cp", "-a", f"{source}/.", str(volume)], check=True, capture_output=True, timeout=_PATIENCE)
    shutil.copystat(source, volume)
    seen = source.stat()
    os.chown(volume, seen.st_uid, seen.st_gid)


def _device(device: Any) -> spec.HostDevice:
    try:
        seen = os.stat(device.host_path)  # noqa: PTH116 (a path of the user's)
    except OSError as error:
        words = f'error gathering device information while adding custom device "{device.host_path}": {error.strerror}'
        raise Permanent(words) from None
    return _seen(device.container_path or device.host_path, seen, device.permissions)


def _seen(path: str, seen: os.stat_result, permissions: str = "rwm") -> spec.HostDevice:
    if not (stat.S_ISCHR(seen.st_mode) or stat.S_ISBLK(seen.st_mode)):
        raise Permanent(f"{path} is not a device node")
    kind = "c" if stat.S_ISCHR(seen.st_mode) else "b"
    major, minor = os.major(seen.st_rdev), os.minor(seen.st_rdev)
    return spec.HostDevice(path, kind, major, minor, permissions, stat.S_IMODE(seen.st_mode))


def _all_devices() -> list[spec.HostDevice]:
    """Of this machine, for a privileged container; those that it has of its own are left out."""
    own = {
        "/dev/console",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/tty",
        "/dev/ptmx",
    }
    found = []
    for directory, below, names in os.walk("/dev"):
        below[:] = [d for d in below if d not in ("pts", "shm", "mqueue", "fd", "hugepages")]
        for name in names:
            path = f"{directory}/{name}"
            with suppress(OSError, Permanent):
                if path not in own:
                    found.append(_seen(path, os.lstat(path)))
    return found


# --- the monitor and the runtime


def _create(here: Here, job: Job) -> tuple[Process, Process]:
    """Both processes of a container that is made and waits."""
    place = job.place
    for left in ("pid", "monitor"):
        (place.bundle / left).unlink(missing_ok=True)
    (place.exits / job.name).unlink(missing_ok=True)
    told, telling = os.pipe2(os.O_CLOEXEC)
    waiting, begin = os.pipe2(os.O_CLOEXEC)
    environment = {**programs.environment(), "_OCI_SYNCPIPE": str(telling), "_OCI_STARTPIPE": str(waiting)}
    try:
        with (place.path / "monitor.log").open("ab") as log:
            made = subprocess.Popen(
                _monitor(here, job),
                env=environment,
                pass_fds=(telling, waiting, *job.held),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place.bundle,
                start_new_session=True,
            )
        here.groups.keep_apart(made.pid)
        os.write(begin, b"x")
        os.close(telling)
        telling = -1
        pid = _answer(told)
        made.wait(_PATIENCE)
    finally:
        for fd in (told, telling, waiting, begin):
            if fd >= 0:
                os.close(fd)
    return process(int((place.bundle / "monitor").read_text())), process(pid)


def _monitor(here: Here, job: Job) -> list[str]:
    place, spoken = job.place, job.record.spec
    driver = spoken.log.driver
    words = [programs.monitor(), "--api-version", "1", "-c", job.name, "-u", job.name, "-n", job.name]
    words += ["-r", programs.runtime(), "--runtime-arg", "--root", "--runtime-arg", str(here.run / "runtime")]
    words += ["-b", str(place.bundle), "-p", str(place.bundle / "pid"), "-P", str(place.bundle / "monitor")]
    words += ["--exit-dir", str(place.exits), "--socket-dir-path", str(here.run / "s"), "--log-level", "warning"]
    words += ["--no-sync-log", "-l", "none" if driver == "none" else f"k8s-file:{place.log}"]
    if driver not in ("awslogs", "none"):
        words += ["--log-size-max", str(spec.log_size(spoken))]
    if spoken.tty:
        words.append("-t")
    if spoken.interactive:
        words.append("-i")
    return words


def _answer(told: int) -> int:
    """The pid of the container's first process. Raises Permanent in the runtime's words."""
    text = b""
    said_something = select.poll()  # select knows no descriptor beyond 1,023, and nodes have thousands
    said_something.register(told, select.POLLIN)
    while not text.endswith(b"\n"):
        if not said_something.poll(_PATIENCE * 1000):
            raise Temporary("the container's monitor does not answer")
        piece = os.read(told, 65536)
        if not piece:
            break
        text += piece
    try:
        said = json.loads(text)
    except ValueError:
        raise Temporary("the container's monitor has ended at once") from None
    if int(said.get("data", -1)) <= 0:
        message = str(said.get("message") or "the runtime does not say why")
        raise (_There if "already exists" in message else Permanent)(docker_words(message))
    return int(said["data"])


def docker_words(message: str) -> str:
    """What a runtime says, as Docker passes it on."""
    text = " ".join(message.split())
    missing = re.search(r"executable file [`'\"]?([^`'\"]+?)[`'\"]? not found( in \$PATH)?", text)
    if missing:
        return f'OCI runtime create failed: exec: "{missing[1]}": executable file not found in $PATH: unknown'
    return f"OCI runtime create failed: {text[:1000]}"


def _begin(here: Here, job: Job) -> None:
    done = run_runtime(here, "start", job.name)
    if done.returncode != 0:
        raise Permanent(docker_words(done.stderr.decode(errors="replace")))


def run_runtime(here: Here, *words: str) -> subprocess.CompletedProcess[bytes]:
    """In a thread that has mounts of its own. Raises Temporary."""
    try:
        return subprocess.run(
            here.runtime(*words),
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=dict(programs.environment()),
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Temporary("the runtime does not answer") from None


def undo(here: Here, record: Record, *, interrupted: bool = False) -> None:
    """Nothing of a container is left but its directory: it has ended, or somebody was
    ``interrupted`` who started it. In a thread of its own.
    Raises OSError, Temporary."""
    own_mounts()
    _end(here, record, interrupted=interrupted)
    here.groups.remove(record.workload, record.id)
    (here.run / "s" / record.id[:32]).unlink(missing_ok=True)


def _end(here: Here, record: Record, *, interrupted: bool) -> None:
    """Of its processes, and of what the runtime knows, nothing is left. Raises OSError, Temporary."""
    name = record.id[:32]
    if interrupted:
        _end_starters(name)
    here.groups.kill(record.workload, record.id)
    if (here.run / "runtime" / name).exists():
        run_runtime(here, "delete", "--force", name)
        shutil.rmtree(here.run / "runtime" / name, ignore_errors=True)


def _end_starters(name: str) -> None:
    """Until two looks in a row find none: one that is killed may have begun another since it was seen."""
    quiet = 0
    while quiet < 2:
        found = _starters(name)
        quiet = 0 if found else quiet + 1
        for starter in found:
            with suppress(ProcessLookupError):
                os.kill(starter.pid, signal.SIGKILL)
            wait_for(starter, 5.0)


def _starters(name: str) -> list[Process]:
    """The monitor and runtime of a container, at whatever they are: who waited for them may be gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError, ValueError):
            if name.encode() in path.read_bytes().split(b"\0"):
                found.append(process(int(path.parent.name)))
    return found


def has_begun(here: Here, record: Record) -> bool:
    """Whether the runtime got as far as its program. In a thread of its own."""
    own_mounts()
    done = run_runtime(here, "state", record.id[:32])
    with suppress(ValueError):
        return done.returncode == 0 and json.loads(done.stdout).get("status") == "running"
    return False


def wait_for(known: Process, patience: float) -> bool:
    """Whether it has ended within so many seconds. Blocks."""
    deadline = time.monotonic() + patience
    while lives(known):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
