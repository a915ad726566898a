"""The gateway as function URLs and HTTP APIs need it."""

from __future__ import annotations

from collections.abc import Mapping

from havre.control.operation import Principal
from havre.core.http_events import Asked
from havre.gateway.app import Gateway
from havre.gateway.sigv4 import Canonical


class SignedGate:
    """``control.gate.Gate``. ``service`` is the one that signatures are for: ``lambda``, ``execute-api``."""

    def __init__(self, gateway: Gateway, service: str) -> None:
        self._gateway = gateway
        self._service = service

    def sender(self, asked: Asked) -> Principal:
        headers: dict[str, str] = {}
        for name, value in asked.headers:
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        canonical = Canonical(asked.method, asked.path, asked.query, headers)
        return self._gateway.sender(canonical, asked.body, self._service)

    def authorize(
        self, principal: Principal, region: str, action: str, arn: str, conditions: Mapping[str, str]
    ) -> None:
        self._gateway.authorize(principal, region, action, (arn,), lambda: conditions)
