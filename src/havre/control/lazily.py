"""Names of a package that are loaded when somebody first asks for them: its records are needed at every start, and most of
what it does is not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The package's ``__getattr__`` (PEP 562). ``where``: name → the module of the package that has it."""

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, found)  # the next time it is there
        return found

    return find
