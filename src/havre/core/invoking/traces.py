"""Trace headers (``X-Amzn-Trace-Id``), and the lineage in them by which loops of functions are found.

``Root=1-<seconds>-<24 digits>;Parent=<16 digits>;Sampled=0;Lineage=<function>:<times>|…``: each function that a chain of
events goes through counts in the lineage how often the chain has come by.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import msgspec

MOST_LOOPS = 16
"""A function that a chain of events comes to more often than that is in a loop."""
LONGEST = 1024
MOST_FUNCTIONS = 32


class Trace(msgspec.Struct, frozen=True):
    """``rest`` are fields that nobody here knows; they travel on."""

    root: str
    parent: str = ""
    sampled: str = "0"
    lineage: Mapping[str, int] = {}
    rest: tuple[str, ...] = ()

    def header(self) -> str:
        fields = [f"Root={self.root}"]
        if self.parent:
            fields.append(f"Parent={self.parent}")
        fields.append(f"Sampled={self.sampled}")
        if self.lineage:
            fields.append("Lineage=" + "|".join(f"{function}:{times}" for function, times in self.lineage.items()))
        return ";".join([*fields, *self.rest])


def parse(header: str) -> Trace | None:
    """None for a header that says of no trace, or is not one: messages and events may bring anything as theirs."""
    if not header or len(header) > LONGEST or not (header.isascii() and header.isprintable()):
        return None
    known: dict[str, str] = {}
    rest: list[str] = []
    for field in header.split(";"):
        name, _, value = field.strip().partition("=")
        if name in ("Root", "Parent", "Sampled", "Lineage"):
            known[name] = value
        elif name == "Self":
            continue  # the balancer's own segment, which means nothing behind it
        elif value:
            rest.append(f"{name}={value}")
    root = known.get("Root", "")
    if not root:
        return None
    sampled = known.get("Sampled", "0")
    return Trace(root, known.get("Parent", ""), "1" if sampled == "1" else "0", _lineage(known), tuple(rest))


def _lineage(known: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in known.get("Lineage", "").split("|")[:MOST_FUNCTIONS]:
        function, _, times = entry.rpartition(":")
        if function and times.isdigit():
            found[function] = min(int(times), 1_000_000)
    return found


def mark(arn: str) -> str:
    """A function's name in lineages. ``arn`` has no qualifier."""
    return f"{zlib.crc32(arn.encode()):08x}"


def first(now: float, random: str, arn: str) -> str:
    """The header of a trace that begins here, as its first function gets it; ``random`` is 40 hexadecimal digits."""
    root = f"1-{int(now) & 0xFFFFFFFF:08x}-{random[:24]}"
    return f"Root={root};Parent={random[24:40]};Sampled=0;Lineage={mark(arn)}:1"


def through(trace: Trace, arn: str) -> tuple[Trace, int]:
    """The trace as this function gets it, and how often the chain has come by now (the first time: 1)."""
    own = mark(arn)
    times = trace.lineage.get(own, 0) + 1
    lineage = {**trace.lineage, own: times}
    if len(lineage) > MOST_FUNCTIONS:
        del lineage[next(each for each in lineage if each != own)]
    return Trace(trace.root, trace.parent, trace.sampled, lineage, trace.rest), times


def rounds(header: str, arn: str) -> int:
    """How often the chain had come by this function when it got this header."""
    trace = parse(header)
    return trace.lineage.get(mark(arn), 0) if trace is not None else 0


def deepest(headers: Iterable[str]) -> str:
    """Of several events that make one: the trace header of the longest chain; "" when none has one."""
    found, depth = "", -1
    for header in headers:
        trace = parse(header)
        if trace is not None and (most := max(trace.lineage.values(), default=0)) > depth:
            found, depth = header, most
    return found
