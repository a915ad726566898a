"""Function URLs over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.running_gateway import OTHER_ROOT, ROOT, RootKey
from tests.unit.services.lambda_.invoking.invoking_fakes import (
    ACCOUNT,
    REGION,
    allowing,
    make_alias,
    make_function,
    make_version,
)
from tests.unit.services.lambda_.invoking.test_invoke import Lambda

from havre.apps.signed import SignedGate
from havre.core.http_events import BadAnswer
from havre.core.invoking.prelude import CONTENT_TYPE, END, Prelude
from havre.kernel.errors import Temporary
from havre.kernel.function import Function, Invocation, Outcome
from havre.kernel.resource import NoStatus
from havre.services.lambda_.invoking.urls import FORBIDDEN, FunctionUrls
from havre.services.lambda_.resources import URL, Cors, UrlSpec, qualified

HOST = "abc123.lambda-url.us-east-1.localhost"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


def statement(action: str, principal: Any = "*", arn: str = ARN, **conditions: Any) -> str:
    told: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": arn}
    return json.dumps({**told, "Condition": conditions} if conditions else told)


def open_to_all(arn: str = ARN) -> Any:
    auth = {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
    via = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    return allowing(
        statement("lambda:InvokeFunctionUrl", arn=arn, **auth), statement("lambda:InvokeFunction", arn=arn, **via)
    )


class Answer:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body
        self.all = [(n.lower(), v) for n, v in headers]
        self.headers = dict(self.all)


class Urls(Lambda):
    def __init__(self) -> None:
        self.app: FunctionUrls | None = None
        super().__init__(hosts={"lambda-url": self._serve})
        gateway = self.gateway
        self.app = FunctionUrls(
            gateway.store,
            gateway.world,
            SignedGate(gateway.gateway, "lambda"),
            lambda: self.facilities.open_invoking(gateway.store, gateway.world),
        )

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None
        await self.app.asgi(scope, receive, send)

    def url(self, auth: str = "NONE", mode: str = "BUFFERED", cors: Cors | None = None, qualifier: str = "") -> None:
        spec = UrlSpec("f", qualifier, "abc123", auth, 0.0, mode, cors)
        key = {"account": ACCOUNT, "region": REGION, "name": qualified("f", qualifier), "arn": ""}
        self.make(lambda tx: tx.create(URL, spec=spec, status=NoStatus(), **key))

    def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", host: str = HOST, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, body or None, sent)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        return found

    def signed(self, key: RootKey, path: str = "/", body: bytes = b"", service: str = "lambda") -> Answer:
        request = AWSRequest("POST", f"http://{HOST}{path}", data=body)
        SigV4Auth(Credentials(key.access_key, key.secret), service, REGION).add_auth(request)
        return self.ask("POST", path, body, **{n.replace("-", "_"): v for n, v in request.headers.items()})

    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.functions.asked[-1][1].payload)
        return told

    def answers(self, value: Any, error: str = "") -> None:
        async def behave(function: Function, invocation: Invocation) -> Outcome:
            if isinstance(value, Exception):
                raise value
            return Outcome(value if isinstance(value, bytes) else json.dumps(value).encode(), error)

        self.behave("f", behave)


@pytest.fixture
def aws() -> Iterator[Urls]:
    found = Urls()
    found.make(lambda tx: make_function(tx, policies={"": open_to_all()}))
    yield found
    found.gateway.close()


def test_a_request_becomes_an_event(aws: Urls) -> None:
    aws.url()
    aws.answers({"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1", "b=2"], "body": "made"})
    answer = aws.ask(
        "POST", "/a/b?x=1&x=2&y=", b'{"k":1}', Content_Type="application/json", Cookie="c=1; d=2", User_Agent="me"
    )
    assert (answer.status, answer.body, answer.headers["x-own"]) == (201, b"made", "1")
    assert [v for n, v in answer.all if n == "set-cookie"] == ["a=1", "b=2"]
    assert answer.headers["x-amzn-requestid"] == aws.functions.asked[0][1].request_id
    assert answer.headers["x-amzn-trace-id"] == aws.functions.asked[0][1].trace
    event = aws.event()
    assert event["version"] == "2.0" and event["rawPath"] == "/a/b" and event["rawQueryString"] == "x=1&x=2&y="
    assert event["cookies"] == ["c=1", "d=2"] and event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["body"] == '{"k":1}' and event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["apiId"] == context["domainPrefix"] == "abc123" and context["accountId"] == "anonymous"
    assert context["http"]["method"] == "POST" and context["http"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1" and "Root=" in event["headers"]["x-amzn-trace-id"]


def test_binary_both_ways(aws: Urls) -> None:
    aws.url()
    aws.answers({"statusCode": 200, "body": base64.b64encode(b"\0\xff").decode(), "isBase64Encoded": True})
    answer = aws.ask("PUT", "/", b"\xff\0", Content_Type="image/png")
    assert answer.body == b"\0\xff"
    assert aws.event()["isBase64Encoded"] is True and base64.b64decode(aws.event()["body"]) == b"\xff\0"


def test_an_answer_without_status_is_the_body(aws: Urls) -> None:
    aws.url()
    aws.answers({"message": "hello"})
    answer = aws.ask()
    assert (answer.status, answer.body) == (200, b'{"message":"hello"}')
    assert answer.headers["content-type"] == "application/json"
    assert aws.ask("HEAD").body == b""


@pytest.mark.parametrize(
    ("told", "body"),
    [
        (b'[ 1, "a b", false, null ]', b'[1,"a b",false,null]'),
        (b'"two  words"', b"two  words"),
        (b" 2.5 ", b"2.5"),
        (b"true", b"true"),
        (b"null", b""),
        ('{"é": ["ü", 1]}'.encode(), '{"é":["ü",1]}'.encode()),
    ],
)
def test_bodies_without_status_have_no_blanks(aws: Urls, told: bytes, body: bytes) -> None:
    aws.url()
    aws.answers(told)
    assert aws.ask().body == body


def test_answers_without_a_body_have_a_type(aws: Urls) -> None:
    aws.url()
    aws.answers({"statusCode": 202})
    answer = aws.ask()
    assert (answer.status, answer.body, answer.headers["content-type"]) == (202, b"", "application/json")


def test_the_path_stays_as_it_was_sent(aws: Urls) -> None:
    aws.url()
    aws.ask("GET", "/a%20b%2Fc/%C3%A9?q=%20")
    event = aws.event()
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/a%20b%2Fc/%C3%A9"
    assert event["rawQueryString"] == "q=%20" and event["queryStringParameters"] == {"q": " "}


def test_failures(aws: Urls) -> None:
    aws.url()
    aws.answers({"errorMessage": "no"}, "Unhandled")
    assert (aws.ask().status, aws.ask().body) == (502, b"Internal Server Error")
    aws.answers({"statusCode": "what"})
    assert (aws.ask().status, aws.ask().body) == (502, b'{"Message":null}')
    aws.answers(Temporary("no machine has room"))
    assert aws.ask().status == 502
    nobody = aws.ask(host="nobody.lambda-url.us-east-1.localhost")
    assert (nobody.status, nobody.body) == (403, b'{"Message":null}')
    assert nobody.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert aws.ask("POST", "/", b"x" * (6 * 1024 * 1024 + 1)).status == 413
    assert aws.ask("POST", "/", b"\xff" * (5 * 1024 * 1024), Content_Type="image/png").status == 413
    aws.change(reserved=0)
    answer = aws.ask()
    assert answer.status == 429 and answer.headers["retry-after"] == "1"
    assert json.loads(answer.body)["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"


def test_open_urls_need_a_policy_for_everybody(aws: Urls) -> None:
    aws.url()
    for policy in (
        allowing(),
        allowing(statement("lambda:InvokeFunctionUrl")),
        allowing(statement("lambda:InvokeFunction")),
        allowing(statement("lambda:*", {"AWS": OTHER_ROOT.account})),
        allowing(
            statement("lambda:InvokeFunctionUrl", StringEquals={"lambda:FunctionUrlAuthType": "AWS_IAM"}),
            statement("lambda:InvokeFunction"),
        ),
        allowing(statement("lambda:*", IpAddress={"aws:SourceIp": "192.0.2.0/24"})),
    ):
        aws.change(policies={"": policy})
        answer = aws.ask()
        assert (answer.status, json.loads(answer.body)) == (403, {"Message": FORBIDDEN})
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert aws.functions.asked == []
    aws.change(policies={"": allowing(statement("lambda:*", IpAddress={"aws:SourceIp": "127.0.0.0/8"}))})
    assert aws.ask().status == 200


def test_urls_for_those_who_may(aws: Urls) -> None:
    aws.url("AWS_IAM")
    aws.change(policies={})
    unsigned = aws.ask()
    assert (unsigned.status, json.loads(unsigned.body)) == (403, {"Message": FORBIDDEN})
    assert aws.signed(ROOT, service="s3").status == 403
    wrong = aws.signed(RootKey(ACCOUNT, ROOT.access_key, "wrong"))
    assert wrong.status == 403 and wrong.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert json.loads(wrong.body)["message"].startswith("The request signature we calculated does not match")
    unknown = aws.signed(RootKey(ACCOUNT, "AKIAAAAAAAAAAAAAAAAA", "wrong"))
    assert json.loads(unknown.body) == {"message": "The security token included in the request is invalid."}
    assert aws.signed(OTHER_ROOT).status == 403
    assert aws.functions.asked == []
    answer = aws.signed(ROOT, "/p?q=1", b'{"a":1}')
    assert answer.status == 200
    context = aws.event()["requestContext"]
    assert context["accountId"] == ACCOUNT
    assert context["authorizer"]["iam"]["userArn"] == f"arn:aws:iam::{ACCOUNT}:root"
    both = [statement(a, {"AWS": OTHER_ROOT.account}) for a in ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")]
    aws.change(policies={"": allowing(*both)})
    assert aws.signed(OTHER_ROOT).status == 200
    assert aws.event()["requestContext"]["accountId"] == OTHER_ROOT.account


def test_the_url_of_an_alias(aws: Urls) -> None:
    aws.make(lambda tx: make_version(tx, "1"), lambda tx: make_alias(tx, "live", "1"))
    aws.url(qualifier="live")
    assert aws.ask().status == 403
    aws.change(policies={"live": open_to_all(f"{ARN}:live")})
    assert aws.ask().status == 200
    function, invocation = aws.functions.asked[-1]
    assert function.version == "1" and invocation.arn == f"{ARN}:live"


def test_the_url_of_an_alias_that_is_gone(aws: Urls) -> None:
    aws.url(qualifier="live")
    answer = aws.ask()
    assert (answer.status, answer.body) == (403, b'{"Message":null}')


def test_cross_origin_requests(aws: Urls) -> None:
    cors = Cors(True, ("x-a",), ("GET", "POST"), ("https://app.example", "https://*.test"), ("x-b",), 600)
    aws.url(cors=cors)
    aws.answers({"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "own"}, "body": "x"})
    asks = {"Origin": "https://app.example", "Access_Control_Request_Method": "POST"}
    early = aws.ask("OPTIONS", **asks)
    assert early.status == 200 and aws.functions.asked == []
    assert early.headers["access-control-allow-methods"] == "GET,POST"
    assert early.headers["access-control-allow-headers"] == "x-a" and early.headers["access-control-max-age"] == "600"
    answer = aws.ask(Origin="https://a.test")
    assert answer.headers["access-control-allow-origin"] == "https://a.test"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "x-b"
    for origin in ("https://evil.example", "https://atest", "http://app.example"):
        assert "access-control-allow-origin" not in aws.ask(Origin=origin).headers


def test_without_configuration_cross_origin_is_the_functions_own(aws: Urls) -> None:
    aws.url()
    aws.answers({"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "own"}, "body": "x"})
    answer = aws.ask("OPTIONS", Origin="https://a", Access_Control_Request_Method="GET")
    assert answer.headers["access-control-allow-origin"] == "own"


def test_any_origin(aws: Urls) -> None:
    aws.url(cors=Cors(origins=("*",)))
    assert aws.ask(Origin="https://a").headers["access-control-allow-origin"] == "*"


# Streams


def test_a_streamed_answer(aws: Urls) -> None:
    aws.url(mode="RESPONSE_STREAM")
    aws.functions.pieces = ["text/html", b"<p>", b"</p>", Outcome()]
    answer = aws.ask()
    assert (answer.status, answer.body) == (200, b"<p></p>") and answer.headers["content-type"] == "text/html"
    assert aws.functions.asked[0][1].streaming and aws.running() == 0


def test_a_streamed_answer_with_a_prelude(aws: Urls) -> None:
    aws.url(mode="RESPONSE_STREAM", cors=Cors(origins=("*",)))
    prelude = json.dumps({"statusCode": 418, "headers": {"X-Own": "1"}, "cookies": ["a=1"]}).encode()
    aws.functions.pieces = [CONTENT_TYPE, prelude[:5], prelude[5:] + END[:3], END[3:] + b"bo", b"dy", Outcome()]
    answer = aws.ask(Origin="https://a")
    assert (answer.status, answer.body, answer.headers["x-own"]) == (418, b"body", "1")
    assert answer.headers["set-cookie"] == "a=1" and answer.headers["access-control-allow-origin"] == "*"


def test_a_stream_that_fails(aws: Urls) -> None:
    aws.url(mode="RESPONSE_STREAM")
    aws.functions.pieces = [Outcome(b"{}", "Runtime.ExitError")]
    assert (aws.ask().status, aws.ask().body) == (502, b"Internal Server Error")
    aws.functions.pieces = [CONTENT_TYPE, b"no json" + END, Outcome()]
    assert aws.ask().status == 502
    aws.functions.pieces = ["text/plain", Outcome(b"{}", "Error")]
    assert (aws.ask().status, aws.ask().body) == (502, b"Internal Server Error")
    aws.functions.pieces = ["text/plain", Outcome()]
    assert (aws.ask().status, aws.ask().body) == (200, b"")
    aws.functions.pieces = ["text/plain", b"half", Outcome(b"{}", "Runtime.ExitError")]
    with pytest.raises((http.client.IncompleteRead, ConnectionError, http.client.HTTPException)):
        aws.ask()
    aws.change(reserved=0)
    assert aws.ask().status == 429
    assert aws.running() == 0


@given(st.dictionaries(st.text("abc-", min_size=1), st.text("xyz 1")), st.binary(max_size=40), st.data())
def test_preludes_in_any_pieces(headers: dict[str, str], body: bytes, data: st.DataObject) -> None:
    whole = json.dumps({"statusCode": 200, "headers": headers}).encode() + END + body
    prelude, told, rest = Prelude(), None, b""
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        piece, whole = whole[:size], whole[size:]
        if told is None:
            told = prelude.feed(piece)
            rest = prelude.rest if told is not None else b""
        else:
            rest += piece
    assert told is not None and rest == body and {n for n, _ in told.headers} == {n.lower() for n in headers}


def test_a_prelude_without_end() -> None:
    prelude = Prelude()
    with pytest.raises(BadAnswer):
        for _ in range(40):
            prelude.feed(b"x" * 100_000)
