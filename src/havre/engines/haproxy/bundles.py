"""Whether certificates can be presented at all: one that OpenSSL refuses would stop the whole proxy from being reloaded."""

from __future__ import annotations

import hashlib
import os

from havre.kernel.balancer import Balancer, BalancerMutual

_known: dict[bytes, str] = {}
MOST_KNOWN = 4096


def unpresentable(balancer: Balancer) -> str:
    """Why a listener of this balancer cannot present its certificates, "" when each can."""
    for listener in balancer.listeners:
        if listener.protocol == "HTTPS" and not listener.certificates:
            return f"the listener at port {listener.port} has no certificate"
        for reason in (*map(_why_not, listener.certificates), _distrust(listener.mutual)):
            if reason:
                return f"the listener at port {listener.port}: {reason}"
    return ""


def _distrust(mutual: BalancerMutual | None) -> str:
    """Why clients cannot be verified by these authorities."""
    if mutual is None or mutual.mode != "verify":
        return ""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=mutual.authorities)
    except (ssl.SSLError, ValueError) as error:
        return f"its trust store cannot be used: {error}"
    return ""


def _why_not(bundle: str) -> str:
    digest = hashlib.sha256(bundle.encode()).digest()  # the text has a key in it
    if digest not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[digest] = _tried(bundle)
    return _known[digest]


def _tried(bundle: str) -> str:
    """OpenSSL reads it from memory: it is not written anywhere."""
    import ssl

    handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(handle, bundle.encode())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"/proc/self/fd/{handle}")
    except (ssl.SSLError, ValueError) as error:
        return f"a certificate cannot be presented: {error}"
    finally:
        os.close(handle)
    return ""
