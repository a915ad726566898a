"""How the command line asks a running instance about itself."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from havre.cli.options import running
from havre.cli.processes import lives


class NotRunning(Exception):
    """There is no instance of this state directory that answers."""


def ask(state: Path, path: str, *, method: str = "GET", **query: str) -> tuple[int, Any]:
    """Status and parsed JSON body of ``/_havre/<path>``, with the instance's own token. Raises NotRunning."""
    instance = running(str(state))
    if instance is None:
        raise NotRunning(f"no Havre runs with the state directory {state} (start it with: havre up --state {state})")
    host = "127.0.0.1" if instance["host"] in ("0.0.0.0", "::") else instance["host"]
    connection = http.client.HTTPConnection(host, instance["port"], timeout=30)
    parameters = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    try:
        token = (state / "admin.token").read_text().strip()
        connection.request(method, f"/_havre/{path}?{parameters}", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        answer = json.loads(response.read() or b"null")
    except (OSError, http.client.HTTPException) as error:
        told = f"Havre does not answer on {instance['endpoint']}: {error}"
        if not lives(instance["supervisor"]):
            told = (
                f"Havre was killed; havre up --state {state} goes on where it was, havre down --state {state} clears up"
            )
        raise NotRunning(told) from error
    except ValueError as error:
        raise NotRunning(f"what answers on {instance['endpoint']} is not Havre") from error
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise NotRunning(f"Havre failed to answer (HTTP {response.status}): see {state}/havre.log")
    return response.status, answer
