"""``havre env``: what AWS clients need."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from havre.cli.options import running


def variables(state: Path) -> dict[str, str] | None:
    """The environment of a running instance; None when there is none."""
    instance = running(str(state))
    if instance is None:
        return None
    try:
        keys = json.loads((state / "root-credentials.json").read_text())
        root = next(key for key in keys if key["account"] == instance["account"])
    except (OSError, ValueError, StopIteration):
        return None
    endpoint, more = instance["endpoint"], {}
    if instance.get("tls"):
        endpoint, more = endpoint.replace("http:", "https:", 1), {"AWS_CA_BUNDLE": str(state / "ca.pem")}
    return {
        "AWS_ENDPOINT_URL": endpoint,
        **more,
        "AWS_REGION": instance["region"],
        "AWS_DEFAULT_REGION": instance["region"],
        "AWS_ACCESS_KEY_ID": root["access_key"],
        "AWS_SECRET_ACCESS_KEY": root["secret"],
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # StartLiveTail would look for stream-127.0.0.1
    }


def show(state: Path, *, as_json: bool, fish: bool) -> int:
    values = variables(state)
    if values is None:
        print(
            f"havre env: no Havre runs with the state directory {state} (start it with: havre up --state {state})",
            file=sys.stderr,
        )
        return 1
    if as_json:
        print(json.dumps(values))
        return 0
    for name, value in values.items():
        print(f"set -gx {name} {shlex.quote(value)}" if fish else f"export {name}={shlex.quote(value)}")
    # a session token left over from another account would be sent along and refused
    print("set -e AWS_SESSION_TOKEN" if fish else "unset AWS_SESSION_TOKEN")
    return 0
