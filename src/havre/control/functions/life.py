"""The beginning and the end of an environment: what takes time."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import Mapping

from havre.control.functions.environment import Environment
from havre.control.functions.parts import InitFailed, Parts
from havre.core.environments import failures, usable
from havre.core.environments import report as words
from havre.core.environments.variables import Surroundings, variables
from havre.engines.sandbox import RUNTIME, Process
from havre.kernel.errors import Gone, Permanent
from havre.kernel.function import Function

log = logging.getLogger("havre.functions")

INIT_LIMIT = 10.0
"""Seconds of the init phase before the first invocation; then it is begun anew, within the invocation."""
LONG_INIT_LIMIT = 130.0
"""Of environments that are initialised in advance, unless the function's own timeout is longer."""
_EXTERNAL_GRACE, _INTERNAL_GRACE = 2.0, 0.5
_RUNTIME_GRACE = 0.3
"""Seconds that the runtime has of these, before extensions hear of the end."""
_SETTLED = 0.002


def init_limit(environment: Environment) -> float:
    if environment.kind == "on-demand":
        return INIT_LIMIT
    return max(LONG_INIT_LIMIT, environment.function.timeout)


async def boot(environment: Environment, limit: float, *, phase: str = "init") -> None:
    """Returns when the runtime and all extensions wait for the first invocation. Raises InitFailed, and what the engine
    and the credentials raise (Permanent, Temporary)."""
    parts, function = environment.parts, environment.function
    loop = asyncio.get_running_loop()
    environment.ready = loop.create_future()
    began = parts.steady()
    expiry: asyncio.TimerHandle | None = None
    try:
        credentials = await parts.credentials(function)
        environment.variables = await _own_variables(parts, function)
        await obtain(environment)
        began = parts.steady()
        expiry = loop.call_later(limit, _expire, environment)
        _report_start(environment, phase)
        await _start_processes(environment, credentials)
        await environment.ready
    except InitFailed as failure:
        took = (parts.steady() - began) * 1000
        _report_init(environment, phase, took, failure)
        raise
    finally:
        if expiry is not None:
            expiry.cancel()
        if environment.ready.done() and not environment.ready.cancelled():
            environment.ready.exception()  # looked at, whoever raised
        environment.ready = None
    environment.cold = False
    environment.telemetry.freeze_subscriptions()
    took = (parts.steady() - began) * 1000
    assert environment.sandbox is not None
    parts.engine.settle(environment.sandbox.id)
    environment.init = took if environment.kind == "on-demand" and phase == "init" else None
    _report_init(environment, phase, took, None)


async def _own_variables(parts: Parts, function: Function) -> Mapping[str, str]:
    """Opened anew for each environment: who closes the key, closes what begins from then on."""
    if not function.sealed or parts.unseal is None:
        return function.environment
    return await parts.unseal(function)


async def obtain(environment: Environment) -> None:
    """Its sandbox, unless it has one already. Raises what the engine raises (Permanent, Temporary)."""
    parts, function = environment.parts, environment.function
    if environment.sandbox is not None:
        return
    if function.network is not None:
        environment.interface = await parts.interfaces.take(function)
    shares = await parts.shares(function) if function.shares and parts.shares is not None else {}
    try:
        sandbox = await parts.engine.obtain(function, environment.interface, shares)
    finally:
        for mount in shares.values():
            os.close(mount)
    environment.sandbox = sandbox
    environment.owner.attach(environment)
    environment.api = parts.open_api(sandbox.api, environment)
    if function.debug_port:
        await parts.doors.lead(function.debug_port, sandbox, environment.thaw)


def _expire(environment: Environment) -> None:
    function = environment.function
    id = environment.run.id if environment.run else ""
    environment.break_init(failures.timed_out(id, function.timeout), "timeout")


async def _start_processes(environment: Environment, credentials: Mapping[str, str | float]) -> None:
    parts, function, sandbox = environment.parts, environment.function, environment.sandbox
    assert sandbox is not None and environment.ready is not None
    keys = _keys(environment, credentials)
    endpoint = sandbox.endpoint or parts.endpoint
    lines = await environment.open_lines()
    around = Surroundings(environment.kind, environment.stream_name, endpoint, keys, environment.token, lines)
    environment_variables = variables(function, around, environment.variables)
    names = sandbox.extensions
    environment.extensions.expect(names)
    loop = asyncio.get_running_loop()
    for name in (*names, RUNTIME):
        environment.exits[name] = loop.create_future()
    for name in names:
        arguments = (f"/opt/extensions/{name}",)
        await _run(environment, Process(name, environment_variables, arguments), failures.EXTENSION)
    await environment.until_registered()
    await _run(environment, Process(RUNTIME, environment_variables), failures.ENTRY_POINT)


def _keys(environment: Environment, credentials: Mapping[str, str | float]) -> dict[str, str]:
    """What its processes get of them, and until when it can be used. One that waits in a snapshot may do so for ever: its
    processes ask for credentials when they need some."""
    parts = environment.parts
    environment.token = ""
    if not credentials or environment.kind == "snap-start":
        environment.token = secrets.token_urlsafe(32) if credentials else ""
        environment.member.use_for(float("inf"), parts.steady())
        return {}
    left = float(credentials["Expiration"]) - parts.world.now()
    environment.member.use_for(usable(left, environment.function.timeout), parts.steady())
    return {name: str(value) for name, value in credentials.items() if name != "Expiration"}


async def _run(environment: Environment, process: Process, kind: str) -> None:
    """A process that cannot be started is the function's fault, not the platform's."""
    assert environment.sandbox is not None
    try:
        await environment.parts.engine.run(environment.sandbox.id, process)
    except Permanent as error:
        id = environment.run.id if environment.run else ""
        raise InitFailed(failures.failure(kind, f"RequestId: {id} Error: {error.reason}")) from None


def _report_start(environment: Environment, phase: str) -> None:
    """A text log has one line of it, however often it is begun."""
    function, sandbox = environment.function, environment.sandbox
    about = {
        "initializationType": environment.kind,
        "phase": phase,
        "functionName": function.name,
        "functionVersion": function.version,
    }
    text = b""
    if sandbox is not None and sandbox.runtime:
        about["runtimeVersion"] = sandbox.runtime
        about["runtimeVersionArn"] = words.runtime_arn(function.region, sandbox.runtime)
        text = words.phase_start_text("INIT", function.region, sandbox.runtime) if phase == "init" else b""
    environment.log.platform("platform.initStart", about, text)


def _report_init(environment: Environment, phase: str, took: float, failed: InitFailed | None) -> None:
    status = failed.status if failed else "success"
    kind = failed.failure.type if failed and failed.status == "error" else ""
    done = {"initializationType": environment.kind, "phase": phase, "status": status}
    if kind:
        done["errorType"] = kind
    text = b""
    if failed:
        environment.tell_extensions()
        text = words.init_report_text(took, phase, status, kind)
    elif environment.restoring.parked:
        text = words.snapshot_text(took)
    environment.log.platform("platform.initRuntimeDone", done)
    environment.log.platform("platform.initReport", {**done, "metrics": {"durationMs": round(took, 3)}}, text)


async def end(environment: Environment, reason: str) -> None:
    """Extensions hear of it (``reason``: spindown, timeout, failure) and have a little time; then everything of it goes.
    Raises what the engine raises."""
    environment.ending = True
    environment.disarm()
    sandbox, engine = environment.sandbox, environment.parts.engine
    try:
        if sandbox is not None:
            if environment.extensions.registered and reason:
                environment.thaw()
                await _shut_down(environment, reason)
            await environment.telemetry.drain()
            await engine.remove(sandbox.id)
        if (interface := environment.interface) is not None:
            environment.interface = None
            await environment.parts.interfaces.give_back(environment.function, interface)
    finally:
        if sandbox is not None:
            environment.parts.doors.close(sandbox)
        if environment.api is not None:
            environment.api.close()
            environment.api = None
        environment.telemetry.close()
        environment.close_lines()
        for name in environment.exits:
            environment.log.ended(name, extension=name != RUNTIME)
        environment.log.flush()
        environment.owner.detach(environment)
        environment.sandbox = None


async def clear(environment: Environment, reason: str) -> None:
    """As ``end``, but its sandbox stays, with all files: nothing runs in it any more, and it is cold. Raises Permanent,
    Temporary, Gone: then it has to end."""
    environment.ending = True
    environment.disarm()
    sandbox, engine, api = environment.sandbox, environment.parts.engine, environment.api
    if sandbox is None or api is None:
        raise Gone("it has no sandbox")
    if environment.member.frozen:
        environment.thaw()
    if environment.extensions.registered and reason:
        await _shut_down(environment, reason)
    await environment.telemetry.drain()
    await engine.clear(sandbox.id)
    await asyncio.sleep(
        _SETTLED
    )  # what came of its processes is read, so that nothing of it is taken for their successors'
    api.drop()
    for name in environment.exits:
        environment.log.ended(name, extension=name != RUNTIME)
    environment.reset()
    environment.cold, environment.ending = True, False


async def _shut_down(environment: Environment, reason: str) -> None:
    """SIGTERM to the runtime, then SHUTDOWN to extensions; what is not done in time is killed."""
    engine, sandbox, extensions = environment.parts.engine, environment.sandbox, environment.extensions
    assert sandbox is not None
    grace = _EXTERNAL_GRACE if extensions.external else _INTERNAL_GRACE
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    runtime = environment.exits.get(RUNTIME)
    if runtime is not None and not runtime.done():
        if reason == "spindown":
            await engine.signal(sandbox.id, RUNTIME, signal.SIGTERM)
            await asyncio.wait([runtime], timeout=_RUNTIME_GRACE if extensions.external else grace)
        if not runtime.done():
            await engine.signal(sandbox.id, RUNTIME, signal.SIGKILL)
    at = int((environment.parts.world.now() + max(0.0, deadline - loop.time())) * 1000)
    extensions.announce({"eventType": "SHUTDOWN", "shutdownReason": reason.upper(), "deadlineMs": at})
    left = [f for name in extensions.names() if not (f := environment.exits[name]).done()]
    if left and deadline > loop.time():
        await asyncio.wait(left, timeout=deadline - loop.time())
