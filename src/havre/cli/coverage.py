"""``havre coverage``: which operations of each service are built."""

from __future__ import annotations

import json
import sys
from typing import Any


def coverage() -> dict[str, dict[str, Any]]:
    """Service → ``built`` and ``missing`` operations, and what is ``partial``: operation or member → what it lacks."""
    from havre.services import catalogue
    from havre.wire.models import ModelSource

    models = ModelSource(None)
    table = {}
    for name in catalogue.NAMES:
        service, model = catalogue.load(name), models.service(name)
        built = sorted(set(service.operations) & set(model.operations))
        missing = sorted(set(model.operations) - set(service.operations))
        table[name] = {"built": built, "missing": missing, "partial": dict(service.partial)}
    return table


def show(service: str | None, *, as_json: bool) -> int:
    table = coverage()
    if service is not None and service not in table:
        print(f"havre coverage: there is no service {service}; there are {', '.join(sorted(table))}", file=sys.stderr)
        return 2
    if service is not None:
        return _one(service, table[service], as_json=as_json)
    if as_json:
        print(json.dumps(table, indent=2))
        return 0
    for name, each in sorted(table.items()):
        built, total = len(each["built"]), len(each["built"]) + len(each["missing"])
        print(f"{name:24} {built:4} of {total:4}")
    return 0


def _one(name: str, each: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(each, indent=2))
        return 0
    for operation in each["built"]:
        print(f"  {operation}")
    for what, lack in sorted(each["partial"].items()):
        print(f"~ {what}: {lack}")
    for operation in each["missing"]:
        print(f"- {operation}")
    limited = f" ({len(each['partial'])} limits: ~)" if each["partial"] else ""
    print(f"{name}: {len(each['built'])} built{limited}, {len(each['missing'])} answer NotImplementedException (-)")
    return 0
