"""The demo's second half: a function, invoked by hand, over HTTP and from a queue."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from havre.cli.journey import Journey, fetch

EXAMPLE = Path("examples/orders")
RUNTIME = "python3.11"
NAME = "orders"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
_WRITES_LOGS = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
_MAY = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
        "Resource": "*",
    },
}


class Functions:
    def __init__(self, journey: Journey, state: Path, port: int) -> None:
        self.j, self.state, self.port = journey, state, port
        self.url = ""

    def play(self) -> None:
        self.make()
        self.by_hand()
        self.over_http()
        self.from_a_queue()

    def make(self) -> None:
        j = self.j
        j.title("A function (the first time its runtime is built from Debian packages, which takes a minute or two)")
        j.run("havre", "lambda", "build-runtime", RUNTIME)
        role = ("--role-name", NAME, "--assume-role-policy-document", json.dumps(_TRUST))
        arn = j.aws("iam", "create-role", *role)["Role"]["Arn"]
        policy = ("--role-name", NAME, "--policy-name", "queue", "--policy-document", json.dumps(_MAY))
        j.run("aws", "iam", "put-role-policy", *policy)
        j.run("aws", "iam", "attach-role-policy", "--role-name", NAME, "--policy-arn", _WRITES_LOGS)
        with tempfile.TemporaryDirectory() as where:
            archive = f"{where}/{NAME}.zip"
            j.run("python3", "-m", "zipfile", "-c", archive, str(EXAMPLE / "app.py"))
            made = ("--function-name", NAME, "--runtime", RUNTIME, "--handler", "app.handler", "--role", arn)
            j.aws("lambda", "create-function", *made, "--zip-file", f"fileb://{archive}")
        j.run("aws", "lambda", "wait", "function-active-v2", "--function-name", NAME)
        j.check(True, "the function is active")

    def by_hand(self) -> None:
        j = self.j
        with tempfile.NamedTemporaryFile() as answer:
            event = f"fileb://{EXAMPLE / 'event.json'}"
            j.run("aws", "lambda", "invoke", "--function-name", NAME, "--payload", event, answer.name)
            told = json.loads(answer.read())
        j.check(told["taken"] == "order 7", f"it answers {told}")
        print(j.run("havre", "lambda", "invoke", NAME, '{"id": "8"}', "--state", str(self.state)), end="")

    def over_http(self) -> None:
        j = self.j
        j.title("Its URL")
        made = j.aws("lambda", "create-function-url-config", "--function-name", NAME, "--auth-type", "NONE")
        self.url = made["FunctionUrl"]
        let = ("--function-name", NAME, "--principal", "*")
        everybody = ("--statement-id", "url", "--action", "lambda:InvokeFunctionUrl")
        j.aws("lambda", "add-permission", *let, *everybody, "--function-url-auth-type", "NONE")
        through = ("--statement-id", "invoke", "--action", "lambda:InvokeFunction", "--invoked-via-function-url")
        j.aws("lambda", "add-permission", *let, *through)
        body = j.run("curl", "-sS", "--fail", f"{self.url}9").strip()
        j.check(body == "order 9", f"curl gets {body!r}")
        status, _ = fetch("127.0.0.1", self.url.split("/")[2], self.port, "/10")
        j.check(status == 201, "with the status that the function chose")

    def from_a_queue(self) -> None:
        j = self.j
        j.title("A queue that feeds it")
        here = ("--endpoint-url", j.env["AWS_ENDPOINT_URL"])  # for sqs the AWS CLI 1 does not heed the variable
        url = j.aws("sqs", "create-queue", "--queue-name", NAME, *here)["QueueUrl"]
        asked = ("--queue-url", url, "--attribute-names", "QueueArn")
        arn = j.aws("sqs", "get-queue-attributes", *asked, *here)["Attributes"]["QueueArn"]
        j.aws("lambda", "create-event-source-mapping", "--function-name", NAME, "--event-source-arn", arn)
        j.aws("sqs", "send-message", "--queue-url", url, "--message-body", '{"id": "11"}', *here)
        group = ("--log-group-name", f"/aws/lambda/{NAME}", "--filter-pattern", "queue")

        def taken() -> bool:
            events = j.quiet("logs", "filter-log-events", *group)["events"]
            return any("order 11 came by a queue" in event["message"] for event in events)

        j.until(taken, "the function took the message, and its log says so")
