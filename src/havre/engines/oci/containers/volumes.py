"""Volumes: directories of this instance, or of the machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from havre.kernel.errors import Permanent
from havre.kernel.workload import Volume

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


class Volumes:
    """A task's own are below ``of/<task>``, shared ones below ``shared``; those stay until somebody removes them."""

    def __init__(self, directory: Path) -> None:
        self._own = directory / "of"
        self._shared = directory / "shared"

    def source(self, workload: str, volume: Volume) -> Path:
        """Raises Permanent for what this engine does not do."""
        if volume.kind == "host" and volume.source:
            return Path(volume.source)
        if not _NAME.fullmatch(volume.name) or (volume.source and not _NAME.fullmatch(volume.source)):
            raise Permanent(f"{volume.name!r} includes invalid characters for a local volume name")
        if volume.driver not in ("", "local"):
            raise Permanent(f"the oci engine has no volume driver {volume.driver!r}: it has local")
        if volume.driver_options:
            raise Permanent(
                f"the oci engine does not do options of volumes: {', '.join(sorted(volume.driver_options))}"
            )
        if volume.kind == "docker" and volume.source:
            return self._shared / volume.source
        return self._own / workload / volume.name

    def ensure(self, workload: str, volume: Volume) -> Path:
        """Made if it is not there, those of the machine too, as Docker does it. Raises Permanent, OSError."""
        source = self.source(workload, volume)
        if volume.kind == "host" and volume.source:
            _for_all(source)
            return source
        source.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        if not source.exists():
            source.mkdir(exist_ok=True)
            source.chmod(0o755)
        return source

    def owners(self) -> Sequence[str]:
        return sorted(p.name for p in self._own.iterdir()) if self._own.is_dir() else []

    def remove(self, workload: str | None) -> None:
        """Of one task, or of all. Blocks. Raises OSError."""
        for path in [self._own / workload] if workload is not None else list(self._own.glob("*")):
            if path.is_dir():
                shutil.rmtree(path)


def _for_all(directory: Path) -> None:
    """Made, and what it lies in, so that whoever a container runs as gets in, whatever this process's umask is."""
    if directory.exists():
        return
    _for_all(directory.parent)
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
