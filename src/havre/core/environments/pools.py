"""What environments are pooled by: the function that they serve, the state of its files where somebody is working on them,
and the tenant where it has environments for each."""

from __future__ import annotations


def name(function: str, stamp: str = "", tenant: str = "") -> str:
    pool = f"{function}@{stamp}" if stamp else function
    return f"{pool}#{tenant}" if tenant else pool


def function_in(pool: str) -> str:
    """The id of the function; a tenant's name may have an @ in it."""
    return pool.partition("#")[0].partition("@")[0]


def belongs(pool: str, to: str) -> bool:
    """Whether it is ``to`` (a function, or a function in one state of its files), or a part of that."""
    return pool.startswith(to) and pool[len(to) : len(to) + 1] in ("", "@", "#")
