"""Lambda's managed runtimes: which base image stands behind each, where the ones that were built here are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

PLACE = "HAVRE_RUNTIMES"
"""The environment variable that names another directory for runtimes."""
BUILT = (
    *(f"python3.{minor}" for minor in (11, 13, 14, 15)),
    *(f"nodejs{major}.x" for major in (20, 22, 24, 26)),
    *(f"java{version}" for version in ("17", "17.al2023", "21", "25")),
    "ruby3.3",
    "provided.al2023",
    "provided.al2",
)
"""Those that ``havre lambda build-runtime`` makes from Debian's packages and others; it makes any of an image."""
_AWS = "public.ecr.aws/lambda/"
_BASES = {
    "provided": "provided:alami",
    "provided.al2": "provided:al2",
    "provided.al2023": "provided:al2023",
    "go1.x": "go:1",
    **{f"dotnetcore{version}": f"dotnet:core{version}" for version in ("1.0", "2.0", "2.1", "3.1")},
    "java8": "java:8",
}
_FAMILY = re.compile(r"(nodejs|python|ruby|java|dotnet)(\d[\w.]*?)(\.x|\.al2|\.al2023)?")
ENTRY = "/var/runtime/bootstrap"
_DESCRIPTION = "image.json"


class FromImage(msgspec.Struct, frozen=True):
    """What a runtime was made of, where it was an image. ``entry_point`` is its own, for one that has no ENTRY."""

    image: str
    digest: str
    entry_point: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}


def base_image(runtime: str) -> str:
    """AWS's own image of a managed runtime, "" for what is none: ``python3.11`` → ``public.ecr.aws/lambda/python:3.11``."""
    if runtime in _BASES:
        return _AWS + _BASES[runtime]
    found = _FAMILY.fullmatch(runtime)
    if found is None:
        return ""
    family, version, tail = found.groups()
    return f"{_AWS}{family}:{version}{tail if tail and tail != '.x' else ''}"


def version_of(runtime: str, build: str) -> str:
    """As AWS writes the version of a managed runtime; ``build`` tells one that was made here from others:
    ``python3.11`` → ``python:3.11.v5168421f5bff``."""
    return f"{base_image(runtime).removeprefix(_AWS)}.v{build}"


def entry_point(runtime: str) -> str:
    """What an environment of it runs: programs of the function's own in ``provided`` ones."""
    return "/var/task/bootstrap" if is_provided(runtime) else ENTRY


def is_provided(runtime: str) -> bool:
    return runtime.startswith("provided") or runtime == "go1.x"


def place(environment: Mapping[str, str]) -> Path:
    """Where runtimes are kept, for all instances on this machine."""
    return Path(environment.get(PLACE) or "/var/lib/havre-runtimes")


def root_of(directory: Path, runtime: str) -> Path:
    """Its root file system, if it was built."""
    return directory / runtime / "root"


def there(directory: Path) -> list[str]:
    """Those that are kept in this directory."""
    try:
        return sorted(path.name for path in directory.iterdir() if path.name[0] != "." and (path / "root").is_dir())
    except OSError:
        return []


def describe(made: Path, image: FromImage) -> None:
    """``made`` has its root. Raises OSError."""
    (made / _DESCRIPTION).write_bytes(msgspec.json.encode(image))


def made_from(directory: Path, runtime: str) -> FromImage | None:
    """None for one that was built of packages."""
    try:
        return msgspec.json.decode((directory / runtime / _DESCRIPTION).read_bytes(), type=FromImage)
    except (OSError, msgspec.DecodeError):
        return None


def how_to_make(runtime: str) -> str:
    """The command that a user types."""
    build = f"havre lambda build-runtime {runtime}"
    return build if runtime in BUILT else f"{build} --from-image IMAGE"
