"""``havre ca``: the certificate that makes clients trust what this installation issues."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from havre.cli.options import UpOptions


def show(state: Path, *, as_json: bool) -> int:
    """Prints the path of the authority's certificate, which is made if this is the first time that it is needed."""
    if not (state / "instance-secret").exists():
        print(
            f"havre ca: no Havre has been started with the state directory {state} (havre up --state {state})",
            file=sys.stderr,
        )
        return 1
    from havre.control.certificates.authority import Authority

    authority = Authority(state, UpOptions(str(state)).instance)
    certificate = authority.certificate(time.time())  # noqa: TID251  the clock of who types
    path = str(authority.certificate_file)
    print(json.dumps({"path": path, "certificate": certificate}) if as_json else path)
    return 0
