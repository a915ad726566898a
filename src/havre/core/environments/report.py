"""What the platform says of an invocation, in a function's log: lines of text, or events in JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "ERROR": 4, "FATAL": 5}


class Report(msgspec.Struct, frozen=True):
    """``duration``, ``init``, ``restore`` in milliseconds, memory in MiB. ``status``: success, error, failure, timeout."""

    request_id: str
    duration: float
    memory_size: int
    memory_used: int
    init: float | None = None
    restore: float | None = None
    status: str = "success"
    error_type: str = ""
    trace: str = ""

    @property
    def billed(self) -> int:
        """Milliseconds, begun ones whole; the init phase counts. What restoring cost is told apart from it."""
        return billed(self.duration, self.init or 0.0)


def billed(duration: float, init: float) -> int:
    return max(1, math.ceil(duration + init))


def start_text(request_id: str, version: str) -> bytes:
    return f"START RequestId: {request_id} Version: {version}\n".encode()


def end_text(request_id: str) -> bytes:
    return f"END RequestId: {request_id}\n".encode()


def report_text(report: Report) -> bytes:
    text = (
        f"REPORT RequestId: {report.request_id}\tDuration: {report.duration:.2f} ms\t"
        f"Billed Duration: {report.billed} ms\tMemory Size: {report.memory_size} MB\t"
        f"Max Memory Used: {report.memory_used} MB\t"
    )
    if report.init is not None:
        text += f"Init Duration: {report.init:.2f} ms\t"
    if report.restore is not None:
        text += f"Restore Duration: {report.restore:.2f} ms\t"
        text += f"Billed Restore Duration: {billed(report.restore, 0.0)} ms\t"
    if report.status != "success":
        text += f"Status: {report.status}"
        if report.error_type:
            text += f"\tError Type: {report.error_type}"
    text += "\n"
    if report.trace and (fields := trace_fields(report.trace)).get("Root"):
        sampled = "true" if fields.get("Sampled") == "1" else "false"
        text += f"XRAY TraceId: {fields['Root']}\tSegmentId: {fields.get('Parent', '')}\tSampled: {sampled}\t\n"
    return text.encode()


def trace_fields(header: str) -> dict[str, str]:
    """``Root=1-…;Parent=…;Sampled=1`` by name."""
    return dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)


def runtime_arn(region: str, version: str) -> str:
    """Of a version of a managed runtime, in AWS's form: its last part is a digest."""
    return f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(version.encode()).hexdigest()}"


def phase_start_text(phase: str, region: str, version: str) -> bytes:
    """``phase``: INIT or RESTORE, of an environment whose runtime has this version ("": none that is managed)."""
    if not version:
        return f"{phase}_START\n".encode()
    return f"{phase}_START Runtime Version: {version}\tRuntime Version ARN: {runtime_arn(region, version)}\n".encode()


def snapshot_text(duration: float) -> bytes:
    """Of an init phase before a snapshot, which no invocation tells of."""
    return f"INIT_REPORT Init Duration: {duration:.2f} ms\n".encode()


def init_report_text(duration: float, phase: str, status: str, error_type: str = "") -> bytes:
    """Of an init phase that did not end well."""
    text = f"INIT_REPORT Init Duration: {duration:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return (text + (f"\tError Type: {error_type}" if error_type else "") + "\n").encode()


def restore_report_text(duration: float, status: str, error_type: str) -> bytes:
    text = f"RESTORE_REPORT Restore Duration: {duration:.2f} ms"
    if status != "success":
        text += f"\tStatus: {status}"
    return (text + (f"\tError Type: {error_type}" if error_type else "") + "\n").encode()


def timeout_text(at: str, request_id: str, words: str) -> bytes:
    return f"{at} {request_id} {words}\n\n".encode()


def broken_text(message: str, kind: str) -> bytes:
    """Of an invocation whose processes have ended."""
    return f"{message}\n{kind}\n".encode()


# --- events, of the Telemetry API and of logs in JSON


def tracing(trace: str) -> dict[str, Any]:
    fields = trace_fields(trace) if trace else {}
    if not fields.get("Root"):
        return {}
    span = {"spanId": fields["Parent"]} if fields.get("Parent") else {}
    return {"tracing": {**span, "type": "X-Amzn-Trace-Id", "value": trace}}


def tenancy(tenant: str) -> dict[str, str]:
    return {"tenantId": tenant} if tenant else {}


def metrics(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {
        "durationMs": round(report.duration, 3),
        "billedDurationMs": report.billed,
        "memorySizeMB": report.memory_size,
        "maxMemoryUsedMB": report.memory_used,
    }
    if report.init is not None:
        found["initDurationMs"] = round(report.init, 3)
    if report.restore is not None:
        found["restoreDurationMs"] = round(report.restore, 3)
    return found


def report_record(report: Report) -> dict[str, Any]:
    found = {"requestId": report.request_id, "metrics": metrics(report), "status": report.status}
    if report.error_type:
        found["errorType"] = report.error_type
    return {**found, **tracing(report.trace)}


def shared_record(report: Report) -> dict[str, Any]:
    """Of an invocation that had its environment together with others: what they used is not told apart."""
    return report_record(report) | {"metrics": {"durationMs": round(report.duration, 3)}}


def level_of(kind: str, record: Mapping[str, Any]) -> str:
    """Under which level an event is logged."""
    good = record.get("status", "success") == "success"
    if kind in ("platform.initStart", "platform.restoreStart"):
        return "INFO" if record.get("runtimeVersion") else "DEBUG"
    if kind in ("platform.initRuntimeDone", "platform.restoreRuntimeDone", "platform.runtimeDone"):
        return "DEBUG" if good else "WARN"
    if kind == "platform.initReport":
        quiet = record.get("initializationType") == "on-demand"
        return ("DEBUG" if quiet else "INFO") if good else "WARN"
    if kind == "platform.logsDropped":
        return "WARN"
    return "INFO" if good else "WARN"


def event_text(time: str, kind: str, record: Mapping[str, Any]) -> bytes:
    return json.dumps({"time": time, "type": kind, "record": record}, separators=(",", ":")).encode()
