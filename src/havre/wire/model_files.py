"""botocore's model files: found without importing botocore, stripped, and cached so that they load in milliseconds."""

from __future__ import annotations

import importlib.util
import marshal
import os
import re
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

_FORMAT = 2
"""Raised whenever what stands in a cache file changes its meaning."""
_MAGIC = b"havre-model\n"
_DROPPED = frozenset(
    (
        *("documentation", "documentationUrl", "examples", "synthetic", "retryable", "httpChecksum"),
        *("deprecated", "deprecatedMessage", "deprecatedSince", "endpointdiscovery", "endpointoperation"),
        *("contextParam", "operationContextParams", "staticContextParams"),
    )
)


class ModelFile(msgspec.Struct):
    """A model as it lies in the cache. Operations and shapes are marshalled each for itself, because a request needs a
    dozen of EC2's 4,400."""

    metadata: dict[str, Any]
    operations: dict[str, bytes]
    shapes: dict[str, bytes]
    routes: list[tuple[str, str, str]]
    """HTTP method, URI template and name of each operation; the deprecated ones last, behind those that replaced them."""
    errors: dict[str, str]
    """Error code or shape name → shape name."""
    paginators: dict[str, bytes]


class UnknownService(KeyError):
    """botocore has no such service."""


class Library:
    """Reads models by botocore's directory names. ``cache_dir`` None reads the originals each time."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._cache = cache_dir
        spec = importlib.util.find_spec("botocore")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("botocore is not installed: its models are what Havre speaks by")
        self._root = Path(spec.submodule_search_locations[0])
        found = re.search(r"__version__ = '([^']+)'", (self._root / "__init__.py").read_text())
        self.version = found[1] if found else "unknown"

    def load(self, service: str) -> ModelFile:
        """Raises UnknownService."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", service):
            raise UnknownService(service)
        if self._cache is None:
            return self._build(service)
        name = f"{service}-{self.version}-{_FORMAT}-{sys.implementation.cache_tag}.model"
        cached = _read(self._cache / name)
        if cached is None:
            cached = self._build(service)
            _write(self._cache, service, name, cached)
        return cached

    def _build(self, service: str) -> ModelFile:
        folder = self._root / "data" / service
        if not folder.is_dir():
            raise UnknownService(service)
        newest = max((d for d in folder.iterdir() if d.is_dir()), key=lambda d: d.name)
        model = _json(newest, "service-2.json")
        if model is None:
            raise UnknownService(service)
        return _strip(model, (_json(newest, "paginators-1.json") or {}).get("pagination", {}))


def _json(folder: Path, name: str) -> Any:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        return msgspec.json.decode(plain.read_bytes())
    if packed.exists():
        return msgspec.json.decode(zlib.decompress(packed.read_bytes(), wbits=31))
    return None


def _strip(model: Mapping[str, Any], paginators: Mapping[str, Any]) -> ModelFile:
    operations, shapes = _without(model["operations"], names=True), _without(model["shapes"], names=True)
    errors: dict[str, str] = {}
    for name, shape in shapes.items():
        if shape.get("exception"):
            errors.setdefault(shape.get("error", {}).get("code", name), name)
            errors[name] = name
    return ModelFile(
        metadata=_without(model["metadata"]),
        operations={name: marshal.dumps(each) for name, each in operations.items()},
        shapes={name: marshal.dumps(each) for name, each in shapes.items()},
        routes=[
            (o["http"]["method"], o["http"]["requestUri"], name)
            for name, o in sorted(
                operations.items(), key=lambda each: bool(model["operations"][each[0]].get("deprecated"))
            )
        ],
        errors=errors,
        paginators={name: marshal.dumps(each) for name, each in paginators.items()},
    )


def _without(value: Any, names: bool = False) -> Any:
    """``value`` without documentation. ``names`` tells that the keys are names, so that none of them is a trait."""
    if isinstance(value, dict):
        return {
            key: _without(each, names=not names and key == "members")
            for key, each in value.items()
            if names or key not in _DROPPED
        }
    if isinstance(value, list):
        return [_without(each) for each in value]
    return value


def _read(path: Path) -> ModelFile | None:
    """None when it is absent, cut short or altered: it is then built anew."""
    try:
        data = path.read_bytes()
        head = len(_MAGIC)
        if data[:head] != _MAGIC or int.from_bytes(data[head : head + 4], "big") != zlib.crc32(data[head + 4 :]):
            return None
        return ModelFile(*marshal.loads(memoryview(data)[head + 4 :]))  # noqa: S302 - our own file, in our own state
    except (OSError, ValueError, EOFError, TypeError):
        return None


def _write(folder: Path, service: str, name: str, model: ModelFile) -> None:
    """A cache that cannot be written (disk full, read-only) costs time, not the request."""
    body = marshal.dumps(tuple(getattr(model, field) for field in ModelFile.__struct_fields__))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = folder / f".{service}-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body)
            temporary.replace(folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for other in folder.glob(f"{service}-[0-9]*.model"):
            if other.name != name:
                other.unlink(missing_ok=True)
    except OSError:
        return
