"""TLS of listeners as HAProxy's words: certificates by SNI, what each policy allows, ALPN. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from havre.engines.haproxy.layout import Frontend
from havre.engines.haproxy.rules import Keep
from havre.engines.haproxy.text import Unsafe
from havre.kernel.balancer import Balancer, BalancerListener, BalancerTls

TLS_HEADERS = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled"
TLS_LINES = (
    "http-request set-header X-Amzn-Tls-Version %[ssl_fc_protocol]",
    "http-request set-header X-Amzn-Tls-Cipher-Suite %[ssl_fc_cipher]",
)
NO_LIST, EXPIRED = "3", "10"
"""OpenSSL's errors: no list of revocations of this authority is there; the certificate has expired."""
_BEGIN, _END = "-----BEGIN%%20CERTIFICATE-----%%0A", "%%0A-----END%%20CERTIFICATE-----%%0A"
_PEM = f'{_BEGIN}%[ssl_c_der,base64,regsub("(.{{64}})","\\1%0A",g),regsub("%0A$","")]{_END}'
"""URL-encoded PEM; +, = and / stay as they are. A last line that is full has its end from what follows."""
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
    asked = _asked(first, keep) if len(front.listeners) == 1 else ""
    return f" ssl {given} {options(balancer, first.tls)}{asked}"


def _asked(listener: BalancerListener, keep: Keep) -> str:
    """Of certificates that clients show. In passthrough any is taken: that it comes from nobody known does not matter."""
    mutual = listener.mutual
    if mutual is None:
        return ""
    if mutual.mode == "passthrough":
        any_file = keep("pem", listener.certificates[0].encode())
        return f" verify optional ca-file {any_file} ca-ignore-err all crt-ignore-err all no-ca-names"
    words = [" verify required", f"ca-file {keep('ca', mutual.authorities.encode())}"]
    ignored = [EXPIRED] if mutual.expired else []
    if mutual.revocations:
        words.append(f"crl-file {keep('crl', ''.join(mutual.revocations).encode())}")
        ignored.append(NO_LIST)
        words.append(f"ca-ignore-err {NO_LIST}")
    if ignored:
        words.append(f"crt-ignore-err {','.join(ignored)}")
    return " ".join(words if mutual.advertised else [*words, "no-ca-names"])


def client_lines(listener: BalancerListener) -> list[str]:
    """What targets are told of the client's certificate; whatever a client said under those names goes."""
    mutual = listener.mutual
    if mutual is None:
        return []
    lines = ["http-request del-header x-amzn-mtls-clientcert -m beg if { ssl_fc }"]
    if mutual.mode == "passthrough":
        told = {"": _PEM}
    else:
        validity = f"NotBefore={_time('ssl_c_notbefore')};NotAfter={_time('ssl_c_notafter')}"
        told = {"-Serial-Number": "%[ssl_c_serial,hex]", "-Issuer": "%[ssl_c_i_dn(,0,rfc2253)]", "-Leaf": _PEM}
        told |= {"-Subject": "%[ssl_c_s_dn(,0,rfc2253)]", "-Validity": validity}
    shown = "if { ssl_fc } { ssl_c_used }"
    return lines + [f"http-request set-header X-Amzn-Mtls-Clientcert{k} '{v}' {shown}" for k, v in told.items()]


def _time(fetch: str) -> str:
    """YYMMDDhhmmssZ, or with four digits of the year, as AWS writes it."""
    two = "^([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z$"
    four = two.replace("{2}", "{4}", 1)
    rest = r"\1-\2-\3T\4:\5:\6Z"
    return f'%[{fetch},regsub("{two}","20{rest}"),regsub("{four}","{rest}")]'


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
