"""The extensions of one environment: who has registered, who waits for its next event, who is still at work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from havre.control.functions.api import OK, Exchange
from havre.kernel.function import Function

MOST = 10
_IDENTIFIER = b"lambda-extension-identifier"
_NAME = b"lambda-extension-name"
_FEATURES = b"lambda-extension-accept-feature"
_EVENTS = {True: ("INVOKE", "SHUTDOWN"), False: ("INVOKE",)}
"""Events of external extensions, and of internal ones: these run in the runtime's process and hear of its end by SIGTERM."""


def refuse(exchange: Exchange, kind: str, words: str, status: int = 403) -> None:
    exchange.answer(status, json.dumps({"errorMessage": words, "errorType": kind}).encode())


class Extension:
    """``waiting`` is its unanswered /event/next; ``due`` what it is to hear at the next one; ``error`` the type of the error
    that it has told, ``fault`` the state that it is in since."""

    __slots__ = ("asked", "due", "error", "events", "external", "fault", "id", "name", "waiting")

    def __init__(self, name: str, id: str, external: bool) -> None:
        self.name = name
        self.id = id
        self.external = external
        self.events: tuple[str, ...] | None = None
        self.waiting: Exchange | None = None
        self.due: bytes | None = None
        self.asked = False
        """It has asked for an event since the last one that it got."""
        self.fault = self.error = ""

    @property
    def state(self) -> str:
        """As AWS's logs have it."""
        if self.fault:
            return self.fault
        return "Started" if self.events is None else "Ready" if self.asked else "Registered"


class Extensions:
    """``changed`` is called when one has registered or asks for its next event, ``failed`` when one says that it cannot go
    on (its name, the type of its error)."""

    def __init__(
        self,
        function: Function,
        new_id: Callable[[], str],
        changed: Callable[[], None],
        failed: Callable[[str, str], None],
    ) -> None:
        self._function = function
        self._new_id = new_id
        self._changed = changed
        self._failed = failed
        self._all: dict[str, Extension] = {}
        self.hear_invocations = True
        self.closed = False
        """From the first invocation on, none registers."""

    def expect(self, names: Sequence[str]) -> None:
        """External ones that are started."""
        for name in names:
            self._all[name] = Extension(name, self._new_id(), True)

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def all(self) -> Sequence[Extension]:
        return list(self._all.values())

    @property
    def registered(self) -> Sequence[Extension]:
        return [e for e in self._all.values() if e.events is not None]

    @property
    def external(self) -> bool:
        return any(e.external for e in self.registered)

    def names(self) -> Sequence[str]:
        """Of those that are processes of their own."""
        return [e.name for e in self._all.values() if e.external]

    def all_registered(self) -> bool:
        return all(e.events is not None for e in self._all.values())

    def idle(self) -> bool:
        return all(e.asked for e in self._all.values())

    def by_identifier(self, exchange: Exchange) -> Extension | None:
        """None: it was answered with an error."""
        id = exchange.header(_IDENTIFIER)
        if not id:
            refuse(exchange, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
            return None
        for extension in self._all.values():
            if extension.id == id and extension.events is not None:
                return extension
        refuse(exchange, "Extension.UnknownExtensionIdentifier", "Unknown extension " + id)
        return None

    # --- what they ask
    def register(self, exchange: Exchange) -> None:
        name = exchange.header(_NAME)
        if not name:
            refuse(exchange, "Extension.InvalidExtensionName", "Empty extension name")
            return
        events = _events(exchange.body)
        if events is None:
            refuse(exchange, "InvalidRequestFormat", 'the body is not {"events": [...]}')
            return
        extension = self._all.get(name)
        if wrong := self._why_not(extension, name, events):
            refuse(exchange, *wrong)
            return
        if extension is None:
            extension = self._all[name] = Extension(name, self._new_id(), False)
        extension.events = events
        exchange.answer(
            200, json.dumps(self._about(exchange)).encode(), f"Lambda-Extension-Identifier: {extension.id}\r\n".encode()
        )
        self._changed()

    def _why_not(self, extension: Extension | None, name: str, events: tuple[str, ...]) -> tuple[str, str] | None:
        if extension is not None and extension.events is not None:
            return ("Extension.InvalidExtensionState", f"Extension {name} has registered already")
        if self.closed:
            return ("Extension.RegistrationClosed", "Extension registration closed already")
        allowed = _EVENTS[extension is not None]
        if not self.hear_invocations:
            allowed = tuple(e for e in allowed if e != "INVOKE")
        if other := [e for e in events if e not in allowed]:
            return ("Extension.InvalidEventType", f"{other[0]}: event type is invalid")
        if extension is None and len(self._all) >= MOST:
            return ("Extension.TooManyExtensions", f"Extension limit ({MOST}) reached")
        return None

    def _about(self, exchange: Exchange) -> dict[str, Any]:
        function = self._function
        found: dict[str, Any] = {
            "functionName": function.name,
            "functionVersion": function.version,
            "handler": function.handler,
        }
        if "accountId" in [f.strip() for f in exchange.header(_FEATURES).split(",")]:
            found["accountId"] = function.account
        return found

    def event_next(self, exchange: Exchange) -> None:
        extension = self.by_identifier(exchange)
        if extension is None:
            return
        extension.waiting, extension.asked = exchange, True
        if extension.due is not None:
            due, extension.due = extension.due, None
            self._tell(extension, due)
        self._changed()

    def error(self, exchange: Exchange, phase: str) -> None:
        extension = self.by_identifier(exchange)
        if extension is None:
            return
        kind = exchange.header(b"lambda-extension-function-error-type")
        if not kind:
            refuse(exchange, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type header not found")
            return
        exchange.answer(202, OK)
        extension.fault = "InitError" if phase == "init" else "ExitError"
        extension.error = kind if kind.startswith("Extension.") else f"Extension.{extension.fault}"
        self._failed(extension.name, extension.error)

    def ended(self, name: str) -> None:
        """Its process has."""
        extension = self._all.get(name)
        if extension is not None and not extension.fault:
            extension.fault = "Exited"

    # --- what they hear
    def announce(self, event: Mapping[str, Any]) -> None:
        """To those that want this kind of event."""
        body = b""
        for extension in self._all.values():
            if event["eventType"] not in (extension.events or ()):
                continue
            body = body or json.dumps(event).encode()
            if extension.waiting is None:
                extension.due, extension.asked = body, False
            else:
                self._tell(extension, body)

    def _tell(self, extension: Extension, body: bytes) -> None:
        exchange, extension.waiting, extension.asked = extension.waiting, None, False
        if exchange is not None:
            exchange.answer(200, body, f"Lambda-Extension-Event-Identifier: {self._new_id()}\r\n".encode())


def extension_record(extension: Extension) -> dict[str, Any]:
    record = {"name": extension.name, "state": extension.state, "events": list(extension.events or ())}
    return {**record, "errorType": extension.error} if extension.error else record


def extension_text(extension: Extension) -> bytes:
    events = ", ".join(extension.events or ())
    text = f"EXTENSION\tName: {extension.name}\tState: {extension.state}\tEvents: [{events}]"
    return (text + (f"\tError Type: {extension.error}" if extension.error else "") + "\n").encode()


def _events(body: bytes) -> tuple[str, ...] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    events = found.get("events", []) if isinstance(found, dict) else None
    return tuple(events) if isinstance(events, list) and all(isinstance(e, str) for e in events) else None
