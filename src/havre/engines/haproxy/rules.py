"""Listener rules as HAProxy's lines: the first rule whose conditions all hold decides, whatever its action is.

HAProxy evaluates returns before it chooses a backend. So a forward only notes its pool in a variable, in the order of the
rules, and a rule is passed over once a pool is noted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from havre.engines.haproxy.patterns import match, query_match
from havre.engines.haproxy.text import Unsafe, literal, name, quote
from havre.kernel.balancer import BalancerAction, BalancerCondition, BalancerListener

Keep = Callable[[str, bytes], str]
"""(suffix, content) → the path of a file that holds it; a response's body needs no quoting there."""

STATUS = {301: "Moved Permanently", 302: "Found", 400: "Bad Request", 404: "Not Found", 408: "Request Timeout"}
STATUS |= {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Temporarily Unavailable"}
STATUS |= {504: "Gateway Time-out"}
OWN_HEADERS = "hdr Server awselb/2.0 hdr Date '%[date,http_date]'"
UNDECIDED = "!{ var(txn.pool) -m found }"


class Context(msgspec.Struct, frozen=True):
    """``prefix`` makes names unique in the frontend; ``guard`` is what must hold besides ("" nothing)."""

    prefix: str
    keep: Keep
    guard: str = ""
    secure: bool = False
    port: int = 80


def page(status: int) -> bytes:
    """The body that AWS's load balancers send with answers of their own."""
    title = f"{status} {STATUS[status]}"
    lines = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<center><h1>{title}</h1></center>"]
    return "\r\n".join([*lines, "</body>", "</html>", ""]).encode()


def own_answer(status: int, keep: Keep) -> str:
    return f"http-request return status {status} content-type text/html file {keep('html', page(status))} {OWN_HEADERS}"


def conditions(prefix: str, wanted: Sequence[BalancerCondition]) -> tuple[list[str], str]:
    """The ACL lines, and what stands behind ``if`` for all of them to hold."""
    lines, names = [], []
    for index, condition in enumerate(wanted):
        acl = f"{prefix}c{index}"
        names.append(acl)
        lines += [f"acl {acl} {test}" for test in _tests(condition)]
    return lines, " ".join(names)


def _tests(condition: BalancerCondition) -> list[str]:
    field, values = condition.field, condition.values
    if field == "path-pattern":
        return [f"path {match(v)}" for v in values]
    if field == "host-header":
        return [f"req.hdr(host),host_only {match(v, ignore_case=True)}" for v in values]
    if field == "http-header":
        header = header_name(condition.name)
        return [f"req.fhdr({header}) {match(v, ignore_case=True)}" for v in values]
    if field == "http-request-method":
        return [f"method -m str -- {quote(v)}" for v in values]
    if field == "query-string":
        return [f"query {query_match(v)}" for v in values]
    if field == "source-ip":
        return [f"src -- {quote(v)}" for v in values]
    raise Unsafe(f"unknown condition {field!r}")


def header_name(text: str) -> str:
    if not text or not all(c.isascii() and (c.isalnum() or c in "!#$%&*+-.^_|~") for c in text):
        raise Unsafe(f"the header name {text!r} is not one")
    return text.replace("#", "\\#").replace("$", "\\$")


def listener_lines(listener: BalancerListener, context: Context) -> list[str]:
    """All rules of a listener. Each request ends in an answer or has ``txn.pool`` set, unless the guard does not hold."""
    lines: list[str] = []
    for index, rule in enumerate(listener.rules):
        prefix = f"{context.prefix}r{index}"
        acls, holds = conditions(prefix, rule.conditions)
        first = UNDECIDED if index or context.guard else ""
        when = " ".join(part for part in (context.guard, first, holds) if part)
        lines += acls + _action(prefix, rule.action, f" if {when}" if when else "", context)
    return lines


def single_pool(listener: BalancerListener) -> str:
    """The one pool that everything goes to ("" when rules have to be looked at): the proxy's fastest way."""
    action = listener.rules[-1].action
    live = [pool for pool, weight in action.pools if weight > 0]
    return live[0] if len(listener.rules) == 1 and action.kind == "forward" and len(live) == 1 else ""


def _action(prefix: str, action: BalancerAction, when: str, context: Context) -> list[str]:
    if action.kind == "fixed-response":
        return [_fixed(action, context.keep) + when]
    if action.kind == "redirect":
        return _redirect(prefix, action, when, context)
    live = [(pool, weight) for pool, weight in action.pools if weight > 0]
    if not live:
        return [own_answer(503, context.keep) + when]
    if len(live) == 1:
        return [f"http-request set-var(txn.pool) str({name('p', live[0][0])}){when}"]
    return _weighted(prefix, action, live, when)


def _weighted(prefix: str, action: BalancerAction, live: Sequence[tuple[str, int]], when: str) -> list[str]:
    """Draw a pool by weight; with stickiness the cookie of an earlier draw decides, and the choice is sent along."""
    mine = f"{{ var(txn.pool) -m str {prefix} }}"
    lines = [f"http-request set-var(txn.pool) str({prefix}){when}"]
    if action.sticky:
        lines.append(f"http-request set-var(txn.group) str({prefix}) if {mine}")
        for cookie in ("AWSALBTG", "AWSALBTGCORS"):
            for pool, _ in live:
                held = f"{{ req.cook({cookie}) -m str {token(pool)} }}"
                lines.append(f"http-request set-var(txn.pool) str({name('p', pool)}) if {mine} {held}")
    lines.append(f"http-request set-var(txn.draw) rand({sum(w for _, w in live)}) if {mine}")
    bound = 0
    for pool, weight in live:
        bound += weight
        drawn = f"{{ var(txn.draw) -m int lt {bound} }}"
        lines.append(f"http-request set-var(txn.pool) str({name('p', pool)}) if {mine} {drawn}")
    if action.sticky:
        lines += [line for pool, _ in live for line in _group_cookies(prefix, pool, action.sticky)]
    return lines


def _group_cookies(prefix: str, pool: str, seconds: int) -> list[str]:
    chosen = f"{{ var(txn.group) -m str {prefix} }} {{ var(txn.pool) -m str {name('p', pool)} }}"
    until = f"Expires=%[date({seconds}),http_date]; Path=/"
    return [
        f"http-after-response add-header Set-Cookie 'AWSALBTG={token(pool)}; {until}' if {chosen}",
        f"http-after-response add-header Set-Cookie 'AWSALBTGCORS={token(pool)}; {until}; SameSite=None' if {chosen}",
    ]


def token(pool: str) -> str:
    """What a cookie carries for a target group: nothing that could be read out of it."""
    return hashlib.sha256(f"target-group:{pool}".encode()).hexdigest()[:40]


def _fixed(action: BalancerAction, keep: Keep) -> str:
    line = f"http-request return status {action.status}"
    if action.body:
        kind = quote(action.content_type or "text/plain")
        line += f" content-type {kind} file {keep('body', action.body.encode())}"
    return f"{line} {OWN_HEADERS}"


def _redirect(prefix: str, action: BalancerAction, when: str, context: Context) -> list[str]:
    to = action.redirect
    protocol = to.get("protocol", "#{protocol}").replace("#{protocol}", "HTTPS" if context.secure else "HTTP").lower()
    port = to.get("port", "#{port}").replace("#{port}", str(context.port))
    fixed = {"#{host}": f"%[var(txn.{prefix}h)]", "#{port}": str(context.port)}
    fixed["#{protocol}"] = "https" if context.secure else "http"
    host, path = _insert(to.get("host", "#{host}"), fixed), _insert(to.get("path", "/#{path}"), fixed)
    query = to.get("query", "#{query}")
    asks = [f"http-request set-var(txn.{prefix}h) req.hdr(host),host_only{when}"]
    tail = ""
    if query == "#{query}":
        some = f"{when} {{ query -m found }}" if when else " if { query -m found }"
        asks.append(f"http-request set-var-fmt(txn.{prefix}q) '?%[query]'{some}")
        tail = f"%[var(txn.{prefix}q)]"
    elif query:
        tail = "?" + _insert(query, fixed)
    status = action.status or 301
    location = quote(f"{protocol}://{host}:{port}{path}{tail}")
    return [*asks, f"{own_answer(status, context.keep)} hdr Location {location}{when}"]


def _insert(template: str, fixed: Mapping[str, str]) -> str:
    """A template of AWS (``/v2/#{path}``) as a log-format string."""
    out = literal(template)
    if out.startswith("/#{path}"):
        out = "%[path]" + out.removeprefix("/#{path}")
    for key, value in {**fixed, "#{path}": "%[path,bytes(1)]", "#{query}": "%[query]"}.items():
        out = out.replace(key, value)
    return out
