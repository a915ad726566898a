"""Signed ``DescribeClusters``, 8 connections: Havre checks signatures, decides by IAM and records; the peers do not."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

CONNECTIONS = 8
SECONDS = 3
TARGET = "AmazonEC2ContainerServiceV20141113.DescribeClusters"


def _script(running: _peers.Running) -> Path:
    """A wrk script with one signed request; a signature is good for fifteen minutes."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys = Credentials(running.env["AWS_ACCESS_KEY_ID"], running.env["AWS_SECRET_ACCESS_KEY"])
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET}
    body = '{"clusters": ["default"]}'
    request = AWSRequest("POST", f"{running.endpoint}/", headers, body)
    SigV4Auth(keys, "ecs", "us-east-1").add_auth(request)
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(body)}"]
    lines += [f"wrk.headers[{_lua(name)}] = {_lua(str(value))}" for name, value in request.headers.items()]
    path = Path(tempfile.mkstemp(suffix=".lua")[1])
    path.write_text("\n".join(lines))
    return path


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _rate(running: _peers.Running) -> float:
    """Answered requests a second; every answer must be a 200."""
    script = _script(running)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), f"{running.endpoint}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    script.unlink()
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


def _prepare(running: _peers.Running) -> None:
    import boto3

    ecs = boto3.client(
        "ecs",
        endpoint_url=running.endpoint,
        region_name="us-east-1",
        aws_access_key_id=running.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=running.env["AWS_SECRET_ACCESS_KEY"],
    )
    ecs.create_cluster(clusterName="default")
    assert ecs.describe_clusters(clusters=["default"])["clusters"][0]["status"] == "ACTIVE"


def main() -> None:
    light = Promise("signed DescribeClusters, 8 connections", "requests/s", ">= 5", "ministack")
    moto = Promise("signed DescribeClusters, 8 connections", "requests/s", ">= 20", "moto_server")
    with _peers.havre() as ours, _peers.ministack() as one, _peers.moto() as other:
        for running in (ours, one, other):
            _prepare(running)
            _rate(running)
        for _ in range(rounds(5)):
            rate = _rate(ours)
            light.add(rate, _rate(one))
            moto.add(_rate(ours), _rate(other))
    finish(light, moto)


if __name__ == "__main__":
    sys.exit(main())
