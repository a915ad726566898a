"""The certificates of this installation's own endpoint: one for each host name that it is asked for, made when it is."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable

from havre.control.certificates.authority import DAYS, Authority

ALGORITHM = "EC_prime256v1"
MOST = 256
"""Host names that are remembered at a time."""
FRESH = (DAYS - 45) * 86400.0
"""Seconds after which a certificate is made anew."""
_NAME = re.compile(r"([a-z0-9_-]{1,63}\.){0,8}localhost")


class OwnTls:
    """``names`` are for every certificate: the addresses of the endpoint. Names below ``.localhost`` are its own, too."""

    def __init__(self, authority: Authority, names: tuple[str, ...], now: Callable[[], float]) -> None:
        self._authority, self._names, self._now = authority, names, now
        self._made: dict[str, tuple[ssl.SSLContext, float]] = {}
        self.context = self._fresh("")
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del context
        connection.context = self._for((name or "").lower())

    def _for(self, name: str) -> ssl.SSLContext:
        """Of a name that is not its own, it has the certificate of its addresses."""
        name = name if _NAME.fullmatch(name) and name not in self._names else ""
        made = self._made.get(name)
        if made is None or made[1] + FRESH < self._now():
            if len(self._made) >= MOST:
                self._made.clear()
            made = self._made[name] = (self._fresh(name), self._now())
        return made[0]

    def _fresh(self, name: str) -> ssl.SSLContext:
        names = (*((name,) if name else ()), *self._names)
        bundle = self._authority.issue(names, ALGORITHM, self._now()).bundle
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        handle = os.memfd_create("certificate", os.MFD_CLOEXEC)  # OpenSSL reads files; the key is in none
        try:
            os.write(handle, bundle.encode())
            context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
        return context
