"""Functions as clients invoke them: warm, cold, eight at a time, and from a queue; the same function, zip, Python, in turns.

The peer is ministack with the executor that it uses by itself (a process per environment, no isolation). Its container
executor needs AWS's base image with AWS's emulator in it, which is not to be had without public.ecr.aws; it is slower in
all but isolation.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks import _peers
from benchmarks._harness import Promise, finish, rounds

CONNECTIONS = 8
SECONDS = 4
CALLS = 400
MESSAGES = 10_000
EVENT = b'{"key1": "value1", "key2": "value2", "key3": "value3"}'
CODE = "def handler(event, context):\n    return event\n"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_numbers = itertools.count()


class Client:
    """One installation: boto3 to prepare, plain sockets to measure."""

    def __init__(self, running: _peers.Running) -> None:
        import boto3

        self.running = running
        self._keys = {
            "aws_access_key_id": running.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": running.env["AWS_SECRET_ACCESS_KEY"],
        }
        self._session = boto3.session.Session(region_name="us-east-1", **self._keys)
        iam = self.client("iam")
        self.role = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="bench", PolicyName="all", PolicyDocument=json.dumps(ALL))
        self.warm = self.function()

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self.running.endpoint)

    def function(self) -> str:
        """A new one, active; its name."""
        name = f"f{next(_numbers)}"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", f"# {name}\n{CODE}")
        client = self.client("lambda")
        client.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="app.handler",
            Role=self.role,
            Code={"ZipFile": packed.getvalue()},
            Timeout=30,
            MemorySize=1769,  # one processor: less memory is less of one, here as on AWS
        )
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.2})
        return name

    def signed(self, name: str) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        url = f"{self.running.endpoint}{self.path(name)}"
        request = AWSRequest("POST", url, {"Content-Type": "application/json"}, EVENT)
        keys = Credentials(self._keys["aws_access_key_id"], self._keys["aws_secret_access_key"])
        SigV4Auth(keys, "lambda", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    @staticmethod
    def path(name: str) -> str:
        return f"/2015-03-31/functions/{name}/invocations"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=60)

    def call(self, connection: http.client.HTTPConnection, name: str, headers: dict[str, str]) -> float:
        """Seconds until the answer; it has to be the function's own."""
        began = time.perf_counter()
        connection.request("POST", self.path(name), EVENT, headers)
        answer = connection.getresponse()
        body = answer.read()
        took = time.perf_counter() - began
        if answer.status != 200 or json.loads(body) != json.loads(EVENT):
            raise RuntimeError(f"{answer.status}: {body[:500]!r}")
        return took


def warm(client: Client) -> float:
    """Milliseconds, p50."""
    headers, connection = client.signed(client.warm), client.connect()
    for _ in range(20):
        client.call(connection, client.warm, headers)
    taken = [client.call(connection, client.warm, headers) for _ in range(CALLS)]
    connection.close()
    return statistics.median(taken) * 1000


def cold(client: Client) -> float:
    """Milliseconds: the first invocation of a function that is active and has not run yet."""
    name = client.function()
    time.sleep(0.3)
    connection = client.connect()
    took = client.call(connection, name, client.signed(name))
    connection.close()
    client.client("lambda").delete_function(FunctionName=name)
    return took * 1000


def rate(client: Client) -> float:
    """Invocations a second."""
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(EVENT.decode())}"]
    lines += [f"wrk.headers[{_lua(n)}] = {_lua(v)}" for n, v in client.signed(client.warm).items()]
    script = Path(tempfile.mkstemp(suffix=".lua")[1])
    script.write_text("\n".join(lines))
    url = f"{client.running.endpoint}{client.path(client.warm)}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "20s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    script.unlink()
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def queue(client: Client, messages: int) -> float:
    """Messages a second, from a full queue until it is empty."""
    sqs, functions = client.client("sqs"), client.client("lambda")
    name = f"q{next(_numbers)}"
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "180"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for begin in range(0, messages, 10):
        entries = [{"Id": str(n), "MessageBody": json.dumps({"n": n})} for n in range(begin, begin + 10)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    began = time.perf_counter()
    made = functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=client.warm, BatchSize=10)
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while True:
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
        if not any(int(value) for value in left.values()):
            break
        if time.perf_counter() - began > 600:
            raise RuntimeError(f"the queue is not empty: {left}")
        time.sleep(0.05)
    took = time.perf_counter() - began
    functions.delete_event_source_mapping(UUID=made["UUID"])
    return messages / took


def main() -> None:
    peer = "ministack, processes"
    one = Promise("warm invocation, signed, one connection, p50", "ms", "<= 0.1", peer)
    first = Promise("cold start, zip, Python, request until answer", "ms", "<= 0.15", peer)
    many = Promise("invocations, 8 connections", "1/s", ">= 20", peer)
    full = Promise("SQS to function, end to end, 10,000 messages", "messages/s", ">= 5", peer)
    with _peers.havre() as running, _peers.ministack(LAMBDA_STRICT="0") as other:
        ours, theirs = Client(running), Client(other)
        one.run(lambda: warm(ours), lambda: warm(theirs), rounds(5))
        first.run(lambda: cold(ours), lambda: cold(theirs), rounds(9))
        many.run(lambda: rate(ours), lambda: rate(theirs), rounds(3))
        full.run(lambda: queue(ours, MESSAGES), lambda: queue(theirs, MESSAGES), rounds(2), warm_up=0)
    finish(one, first, many, full)


if __name__ == "__main__":
    sys.exit(main())
