"""The whole configuration of the proxy, as text. Pure: the same balancers give the same text."""

from __future__ import annotations

import hashlib

import msgspec

from havre.engines.haproxy.layout import SHARED, Frontend
from havre.engines.haproxy.plan import ADMIN, Plan, Rendered
from havre.engines.haproxy.pools import backend_lines
from havre.engines.haproxy.rules import (
    OWN_HEADERS,
    Context,
    Keep,
    conditions,
    header_name,
    listener_lines,
    own_answer,
    page,
    single_pool,
)
from havre.engines.haproxy.secure import bind_options, certificate_names, client_lines, tls_headers
from havre.engines.haproxy.text import literal, name, quote
from havre.kernel.balancer import Balancer, BalancerListener

POOL = "use_backend %[var(txn.pool)]"


def render(plan: Plan) -> Rendered:
    """Raises Unsafe for a value that no configuration can carry."""
    files: dict[str, bytes] = {}

    def keep(suffix: str, content: bytes) -> str:
        file = f"{hashlib.sha256(content).hexdigest()[:32]}.{suffix}"
        files[file] = content
        return quote(str(plan.directory / file))

    head = _head(plan, keep)
    fronts = [line for front in plan.frontends for line in _frontend(front, keep, again=bool(plan.spaces))]
    bodies = []
    for filled in (True, False):
        pools = [
            line
            for balancer in plan.balancers
            for pool in balancer.pools
            for line in backend_lines(plan, balancer, pool, keep, filled=filled)
        ]
        bodies.append("\n".join([*head, *fronts, *pools, ""]))
    return Rendered(bodies[0], bodies[1], files)


def _head(plan: Plan, keep: Keep) -> list[str]:
    longest = max((b.idle_timeout for b in plan.balancers), default=60)
    refused = page(502).decode()
    raw = (
        "HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\nCache-Control: no-cache\r\n"
        f"Content-Length: {len(refused)}\r\nConnection: close\r\n\r\n{refused}"
    )
    own = [
        f"  http-error status {code} content-type text/html file {keep('html', page(code))} {OWN_HEADERS}"
        for code in (400, 408, 500, 502, 504)
    ]
    return [
        "global",
        f"  stats socket unix@{ADMIN} mode 600 level admin expose-fd listeners",
        f"  nbthread {plan.threads}",
        "  tune.bufsize 16384",  # a request that may be sent again is copied with its whole buffer
        "  tune.http.maxhdr 256",
        "  hard-stop-after 1h",
        "  ssl-default-bind-options ssl-min-ver TLSv1.2",
        f"  crt-base {quote(str(plan.directory))}",
        "defaults",
        "  mode http",
        "  timeout connect 3s",
        f"  timeout client {_ms(longest)}",
        f"  timeout server {_ms(longest)}",
        "  option http-keep-alive",
        "  option splice-auto",
        "  option idle-close-on-response",  # a reload never closes a connection that a client is about to use
        "  option redispatch 1",
        "  retries 3",
        *own,
        f"  errorfile 503 {keep('http', raw.encode())}",  # the proxy's 503 is a refused connection, AWS calls it 502
        "",
    ]


def _frontend(front: Frontend, keep: Keep, *, again: bool) -> list[str]:
    """``again``: see _again."""
    balancer, listener = front.listeners[0]
    title = name("f", front.id)
    lines = [f"frontend {title}"]
    secure = bind_options(front, keep)
    for bind in front.binds:
        namespace = f" namespace {quote(bind.namespace)}" if bind.namespace else ""
        private = "" if bind.port else " mode 600"
        lines.append(f"  bind {bind.place}{namespace}{private}{secure}")
    idle = _ms(max(b.idle_timeout for b, _ in front.listeners))
    lines += [f"  timeout client {idle}", f"  timeout http-request {idle}", f"  timeout http-keep-alive {idle}"]
    if listener.protocol not in ("HTTP", "HTTPS"):
        return [*lines, "  mode tcp", f"  default_backend {name('p', single_pool(listener))}", ""]
    behind: list[str] = []
    lines += [f"  {line}" for line in [*client_lines(listener), *_answers(front)]]
    if again:
        first, behind = _again(title)
        lines += [f"  {line} if {{ stopping }} {{ ssl_fc }}" for line in tls_headers([b for b, _ in front.listeners])]
        lines += first
    if len(front.listeners) > 1:
        lines += [f"  {line}" for line in _shared(front, keep)]
        return [*lines, "", *behind]
    if any(bind.address == SHARED for bind in front.binds):
        lines.append(f"  {own_answer(404, keep)} if {{ dst {SHARED} }} {_of_another(balancer)}")
        lines += [f"  {line}" for line in _let_in(listener, f"{{ dst {SHARED} }}")]
    if single_pool(listener):
        lines += [f"  {line}" for line in _way(front)]
        lines.append(f"  default_backend {name('p', single_pool(listener))}")
    else:
        context = Context("", keep, port=listener.port, secure=bool(secure))
        lines += [f"  {line}" for line in [*listener_lines(listener, context), *_way(front), POOL]]
    return [*lines, "", *behind]


def _answers(front: Frontend) -> list[str]:
    """What a listener's answers have, and have not, whoever they are of."""
    lines = []
    for index, (_, listener) in enumerate(front.listeners):
        mine = f" if {{ var(txn.lb) -m str {index} }}" if len(front.listeners) > 1 else ""
        lines += [
            f"http-after-response set-header {header_name(n)} {quote(literal(v))}{mine}" for n, v in listener.headers
        ]
        if listener.nameless:
            lines.append(f"http-after-response del-header Server{mine}")
    return lines


def _again(title: str) -> tuple[list[str], list[str]]:
    """(lines of the frontend, a backend). A worker that a reload has replaced closes its network namespaces at once and
    reaches no target in them any more; but clients may still send requests over connections that they keep. It hands those
    on to the worker that replaced it, which looks at them as if they had come there."""
    path = f"unix@{title}.sock"
    front = [
        f"  bind {path} mode 600 accept-proxy",
        "  http-request allow if { stopping }",
        f"  use_backend again_{title} if {{ stopping }}",
    ]
    return front, [f"backend again_{title}", f"  server new {path} send-proxy-v2", ""]


def _of_another(balancer: Balancer) -> str:
    """The request names another balancer, which another instance on this machine may have."""
    domain = quote(balancer.dns_name.partition(".")[2])
    own = quote(balancer.dns_name)
    return f"{{ req.hdr(host),host_only -m end -i -- {domain} }} !{{ req.hdr(host),host_only -m end -i -- {own} }}"


def _let_in(listener: BalancerListener, when: str) -> list[str]:
    """Nobody else gets an answer, or so much as a refusal: as behind a packet filter."""
    if listener.clients is None or "0.0.0.0/0" in listener.clients:
        return []
    let = "".join(f" !{{ src -- {quote(cidr)} }}" for cidr in listener.clients)
    return [f"http-request silent-drop if {when}{let}"]


def _way(front: Frontend) -> list[str]:
    """By which way a request came: the headers that are the same for a whole listener."""
    port, secure = front.listeners[0][1].port, front.listeners[0][1].protocol == "HTTPS"
    lines = [
        f"http-request set-header X-Forwarded-Proto {'https' if secure else 'http'}",
        f"http-request set-header X-Forwarded-Port {port}",
    ]
    if port in (80, 443):
        return lines
    for index, (balancer, _) in enumerate(front.listeners):
        if balancer.attributes.get("routing.http.preserve_host_header.enabled") != "true":
            mine = f"{{ var(txn.lb) -m str {index} }} " if len(front.listeners) > 1 else ""
            lines.append(
                f"http-request set-header Host '%[req.hdr(host)]:{port}' if {mine}!{{ req.hdr(host) -m sub : }}"
            )
    return lines


def _shared(front: Frontend, keep: Keep) -> list[str]:
    """By the Host header to a balancer: its DNS name first, then the host names that its rules ask for, then those of its
    certificates."""
    names = "".join(f"{b.dns_name.lower()} {i}\n" for i, (b, _) in enumerate(front.listeners))
    hosts = keep("map", names.encode())
    lines = [f"http-request set-var(txn.lb) req.hdr(host),host_only,lower,map_str({hosts})"]
    unknown = "!{ var(txn.lb) -m found }"
    for index, (_, listener) in enumerate(front.listeners):
        for number, rule in enumerate(listener.rules):
            asked = [c for c in rule.conditions if c.field == "host-header"]
            if asked:
                acls, holds = conditions(f"h{index}x{number}", asked)
                lines += [*acls, f"http-request set-var(txn.lb) str({index}) if {unknown} {holds}"]
    lines += certificate_names([listener for _, listener in front.listeners], keep, unknown)
    lines.append(f"{own_answer(404, keep)} if {unknown}")
    for index, (_, listener) in enumerate(front.listeners):
        lines += _let_in(listener, f"{{ var(txn.lb) -m str {index} }}")
    for index, (_, listener) in enumerate(front.listeners):
        context = Context(f"l{index}", keep, f"{{ var(txn.lb) -m str {index} }}", listener.protocol == "HTTPS")
        lines += listener_lines(listener, msgspec.structs.replace(context, port=listener.port))
    return [*lines, *_way(front), POOL]


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
