"""How a function fails: the kind of it, and Lambda's JSON about it."""

from __future__ import annotations

import json
import re

import msgspec

TIMED_OUT = "Sandbox.Timedout"
EXIT = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
ENTRY_POINT = "Runtime.InvalidEntrypoint"
TOO_LARGE = "Function.ResponseSizeTooLarge"
EXTENSION = "Extension.Crash"
UNHANDLED = "Unhandled"
UNKNOWN = "Runtime.Unknown"
RESTORE = "SnapStartException"
RESTORE_TIMEOUT = "SnapStartTimeoutException"
RESTORE_WORDS = {
    RESTORE: "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.",
    RESTORE_TIMEOUT: "Lambda couldn't restore the snapshot within the timeout limit.",
}
_KNOWN = re.compile(r"(Runtime|Function)\.[A-Z][A-Za-z]*")
MAX_RESPONSE = 6_291_556


class Failure(msgspec.Struct, frozen=True):
    """``kind`` as ``Outcome.error`` has it, ``type`` as REPORT names it, ``payload`` as the caller gets it."""

    kind: str
    type: str
    payload: bytes


def failure(kind: str, message: str) -> Failure:
    return Failure(kind, kind, json.dumps({"errorType": kind, "errorMessage": message}).encode())


def message(failure: Failure) -> str:
    """Of one that ``failure`` has made."""
    return str(json.loads(failure.payload)["errorMessage"])


def timed_out(request_id: str, timeout: float) -> Failure:
    return failure(TIMED_OUT, f"RequestId: {request_id} Error: {timeout_words(timeout)}")


def timeout_words(timeout: float) -> str:
    return f"Task timed out after {timeout:.2f} seconds"


def exited(request_id: str, code: int, out_of_memory: bool) -> Failure:
    """``code``: -n for signal n."""
    kind = OUT_OF_MEMORY if out_of_memory else EXIT
    return failure(kind, f"RequestId: {request_id} Error: {exit_words(code)}")


def exit_words(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code < 0:
        return f"Runtime exited with error: {_signal(-code)}"
    return f"Runtime exited with error: exit status {code}"


_SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    15: "terminated",
}


def _signal(number: int) -> str:
    return f"signal: {_SIGNALS.get(number, f'signal {number}')}"


def extension_crashed(request_id: str, code: int) -> Failure:
    """Which one it was, the log says."""
    words = f"exit code {code}" if code >= 0 else _signal(-code)
    return failure(EXTENSION, f"RequestId: {request_id} Error: {words}")


def not_restored(cause: Failure, status: str) -> Failure:
    """Of an environment that could not be restored. Callers get an error of the API by ``kind``; who is told of what came
    of an event, the cause."""
    if status == "timeout":
        return failure(RESTORE_TIMEOUT, RESTORE_WORDS[RESTORE_TIMEOUT])
    return Failure(RESTORE, cause.type, cause.payload)


def too_large() -> Failure:
    return failure(TOO_LARGE, f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).")


def reported(payload: bytes, error_type: str) -> Failure:
    """What the runtime said of it: its JSON goes to the caller as it is. The platform itself knows the types of runtimes and
    of its own; others are Runtime.Unknown to it."""
    told = error_type or _type_of(payload)
    return Failure(UNHANDLED, told if _KNOWN.fullmatch(told) else UNKNOWN, payload or b"{}")


def _type_of(payload: bytes) -> str:
    try:
        found = json.loads(payload)
    except ValueError:
        return UNKNOWN
    kind = found.get("errorType") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else UNKNOWN
