"""The environment variables of a function's processes, as Lambda sets them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from havre.kernel.function import Function

API = "127.0.0.1:9001"
CREDENTIALS = f"http://{API}/2021-04-23/credentials"
TASK_ROOT = "/var/task"
RUNTIME_ROOT = "/var/runtime"
_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
_LIBRARIES = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
"""Interpreters that wait for a function were started with just these (engines/oci/zygotes.py)."""
_LOG_DESCRIPTOR = "1"
"""Frames of log messages come through standard output, between the lines that are printed: their first byte begins no
character of UTF-8."""
_TRACING = {
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}
"""Code relies on them being there. Nothing listens but what an extension brings; nothing is sampled either."""
RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
"""Names that a function cannot give: what Lambda says stands."""


class Surroundings(msgspec.Struct, frozen=True):
    """What differs from one environment to the next. ``kind``: on-demand, provisioned-concurrency, snap-start,
    lambda-managed-instances. ``credentials`` in the shape of STS (AccessKeyId, SecretAccessKey, SessionToken); empty for
    none. ``token``: processes ask for theirs by it, "" where they need not. ``lines`` is a socket to which workers connect
    for what they write, "" for none."""

    kind: str
    log_stream: str
    endpoint: str
    credentials: Mapping[str, str] = {}
    token: str = ""
    lines: str = ""


def variables(function: Function, around: Surroundings, given: Mapping[str, str]) -> dict[str, str]:
    """Of all processes of an environment; ``given`` are the function's own."""
    managed = bool(function.runtime) and not function.runtime.startswith("provided")
    found = {
        "PATH": _PATH,
        "LD_LIBRARY_PATH": _LIBRARIES,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": TASK_ROOT,
        "LAMBDA_RUNTIME_DIR": RUNTIME_ROOT,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": around.kind,
        "AWS_LAMBDA_RUNTIME_API": API,
        **_TRACING,
    }
    if around.kind != "snap-start":
        found["AWS_LAMBDA_LOG_GROUP_NAME"] = function.logs.group
        found["AWS_LAMBDA_LOG_STREAM_NAME"] = around.log_stream
    if function.handler:
        found["_HANDLER"] = function.handler
    if managed:
        found["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
        found |= _paths(function.runtime)
    if function.concurrency:
        found["AWS_LAMBDA_MAX_CONCURRENCY"] = str(function.concurrency)
    found |= _lines(function, around)
    if around.endpoint:
        found["AWS_ENDPOINT_URL"] = around.endpoint
    if keys := around.credentials:
        found["AWS_ACCESS_KEY_ID"] = keys["AccessKeyId"]
        found["AWS_SECRET_ACCESS_KEY"] = keys["SecretAccessKey"]
        found["AWS_SESSION_TOKEN"] = keys["SessionToken"]
    own = {name: value for name, value in given.items() if name not in RESERVED}
    return {**found, **own, **_credentials_by(around.token)}


def _credentials_by(token: str) -> dict[str, str]:
    """Where SDKs ask for credentials."""
    if not token:
        return {}
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": CREDENTIALS, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}


def _lines(function: Function, around: Surroundings) -> dict[str, str]:
    """How AWS's clients are to write."""
    found = {}
    if around.lines:
        found["_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET"] = around.lines
    elif not function.concurrency and not function.runtime.startswith("provided"):
        found["_LAMBDA_TELEMETRY_LOG_FD"] = _LOG_DESCRIPTOR  # which workers side by side would share, and one closes it
    if function.logs.format == "JSON":
        found["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        found["AWS_LAMBDA_LOG_LEVEL"] = function.logs.application_level
    return found


def _paths(runtime: str) -> dict[str, str]:
    """Where the languages look for modules."""
    if runtime.startswith("python"):
        return {"PYTHONPATH": RUNTIME_ROOT}
    if runtime.startswith("nodejs"):
        major = runtime.removeprefix("nodejs").partition(".")[0]
        return {
            "NODE_PATH": f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:"
            f"{RUNTIME_ROOT}/node_modules:{RUNTIME_ROOT}:{TASK_ROOT}"
        }
    if runtime.startswith("ruby"):
        version = runtime.removeprefix("ruby")
        return {
            "GEM_PATH": f"{TASK_ROOT}/vendor/bundle/ruby/{version}.0:/opt/ruby/gems/{version}.0",
            "RUBYLIB": f"{TASK_ROOT}:{RUNTIME_ROOT}/lib:/opt/ruby/lib",
        }
    return {}


def log_stream(version: str, day: str, unique: str) -> str:
    """``day`` as YYYY/MM/DD, ``unique``: 32 hexadecimal digits."""
    return f"{day}/[{version}]{unique}"
