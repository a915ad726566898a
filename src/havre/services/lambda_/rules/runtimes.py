"""The managed runtimes, and what is no longer one."""

from __future__ import annotations

from collections.abc import Sequence

from havre.services.lambda_.errors import invalid, validation

SUPPORTED = (
    "nodejs20.x", "nodejs22.x", "nodejs24.x", "nodejs26.x",
    "python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "python3.15",
    "java8.al2", "java8.al2023", "java11", "java11.al2023", "java17", "java17.al2023", "java21", "java25",
    "dotnet8", "dotnet10",
    "ruby3.3", "ruby3.4", "ruby4.0",
    "provided.al2", "provided.al2023",
)  # fmt: skip
RETIRED = (
    "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
    "nodejs16.x", "nodejs18.x", "python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "java8",
    "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6", "go1.x", "ruby2.5", "ruby2.7", "ruby3.2",
    "provided",
)  # fmt: skip
"""Those whose functions AWS lets nobody create or update any more. Of nodejs20.x and provided.al2, which it has deprecated
this year, it has moved the day more than once: they are taken."""
_SNAP_START = (
    "java11", "java11.al2023", "java17", "java17.al2023", "java21", "java25", "python3.12", "python3.13", "python3.14",
    "python3.15", "dotnet8", "dotnet10",
)  # fmt: skip


def check(runtime: str) -> None:
    """Raises ApiError."""
    if runtime in RETIRED:
        raise invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            f"We recommend you use the new runtime ({successor(runtime)}) while creating or updating functions."
        )
    if runtime not in SUPPORTED:
        raise invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(SUPPORTED)}] or be a valid ARN"
        )


def successor(retired: str) -> str:
    """The newest of its family. What had no family of its own, as Go, goes on as ``provided``."""
    family = retired.rstrip("0123456789.x")
    family = {"nodejs4.3-edge": "nodejs", "dotnetcore": "dotnet", "go": "provided"}.get(family, family)
    return next(runtime for runtime in reversed(SUPPORTED) if runtime.startswith(family))


def check_of_layer(given: Sequence[str]) -> None:
    """A layer may be for runtimes that functions can no more have. Raises ApiError."""
    if any(runtime not in (*SUPPORTED, *RETIRED) for runtime in given):
        constraint = f"Member must satisfy enum value set: [{', '.join(SUPPORTED)}]"
        raise validation(f"[{', '.join(given)}]", "compatibleRuntimes", constraint)


def check_filter(runtime: str) -> None:
    """Raises ApiError for what is no runtime that a layer could be for."""
    if runtime not in (*SUPPORTED, *RETIRED):
        values = ", ".join((*SUPPORTED, *RETIRED))
        raise validation(runtime, "compatibleRuntime", f"Member must satisfy enum value set: [{values}]")


def check_snap_start(runtime: str, temporary: int) -> None:
    """Raises ApiError unless such a function can have SnapStart."""
    if runtime not in _SNAP_START:
        raise invalid(f"{runtime} is not supported for SnapStart enabled functions.")
    if temporary > 512:
        raise invalid("SnapStart is not supported for functions with ephemeral storage larger than 512 MB.")
