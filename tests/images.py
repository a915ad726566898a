"""Images for tests, of busybox: nothing is pulled and nothing is built. Unlike the steps of builds, what is imported shares
nothing that somebody else could remove in the middle."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")


def own(name: str) -> str:
    """A name of this process of tests; others beside it have their own."""
    return f"{name}-{os.getpid()}"


def layer(files: Mapping[str, bytes | str | None], links: Mapping[str, str] | None = None, **fields: Any) -> bytes:
    """``files``: name → content, None for a directory; ``links``: name → where to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            data = content.encode() if isinstance(content, str) else content or b""
            info.size = len(data)
            if content is None:
                info.type = tarfile.DIRTYPE
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def base() -> bytes:
    """Busybox, with its programs in /bin."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = {f"bin/{name}": "busybox" for name in listed if name != "busybox"}
    return layer({"bin/busybox": BUSYBOX.read_bytes()}, links)


@contextmanager
def busybox_image(name: str, command: str) -> Iterator[None]:
    """An image of the local Docker Engine whose shell runs ``command``; it goes in the end."""
    changes = ("--change", "ENV PATH=/bin", "--change", f"CMD {json.dumps(['/bin/sh', '-c', command])}")
    subprocess.run(["docker", "import", *changes, "-", name], input=base(), check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)
