"""What developers of functions type, against clients that the test plays."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from havre.cli.developing import dev, logs
from havre.cli.developing.invoke import invoke, read_payload
from havre.cli.main import app


class Playing:
    """``clients(service)`` whose methods answer from ``answers``: (a list is one answer after the other)."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, service: str) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        def call(**request: Any) -> Any:
            self.told.append((name, request))
            answer = self.answers.get(name, {})
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_waiter(self, name: str) -> Any:
        return self

    def wait(self, **request: Any) -> None:
        self.told.append(("wait", request))

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, **request: Any) -> Any:
        self.told.append(("paginate", request))
        events = self.answers["events"]
        return [{"events": events.pop(0) if events else []}]


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "X")


def answered(body: bytes, **more: Any) -> dict[str, Any]:
    log = base64.b64encode(b"START RequestId: 1\nhello\n").decode()
    return {"Payload": io.BytesIO(body), "LogResult": log, "ResponseMetadata": {"RequestId": "r"}, **more}


def test_an_answer_goes_to_stdout_and_the_log_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    clients: Any = Playing(invoke=answered(b'{"a":1}'))
    assert invoke(clients, "f", b"{}", {"Qualifier": "live", "TenantId": ""}, asynchronous=False) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1} and "hello" in err and "hello" not in out
    assert clients.told[0][1] == {"FunctionName": "f", "Payload": b"{}", "Qualifier": "live", "LogType": "Tail"}


def test_a_failure_is_told_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    body = {"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ['  File "app.py", line 3\n']}
    clients: Any = Playing(invoke=answered(json.dumps(body).encode(), FunctionError="Unhandled"))
    assert invoke(clients, "f", b"{}", asynchronous=False) == 1
    out, err = capsys.readouterr()
    assert out == "" and "KeyError: 'x'" in err and 'File "app.py", line 3' in err


def test_functions_on_capacity_providers_are_invoked_without_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    words = "Tail logs are not supported for functions configured with capacity provider"
    refused = ClientError({"Error": {"Code": "InvalidParameterValueException", "Message": words}}, "Invoke")
    clients: Any = Playing(invoke=[refused, answered(b'{"a":1}')])
    assert invoke(clients, "f", b"{}", asynchronous=False) == 0
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    assert ["LogType" in request for _, request in clients.told] == [True, False]


def test_what_cannot_be_invoked_and_what_is_queued(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(Playing(invoke=refusal("ResourceNotFoundException")), "f", b"{}", asynchronous=False) == 1  # type: ignore[arg-type]
    assert "ResourceNotFoundException" in capsys.readouterr().err
    clients: Any = Playing(invoke=answered(b""))
    assert invoke(clients, "f", b"{}", asynchronous=True) == 0
    assert clients.told[0][1]["InvocationType"] == "Event"


def test_who_is_throttled_is_told_why(capsys: pytest.CaptureFixture[str]) -> None:
    throttled = ClientError(
        {
            "Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."},
            "ResponseMetadata": {"HTTPStatusCode": 429},  # type: ignore[typeddict-item]
            "message": "Rate Exceeded.",
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "retryAfterSeconds": "1",
        },
        "Invoke",
    )
    clients: Any = Playing(invoke=throttled)
    assert invoke(clients, "f", b"{}", asynchronous=False) == 1
    assert capsys.readouterr().err.splitlines() == [
        "havre lambda invoke: TooManyRequestsException: Rate Exceeded.",
        "  Reason: ReservedFunctionConcurrentInvocationLimitExceeded",
        "  retryAfterSeconds: 1",
    ]


def test_where_the_reason_is_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."
    )
    failed = ClientError({"Error": {"Code": "SnapStartException", "Message": words}}, "Invoke")
    clients: Any = Playing(invoke=failed)
    assert invoke(clients, "f", b"{}", {"TenantId": "blue"}, asynchronous=False) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "  its log: havre lambda logs f"
    assert clients.told[0][1]["TenantId"] == "blue"


@pytest.mark.parametrize(
    "typed, words",
    [
        (["lambda", "logs", "f", "--since", "5x"], "5x is no span of time"),
        (["lambda", "invoke", "f", "{"], "the payload is no JSON"),
        (["lambda", "dev", ".", "--env", "x"], "--env x: it is written NAME=VALUE"),
        (["coverage", "nope"], "there is no service nope"),
    ],
)
def test_what_is_typed_wrong_is_a_usage_error(typed: list[str], words: str) -> None:
    found = CliRunner().invoke(app, typed)
    assert found.exit_code == 2 and words in found.output


def test_that_nothing_runs_is_none(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["lambda", "invoke", "f", "--state", str(tmp_path / "none")])
    assert found.exit_code == 1


def test_payloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"a": 1}')
    assert read_payload(f"@{file}") == b'{"a": 1}' and read_payload("[1]") == b"[1]"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"x"')))
    assert read_payload("-") == b'"x"'
    for wrong in ("{", f"@{tmp_path}/none"):
        with pytest.raises(ValueError):
            read_payload(wrong)


def test_events_are_shown_once_while_following() -> None:
    first = {"eventId": "1", "timestamp": 2**52, "message": "one"}
    second = {"eventId": "2", "timestamp": 2**52 + 1, "message": "two"}
    client = Playing(events=[[first], [first, second], [second]])
    seen = []
    found = logs.events(client, "/g", "", 60, follow=True, pause=lambda seconds: seen.append(seconds))
    assert [next(found)["message"], next(found)["message"]] == ["one", "two"]
    assert seen == [logs.EVERY]
    assert [e["message"] for e in logs.events(Playing(events=[[first]]), "/g", "", 60, follow=False)] == ["one"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400)])
def test_spans(text: str, seconds: int) -> None:
    assert logs.since(text) == seconds
    with pytest.raises(ValueError):
        logs.since(text[:-1])


def test_a_directory_becomes_a_function_and_then_an_update(tmp_path: Path) -> None:
    wanted = dev.Wanted("f", tmp_path, "app.handler", "python3.11", environment={"A": "1"}, debug_port=5678)
    clients: Any = Playing(
        get_function_configuration=[refusal("ResourceNotFoundException"), {"FunctionArn": "arn"}],
        create_function={"FunctionArn": "arn"},
        get_role=[refusal("NoSuchEntity"), {"Role": {"Arn": "role"}}],
        create_role={"Role": {"Arn": "role"}},
    )
    assert dev.ensure(clients, wanted) == "arn"
    made = next(request for name, request in clients.told if name == "create_function")
    assert made["Code"] == {"S3Bucket": "hot-reload", "S3Key": str(tmp_path)} and made["Timeout"] == 900
    assert made["Environment"] == {"Variables": {"A": "1", "HAVRE_DEBUG_PORT": "5678"}} and made["Role"] == "role"
    assert dev.ensure(clients, wanted) == "arn"
    assert [name for name, _ in clients.told if name.startswith("update")] == [
        "update_function_code",
        "update_function_configuration",
    ]
