"""Amounts in AWS's units: CPU in units of 1/1024 of a core, memory in MiB."""

from __future__ import annotations

CPU_UNITS_PER_CORE = 1024
MIB = 1024 * 1024


def parse_cpu(text: str) -> int:
    """``"256"``, ``".5 vCPU"`` or ``"1 vcpu"`` in CPU units. Raises ValueError."""
    value = text.strip().lower()
    if value.endswith("vcpu"):
        return round(float(value.removesuffix("vcpu")) * CPU_UNITS_PER_CORE)
    return int(value)


def parse_memory(text: str) -> int:
    """``"512"``, ``"1GB"`` or ``"0.5 gb"`` in MiB. Raises ValueError."""
    value = text.strip().lower()
    if value.endswith("gb"):
        return round(float(value.removesuffix("gb")) * 1024)
    return int(value)
