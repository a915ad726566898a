"""A target group as a backend: the headers that targets get, stickiness, retries, slots."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from havre.engines.haproxy.plan import Plan
from havre.engines.haproxy.rules import Keep, header_name, own_answer
from havre.engines.haproxy.secure import TLS_HEADERS, TLS_LINES
from havre.engines.haproxy.text import name, quote
from havre.kernel.balancer import Balancer, BalancerPool

ALGORITHMS = {"least_outstanding_requests": "leastconn", "weighted_random": "random(1)"}
FREE = "127.0.0.1:9"
"""Where a free slot points to; it is disabled, so nothing ever goes there."""
_HEX = "bytes(4,4),hex,lower"
_ROOT = f"1-%[date,{_HEX}]-%[rand,{_HEX}]%[rand,{_HEX}]%[rand,{_HEX}]"


def backend_lines(plan: Plan, balancer: Balancer, pool: BalancerPool, keep: Keep, *, filled: bool) -> list[str]:
    """``filled`` False leaves every slot free, to compare structures."""
    if pool.function:
        return _function(plan, balancer, pool)
    idle = f"{round(balancer.idle_timeout * 1000)}ms"
    lines = [f"backend {name('p', pool.id)}", f"  balance {ALGORITHMS.get(pool.algorithm, 'roundrobin')}"]
    lines.append(f"  timeout server {idle}")
    if pool.protocol in ("HTTP", "HTTPS"):
        lines.append(f"  timeout tunnel {idle}")
        lines += [f"  {line}" for line in _http(balancer, pool, keep)]
    else:
        lines.append("  mode tcp")
    suffix = " ssl verify none" if pool.protocol in ("HTTPS", "TLS") else ""
    if pool.version != "HTTP1":
        suffix += " alpn h2" if suffix else " proto h2"
    if pool.slow_start:
        suffix += f" slowstart {round(pool.slow_start * 1000)}ms"
    for slot in plan.slots[pool.id].in_order():
        where = _place(balancer, slot.vpc, plan.spaces)
        if slot.route and filled:
            route = slot.route
            lines.append(f"  server s{slot.number} {route.address}:{route.port} weight {route.weight}{where}{suffix}")
        else:
            lines.append(f"  server s{slot.number} {FREE} disabled{where}{suffix}")
    return [*lines, ""]


def _function(plan: Plan, balancer: Balancer, pool: BalancerPool) -> list[str]:
    """One server, which is always there: it looks up the function by the target group's name."""
    return [
        f"backend {name('p', pool.id)}",
        f"  timeout server {round(balancer.idle_timeout * 1000)}ms",
        f"  http-request set-header X-Havre-Target-Group {quote(pool.function)}",
        *(f"  {line}" for line in [*_forwarded(balancer.attributes), *_trace()]),
        f"  server function unix@{quote(plan.functions)}",
        "",
    ]


def _place(balancer: Balancer, vpc: str, spaces: Mapping[str, tuple[str, int]]) -> str:
    """Out of the balancer's own address inside its VPC, so that security groups see who comes."""
    if not vpc or vpc not in spaces:
        return ""
    source = f" source {balancer.addresses[0][1]}" if vpc == balancer.vpc and balancer.addresses else ""
    return f" namespace {spaces[vpc][0]}{source}"


def _http(balancer: Balancer, pool: BalancerPool, keep: Keep) -> list[str]:
    lines = [
        f"{own_answer(503, keep)} if {{ nbsrv eq 0 }} !{{ stopping }}",  # a worker that stops counts no servers
        "retry-on conn-failure empty-response junk-response",
        "http-request disable-l7-retry unless METH_GET or METH_HEAD or METH_OPTIONS",
        *_forwarded(balancer.attributes),
        *_trace(),
    ]
    return lines + (_sticky(pool) if pool.sticky else [])


def _forwarded(attributes: Mapping[str, str]) -> list[str]:
    lines = []
    if attributes.get("routing.http.drop_invalid_header_fields.enabled") == "true":
        lines.append("http-request del-header '[^-A-Za-z0-9]' -m reg")
    mode = attributes.get("routing.http.xff_header_processing.mode", "append")
    client = "%[src]:%[src_port]" if attributes.get("routing.http.xff_client_port.enabled") == "true" else "%[src]"
    if mode == "append":
        given = "{ req.hdr(x-forwarded-for) -m found }"
        lines.append(f"http-request set-header X-Forwarded-For '%[req.fhdr(x-forwarded-for)], {client}' if {given}")
        lines.append(f"http-request add-header X-Forwarded-For '{client}' unless {given}")
    elif mode == "remove":
        lines.append("http-request del-header X-Forwarded-For")
    if attributes.get(TLS_HEADERS) == "true":
        lines += [f"{line} if {{ ssl_fc }}" for line in TLS_LINES]
    return lines


def _trace() -> list[str]:
    given = "{ req.hdr(x-amzn-trace-id) -m found }"
    return [
        f"http-request set-header X-Amzn-Trace-Id 'Self={_ROOT};%[req.fhdr(x-amzn-trace-id)]' if {given}",
        f"http-request add-header X-Amzn-Trace-Id 'Root={_ROOT}' unless {given}",
    ]


def _sticky(pool: BalancerPool) -> list[str]:
    """The proxy's own cookie names a target by a keyed digest of its address, so it holds over reloads and restarts."""
    cookie = "AWSALBAPP-0" if pool.sticky_cookie else "AWSALB"
    cors = "AWSALBAPP-0CORS" if pool.sticky_cookie else "AWSALBCORS"
    key = hashlib.sha256(f"sticky:{pool.id}".encode()).hexdigest()[:32]
    until = f"Expires=%[date({pool.sticky}),http_date]; Path=/"
    only_cors = f"{{ req.cook({cors}) -m found }} !{{ req.cook({cookie}) -m found }}"
    lines = [
        f"cookie {cookie} insert dynamic maxidle {pool.sticky}s",
        f"dynamic-cookie-key {key}",
        f"http-request add-header Cookie '{cookie}=%[req.cook({cors})]' if {only_cors}",
        f"http-after-response set-var(txn.stick) res.cook({cookie})",
        "http-after-response replace-header Set-Cookie "
        f"'^({cookie})=([^;]*);.*$' '\\1=\\2; {until}' if {{ var(txn.stick) -m found }}",
        f"http-after-response add-header Set-Cookie '{cors}=%[var(txn.stick)]; {until}; SameSite=None'"
        " if { var(txn.stick) -m found }",
    ]
    if pool.sticky_cookie:  # without the application's cookie ours counts for nothing
        unknown = f"unless {{ req.cook({header_name(pool.sticky_cookie)}) -m found }}"
        lines.append(
            f"http-request replace-header Cookie '^(.*){cookie}=[^;]*(.*)$' '\\1{cookie}=_remove_\\2' {unknown}"
        )
    return lines
