"""Function URLs: ``<id>.lambda-url.<region>.<domain>``, HTTP in and HTTP out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from havre.control.asgi import as_asked, plain, read, send
from havre.control.gate import Gate, caller
from havre.control.operation import Principal
from havre.core import cors
from havre.core.http_events import Asked, BadAnswer, HttpAnswer, Place, answer_of, event_2, fronted
from havre.core.invoking import meters, payloads
from havre.core.invoking.prelude import CONTENT_TYPE, Prelude
from havre.kernel.errors import ApiError, Temporary
from havre.kernel.function import Invocation
from havre.kernel.world import World
from havre.services.lambda_.invoking.assembly import Invoking
from havre.services.lambda_.invoking.invoker import Streamed
from havre.services.lambda_.invoking.targets import Target
from havre.services.lambda_.resources import LATEST, URL, Cors, UrlR
from havre.store.ports import Reader

ANONYMOUS = Principal("Anonymous", "", "anonymous", "anonymous")
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
SIGNATURES = frozenset(
    (
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "UnrecognizedClientException",
    )
)
"""What is said of requests that are signed, but not rightly."""
_DENIED = ("x-amzn-errortype", "AccessDeniedException")
NOBODY, TOO_LARGE = plain(403, {"Message": None}, _DENIED), plain(413, {"Message": "Request Too Long"})
FAILED = HttpAnswer(502, (("content-type", "application/json"),), b"Internal Server Error")
BAD_ANSWER = plain(502, {"Message": None})


class FunctionUrls:
    def __init__(self, store: Reader, world: World, gate: Gate, invoking: Callable[[], Invoking]) -> None:
        self._store = store
        self._world = world
        self._gate = gate
        self._invoking = invoking

    async def asgi(self, scope: Any, receive: Any, send_: Any) -> None:
        body = await read(receive, payloads.SYNCHRONOUS)
        id = self._world.uuid()
        head = scope["method"] == "HEAD"
        if body is None:
            await send(send_, _named(TOO_LARGE, id), head)
            return
        asked = as_asked(scope, body, self._world.now())
        found = self._store.find(URL, "id", asked.host.partition(".")[0].lower())
        if not found:
            await send(send_, _named(NOBODY, id), head)
            return
        call = _Call(found[0], asked, id, self._invoking(), self._gate)
        answer = await call.answer()
        if isinstance(answer, HttpAnswer):
            call.count(answer.status, self._world.now())
            await send(send_, _named(answer, id, call.trace), head)
        else:
            await call.pass_on(answer, send_, self._world.now)


class _Call:
    """One request."""

    def __init__(self, url: UrlR, asked: Asked, id: str, invoking: Invoking, gate: Gate) -> None:
        self._url = url
        self._asked = asked
        self._id = id
        self._invoker = invoking.invoker
        self._gate = gate
        self.trace = ""
        self._cors = _rules(url.spec.cors) if url.spec.cors is not None else None

    async def answer(self) -> HttpAnswer | Streamed:
        early = cors.preflight(self._asked, self._cors) if self._cors is not None else None
        if early is not None:
            return HttpAnswer(200, early, b"")
        try:
            target = self._find()
            invocation = self._invocation(target, self._let_in(target))
            if len(invocation.payload) > payloads.SYNCHRONOUS:
                return self._with_cors(TOO_LARGE)
            if invocation.streaming:
                return await self._invoker.stream(target, invocation)
            outcome = (await self._invoker.invoke(target, invocation)).outcome
            return self._with_cors(FAILED if outcome.error else answer_of(outcome.payload, of_url=True))
        except BadAnswer:
            return self._with_cors(BAD_ANSWER)
        except ApiError as error:
            return self._with_cors(refusal(error))
        except Temporary:
            return self._with_cors(plain(503, {"Message": None}))

    def _find(self) -> Target:
        m, spec = self._url.meta, self._url.spec
        return self._invoker.find(
            m.account, m.region, spec.function, "" if spec.qualifier == LATEST else spec.qualifier
        )

    def _let_in(self, target: Target) -> Principal:
        """Raises ApiError: 403, which says of signatures what is wrong, and of policies nothing."""
        auth, region = self._url.spec.auth, self._url.meta.region
        try:
            who = self._gate.sender(self._asked) if auth == "AWS_IAM" else ANONYMOUS
            keys = {"lambda:FunctionUrlAuthType": auth, "aws:SourceIp": self._asked.source_ip}
            self._gate.authorize(who, region, "lambda:InvokeFunctionUrl", target.arn, keys)
            via = {**keys, "lambda:InvokedViaFunctionUrl": "true"}
            self._gate.authorize(who, region, "lambda:InvokeFunction", target.arn, via)
        except ApiError as refused:
            if refused.code in SIGNATURES:
                raise
            raise ApiError("AccessDeniedException", FORBIDDEN, 403) from refused
        return who

    def _invocation(self, target: Target, who: Principal) -> Invocation:
        asked = self._asked
        self.trace = self._invoker.trace(target, asked.header("x-amzn-trace-id"))
        place = Place(
            self._url.spec.id,
            who.account or "anonymous",
            self._id,
            authorizer={"iam": caller(who)} if who is not ANONYMOUS else None,
            decoded=False,
        )
        payload = msgspec.json.encode(event_2(fronted(asked, self.trace), place))
        streaming = self._url.spec.mode == "RESPONSE_STREAM"
        return Invocation(self._id, target.arn, payload, trace=self.trace, streaming=streaming)

    def _with_cors(self, answer: HttpAnswer) -> HttpAnswer:
        if self._cors is None:
            return answer
        headers = (*cors.without(answer.headers), *cors.allowed(self._asked, self._cors))
        return HttpAnswer(answer.status, headers, answer.body)

    async def pass_on(self, streamed: Streamed, send_: Any, clock: Callable[[], float]) -> None:
        """A streamed answer, as it comes. What breaks off is cut off: the client sees that its end is missing."""
        status = 0
        try:
            head, first = await self._head(streamed)
            status = head.status
            answer = _named(self._with_cors(head), self._id, self.trace)
            headers = [(n.encode("latin-1", "replace"), v.encode("latin-1", "replace")) for n, v in answer.headers]
            await send_({"type": "http.response.start", "status": answer.status, "headers": headers})
            silent = self._asked.method == "HEAD"
            if first and not silent:
                await send_({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in streamed:
                if not silent:
                    await send_({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            self.count(status, clock())
            await streamed.aclose()
        if streamed.outcome is not None and streamed.outcome.error and head is not FAILED:
            raise ConnectionAbortedError("the function failed in the middle of its answer")
        await send_({"type": "http.response.body", "body": b""})

    def count(self, status: int, now: float) -> None:
        """``status`` 0: it was not answered, for the client had gone."""
        m, spec = self._url.meta, self._url.spec
        where = meters.place(spec.function, "" if spec.qualifier == LATEST else spec.qualifier)
        for name, value in (
            ("UrlRequestCount", 1.0),
            ("Url4xxCount", float(status // 100 == 4)),
            ("Url5xxCount", float(status // 100 == 5)),
            ("UrlRequestLatency", max(0.0, now - self._asked.at) * 1000),
        ):
            self._invoker.meter_at(m.account, m.region, where, name, value)

    @staticmethod
    async def _head(streamed: Streamed) -> tuple[HttpAnswer, bytes]:
        """Status and headers, and what of the body is there already."""
        if streamed.failed:
            return FAILED, FAILED.body
        if streamed.content_type != CONTENT_TYPE:
            begun = HttpAnswer(200, (("content-type", streamed.content_type),), b"")
            async for piece in streamed:
                return begun, piece
            failed = streamed.outcome is not None and streamed.outcome.error
            return (FAILED, FAILED.body) if failed else (begun, b"")
        prelude = Prelude()
        try:
            async for piece in streamed:
                told = prelude.feed(piece)
                if told is not None:
                    return told, prelude.rest
        except BadAnswer:
            return BAD_ANSWER, BAD_ANSWER.body
        return FAILED, FAILED.body


def _rules(given: Cors) -> cors.Cors:
    return cors.Cors(
        given.origins or (),
        given.methods or (),
        given.headers or (),
        given.expose or (),
        given.max_age or 0,
        bool(given.credentials),
        subdomains=True,
    )


def refusal(error: ApiError) -> HttpAnswer:
    """A function that was not run."""
    if error.code == "TooManyRequestsException":
        told = {"Reason": error.fields["Reason"], "Type": "User", "message": error.message}
        return plain(429, told, ("retry-after", error.fields["retryAfterSeconds"]), ("x-amzn-errortype", error.code))
    if error.code in SIGNATURES:
        return plain(403, {"message": error.message}, ("x-amzn-errortype", error.code))
    if error.status == 403:
        return plain(403, {"Message": error.message}, _DENIED)
    if error.code == "ResourceNotFoundException":
        return NOBODY
    return plain(502, {"Message": None})


def _named(answer: HttpAnswer, id: str, trace: str = "") -> HttpAnswer:
    named = (("x-amzn-requestid", id), ("x-amzn-trace-id", trace))
    return HttpAnswer(answer.status, (*answer.headers, *(each for each in named if each[1])), answer.body)
