"""Further processes in a container: of health checks, and of whoever asks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from havre.engines.aside import aside
from havre.engines.oci.containers import programs
from havre.engines.oci.containers.kept import Kept
from havre.engines.oci.containers.launch import Here
from havre.engines.oci.containers.threads import own_mounts
from havre.kernel.errors import Permanent, Temporary

_MOST_OUTPUT = 1 << 20
_PIECE = 1 << 16
_CRUN = re.compile(rb"executable file [`'\"]?([^`'\"\n]+?)[`'\"]? not found")
_RUNC = re.compile(rb'exec: \\"([^\\"\n]+)\\": executable file not found')


class _Exec:
    """``runtime`` is the runtime's own process, which ends with that in the container; its pid is in the file ``inner``."""

    def __init__(self, here: Here, kept: Kept, command: Sequence[str]) -> None:
        self._here = here
        self._name = kept.record.id[:32]
        self._command = command
        self._bundle = kept.place.bundle
        self._inner = kept.place.path / f"exec-{os.urandom(6).hex()}"
        self._runtime: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def run(self) -> tuple[int, bytes]:
        """In a thread of its own. Raises OSError."""
        own_mounts()
        described = self._inner.with_suffix(".json")
        described.write_text(json.dumps(self._described()))
        words = self._here.runtime("exec", "--process", str(described), "--pid-file", str(self._inner), self._name)
        try:
            return self._ran(words)
        finally:
            for path in (described, self._inner):
                path.unlink(missing_ok=True)

    def _described(self) -> Mapping[str, object]:
        """As the container's first process, but for what it does."""
        told = json.loads((self._bundle / "config.json").read_text())["process"]
        return {**told, "args": list(self._command), "terminal": False}

    def _ran(self, words: Sequence[str]) -> tuple[int, bytes]:
        self._runtime = subprocess.Popen(
            words,
            env=dict(programs.environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if self._given_up:
            self.give_up()
        assert self._runtime.stdout is not None, "it has a pipe"
        output, size = [], 0
        with self._runtime.stdout as pipe:
            while piece := pipe.read1(_PIECE):  # type: ignore[attr-defined]
                size += len(piece)
                if size <= _MOST_OUTPUT:
                    output.append(piece)
        code = self._runtime.wait()
        return (code if code >= 0 else 128 - code), b"".join(output)

    def give_up(self) -> None:
        """The process in the container is killed, and the runtime's own tells of its end: were that killed instead,
        nobody would reap the other, and the container could never end."""
        self._given_up = True
        with suppress(OSError, ValueError):
            os.kill(int(self._inner.read_text()), signal.SIGKILL)


async def run_in(here: Here, kept: Kept, command: Sequence[str]) -> tuple[int, bytes]:
    """Raises Permanent in Docker's words when there is no such program, Temporary."""
    if not command:
        raise Permanent("No exec command specified")
    running = _Exec(here, kept, command)
    try:
        code, output = await aside(running.run)
    except OSError as error:
        raise Temporary(f"the command cannot be run: {error}") from error
    except BaseException:
        running.give_up()
        raise
    return code, docker_words(code, output)


def docker_words(code: int, output: bytes) -> bytes:
    """What a runtime says of a program that is not there, as Docker has it."""
    said = _CRUN.search(output) or _RUNC.search(output)
    if code in (1, 126, 127, 255) and said and len(output) < 1000:
        name = said[1].decode(errors="replace")
        return f'OCI runtime exec failed: exec failed: exec: "{name}": executable file not found in $PATH'.encode()
    return output
