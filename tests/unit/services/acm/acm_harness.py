"""A gateway with ACM, whose reconciler runs beside it, and certificates to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from tests.running_targets import Targets

from havre.control.certificates import records
from havre.control.certificates.authority import Authority
from havre.control.operation import Operations, Service
from havre.services import acm

NAME = "acm.certificate"


class Acm(Targets):
    def __init__(self, state: Path) -> None:
        self.authority = Authority(state, "test")
        self.told: list[dict[str, Any]] = []
        """Events that EventBridge got."""
        shared = Service("certificates", {}, records.KINDS)
        super().__init__(
            [acm.service(), self._events(), shared], lambda deps: acm.reconcilers(deps, self.authority), auth="open"
        )
        self.client = self.running.client("acm", parameter_validation=False)

    def _events(self) -> Service:
        ops = Operations()

        @ops("PutEvents")
        async def put_events(call: Any, request: Any) -> Any:
            self.told += [dict(entry) for entry in request["Entries"]]
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}

        return Service("events", ops.all)

    @property
    def now(self) -> float:
        return self.running.world.now()

    def request(self, domain: str = "www.example.com", **more: Any) -> str:
        return str(self.client.request_certificate(DomainName=domain, ValidationMethod="DNS", **more)["CertificateArn"])

    def described(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.describe_certificate(CertificateArn=arn)["Certificate"]
        return found

    def issued(self, domain: str = "www.example.com", **more: Any) -> str:
        arn = self.request(domain, KeyAlgorithm="EC_prime256v1", **more)
        self.until(lambda: self.described(arn)["Status"] == "ISSUED", "the certificate")
        return arn

    def to_import(self, *names: str, algorithm: str = "EC_prime256v1") -> dict[str, bytes]:
        """Certificate, PrivateKey and CertificateChain for ImportCertificate."""
        pair = self.authority.issue(names or ("own.example.com",), algorithm, self.now)
        made = {"Certificate": pair.certificate, "PrivateKey": pair.key, "CertificateChain": pair.chain}
        return {member: text.encode() for member, text in made.items()}

    def use(self, arn: str, holder: str = "listener", by: str = "balancer", *, over: bool = False) -> None:
        """As a listener of another service begins, and is over with, presenting this certificate."""
        given = () if over else (arn,)
        self.running.wait(self.running.store.transact(lambda tx: records.hold(tx, holder, by, given)))

    def pair(self, arn: str) -> records.KeyPair:
        found = records.key_pair(self.running.store, arn)
        assert found is not None
        return found.spec

    def later(self, seconds: float) -> None:
        """Set the clock, and let the reconciler look at it."""
        self.running.offset += seconds
        for key in self.running.store.list(acm_kind()):
            self.running.loop.call_soon_threadsafe(self.runner.wake, NAME, key.key)


def acm_kind() -> Any:
    from havre.services.acm.resources import CERTIFICATE

    return CERTIFICATE


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and message of the error that a client method raises."""
    try:
        call(**arguments)
    except ClientError as error:
        told = error.response["Error"]
        return str(told["Code"]), str(told.get("Message") or error.response.get("message"))
    return "", ""
