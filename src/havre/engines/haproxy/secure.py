"""TLS of listeners as HAProxy's words: certificates by SNI, what each policy allows, ALPN. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from havre.engines.haproxy.layout import Frontend
from havre.engines.haproxy.rules import Keep
from havre.engines.haproxy.text import Unsafe
from havre.kernel.workload import Balancer, BalancerListener, BalancerTls

TLS_HEADERS = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled"
TLS_LINES = (
    "http-request set-header X-Amzn-Tls-Version %[ssl_fc_protocol]",
    "http-request set-header X-Amzn-Tls-Cipher-Suite %[ssl_fc_cipher]",
)
VERSIONS = {"TLSv1": "TLSv1.0", "TLSv1.1": "TLSv1.1", "TLSv1.2": "TLSv1.2", "TLSv1.3": "TLSv1.3"}
_CIPHER = re.compile(r"[A-Z0-9_-]{1,64}")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def bind_options(front: Frontend, keep: Keep) -> str:
    """What stands behind ``bind address:port``; "" for a listener without TLS.

    What is asked for without a name that a certificate has gets the first listener's default certificate, under its
    policy. Where listeners share an address each certificate brings the policy of its own listener along.
    """
    secure = [(b, each) for b, each in front.listeners if each.protocol == "HTTPS" and each.certificates]
    if not secure:
        return ""
    balancer, first = secure[0]
    if len(secure) == 1:
        given = " ".join(f"crt {keep('pem', pem.encode())}" for pem in first.certificates)
    else:
        lines = [
            f"{_file(keep('pem', pem.encode()))} [{options(b, each.tls)}]\n"
            for b, each in secure
            for pem in each.certificates
        ]
        given = f"crt-list {keep('list', ''.join(lines).encode())}"
    return f" ssl {given} {options(balancer, first.tls)}"


def _file(kept: str) -> str:
    """Its bare name: a list is not quoted, and looks where ``crt-base`` says."""
    return kept.rpartition("/")[2].rstrip("'")


def options(balancer: Balancer, tls: BalancerTls) -> str:
    """Versions, ciphers and ALPN. Raises Unsafe."""
    oldest, newest = _version(tls.oldest), _version(tls.newest)
    # OpenSSL has the older versions below its first level of security only
    level = 0 if oldest in ("TLSv1.0", "TLSv1.1") else 1
    words = [f"ssl-min-ver {oldest}", f"ssl-max-ver {newest}"]
    if tls.ciphers:
        words.append(f"ciphers {_listed(tls.ciphers)}:@SECLEVEL={level}")
    if tls.suites:
        words.append(f"ciphersuites {_listed(tls.suites)}")
    http2 = balancer.attributes.get("routing.http2.enabled", "true") == "true"
    return " ".join([*words, f"alpn {'h2,http/1.1' if http2 else 'http/1.1'}"])


def _version(given: str) -> str:
    if given not in VERSIONS:
        raise Unsafe(f"the TLS version {given!r} is not one")
    return VERSIONS[given]


def _listed(ciphers: Iterable[str]) -> str:
    for each in ciphers:
        if not _CIPHER.fullmatch(each):
            raise Unsafe(f"the cipher {each!r} is not one")
    return ":".join(ciphers)


def tls_headers(balancers: Sequence[Balancer]) -> list[str]:
    """For requests that a worker hands on to the one that replaced it, which does not see how they were protected."""
    return list(TLS_LINES) if any(b.attributes.get(TLS_HEADERS) == "true" for b in balancers) else []


def certificate_names(listeners: Sequence[BalancerListener], keep: Keep, unknown: str) -> list[str]:
    """Lines that find a balancer by the names of its certificates, where nothing else of the request says which is meant."""
    exact: dict[str, int] = {}
    wild: dict[str, int] = {}
    for index, listener in enumerate(listeners):
        for each in listener.names:
            if _HOST.fullmatch(each):  # a certificate that somebody brought may have anything in it
                (wild if each.startswith("*.") else exact).setdefault(each.removeprefix("*"), index)
    lines = []
    for found, how in ((exact, "map_str"), (wild, "map_end")):
        if found:
            content = "".join(f"{host} {index}\n" for host, index in found.items())
            file = keep("map", content.encode())
            lines.append(f"http-request set-var(txn.lb) req.hdr(host),host_only,lower,{how}({file}) if {unknown}")
    return lines
