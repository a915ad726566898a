"""Services that Havre borrows: another process carries their operations out, and this one knows who may.

A client's request is parsed for what IAM has to know, and handed on as it came; the answer comes back as it is. Calls from
inside are handed on as values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypedDict, Unpack

import msgspec

from havre.control.operation import (
    Action,
    Answer,
    Call,
    ConditionContext,
    Operation,
    Request,
    Resources,
    Service,
)
from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind
from havre.wire.http import HttpRequest, HttpResponse


class Passed(msgspec.Struct):
    """The answer to a request that was handed on as it came. ``answer`` and ``error`` are what CloudTrail records."""

    response: HttpResponse
    answer: Answer = None
    error: ApiError | None = None


_READS = ("Describe", "List", "Get", "BatchGet", "TransactGet", "Head", "Query", "Scan", "Select")
_OURS = frozenset(
    ("x-amzn-requestid", "x-amz-request-id", "x-amz-id-2", "server", "date", "content-length", "status", "connection")
)
"""Headers that this side sets, or the HTTP server does."""


class Lender(Protocol):
    """Carries operations out. Both raise Temporary when it cannot now: nothing was done then, or nobody knows."""

    async def ask(self, call: Call, changes: bool, request: HttpRequest) -> HttpResponse:
        """``request.path`` has S3's bucket in it, and the body is whole and free of chunks."""
        ...

    async def values(self, call: Call, changes: bool, request: Request) -> dict[str, Any]:
        """Raises ApiError as the operation does."""
        ...


class Nobody:
    """Stands where no process can be started."""

    async def ask(self, call: Call, changes: bool, request: HttpRequest) -> HttpResponse:
        raise ApiError("ServiceUnavailable", f"{call.service} is not there in this process", 503)

    async def values(self, call: Call, changes: bool, request: Request) -> dict[str, Any]:
        raise ApiError("ServiceUnavailable", f"{call.service} is not there in this process", 503)


Before = Callable[[Call, Request], Awaitable[None]]
After = Callable[[Call, Request], Awaitable[None]]
Own = Callable[[Lender, Call, Request], Awaitable[Answer]]
Dress = Callable[[Lender, Call, Request], Awaitable[Mapping[str, Any]]]
"""Members that go along with a request, in place of the client's."""
Judge = Callable[[Call, Request, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""(call, request, what is answered) → what the client is told. Of an answer that is handed on as it came, those members
that ``Loans.headers`` names."""


class Loan(msgspec.Struct, frozen=True):
    """An operation of a borrowed service. ``changes`` is whether it has to be written down. ``before`` decides further
    (raises ApiError), ``after`` runs once it has been done; ``own`` does it here, with the lender's help. ``dress`` and
    ``judge`` change what is asked and told, and may refuse, too."""

    name: str
    changes: bool
    before: Before | None = None
    after: After | None = None
    own: Own | None = None
    dress: Dress | None = None
    judge: Judge | None = None


class Handlers(TypedDict, total=False):
    """Of a Loan."""

    before: Before | None
    after: After | None
    own: Own | None
    dress: Dress | None
    judge: Judge | None


class Loans:
    """Collects the operations of a borrowed service, as ``Operations`` does for one of Havre's own."""

    def __init__(
        self,
        service: str,
        lender: Lender | None,
        always: Before | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``always`` decides further on each operation, before its own ``before``. ``headers``: by which names members
        travel that ``dress`` and ``judge`` deal with."""
        self._headers = headers or {}
        self._service = service
        self._always = always
        self._lender: Lender = lender or Nobody()
        self._loans: dict[str, Loan] = {}
        self._operations: dict[str, Operation] = {}

    def lend(
        self,
        *names: str,
        action: Action | None = None,
        resources: Resources | None = None,
        conditions: ConditionContext | None = None,
        data_event: bool = False,
        reads: bool | None = None,
        **handlers: Unpack[Handlers],
    ) -> None:
        """All alike. ``reads`` where the name does not tell."""
        for name in names:
            read_only = name.startswith(_READS) if reads is None else reads
            loan = self._loans[name] = Loan(name, not read_only, **handlers)
            self._operations[name] = Operation(
                name,
                self._handler(loan),
                action,
                resources,
                conditions,
                read_only=read_only,
                data_event=data_event,
            )

    def service(
        self, prefix: str = "", kinds: tuple[Kind[Any, Any], ...] = (), partial: Mapping[str, str] | None = None
    ) -> Service:
        return Service(self._service, self._operations, kinds, prefix, partial or {}, passes=self._pass)

    def _handler(self, loan: Loan) -> Callable[[Call, Request], Awaitable[Answer]]:
        async def handler(call: Call, request: Request) -> Answer:
            await self._decide(loan, call, request)
            if loan.own is not None:
                return await loan.own(self._lender, call, request)
            if loan.dress is not None:
                request = {**request, **await loan.dress(self._lender, call, request)}
            answer = await self._lender.values(call, loan.changes, request)
            if loan.after is not None:
                await loan.after(call, request)
            return await loan.judge(call, request, answer) if loan.judge is not None else answer

        return handler

    async def _decide(self, loan: Loan, call: Call, request: Request) -> None:
        for decide in (self._always, loan.before):
            if decide is not None:
                await decide(call, request)

    async def _pass(self, call: Call, request: Request, http: HttpRequest) -> Passed | None:
        loan = self._loans[call.operation]
        if loan.own is not None:
            return None
        await self._decide(loan, call, request)
        if loan.dress is not None:
            http = self._dressed(http, await loan.dress(self._lender, call, request))
        response = await self._lender.ask(call, loan.changes, http)
        if response.status < 400 and loan.after is not None:
            await loan.after(call, request)
        if response.status < 300 and loan.judge is not None:
            await self._judge(loan.judge, call, request, response)
        passed = _told(call, response)
        named = "x-amz-request-id" if call.service == "s3" else "x-amzn-RequestId"
        # the length of an answer to HEAD is that of what GET would bring; a body that streams brings its own
        bare = http.method == "HEAD" or not isinstance(response.body, bytes)
        headers = [
            (n, v) for n, v in response.headers if n.lower() not in _OURS or (bare and n.lower() == "content-length")
        ]
        response.headers = [*headers, (named, call.request_id)]
        return passed

    def _dressed(self, http: HttpRequest, members: Mapping[str, Any]) -> HttpRequest:
        added = {self._headers[name]: _header(value) for name, value in members.items()}
        return msgspec.structs.replace(http, headers={**http.headers, **added})

    async def _judge(self, judge: Judge, call: Call, request: Request, response: HttpResponse) -> None:
        """Raises ApiError in place of the response."""
        found = {name.lower(): value for name, value in response.headers}
        members = {name: found[header] for name, header in self._headers.items() if header in found}
        told = await judge(call, request, members)
        changed = {self._headers[name]: value for name, value in told.items() if value != members.get(name)}
        response.headers = [(name, changed.get(name.lower(), value)) for name, value in response.headers]


def _header(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told(call: Call, response: HttpResponse) -> Passed:
    """With what CloudTrail records of the answer."""
    body = response.body if isinstance(response.body, bytes) else b""
    if response.status >= 400:
        return Passed(response, error=_error(response.status, body))
    if call.service == "s3" or not body:
        return Passed(response)
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return Passed(response)
    return Passed(response, answer if isinstance(answer, dict) else None)


def _error(status: int, body: bytes) -> ApiError:
    try:
        told = msgspec.json.decode(body)
        code = str(told.get("__type", "")).rpartition("#")[2]
        message = str(told.get("message", told.get("Message", "")))
    except (msgspec.DecodeError, AttributeError):
        text = body[:4096].decode("utf-8", "replace")
        code, message = _between(text, "Code"), _between(text, "Message")
    return ApiError(code or str(status), message, status)


def _between(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
