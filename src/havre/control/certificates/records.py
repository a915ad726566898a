"""Certificates with their keys, and who uses them: how services meet over certificates, in the store.

Who has a certificate (ACM, IAM) writes its key pair; who presents it (a listener, a domain name) says so by ``hold`` in
the transaction in which it begins or ends to. So a certificate in use cannot be deleted, and a new one is presented at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource
from havre.store.ports import Reader, Transaction


class KeyPair(msgspec.Struct, frozen=True):
    """PEM texts. ``certificate`` is "" while it is not issued, or not valid any more by its owner's word. ``names``: the
    host names that it is for, lower case, with wildcards. ``algorithm``: RSA_2048, EC_prime256v1, …"""

    certificate: str = ""
    chain: str = ""
    key: str = ""
    names: tuple[str, ...] = ()
    algorithm: str = ""

    def __repr__(self) -> str:
        return f"KeyPair(names={self.names!r}, algorithm={self.algorithm!r}, key=<hidden>)"

    @property
    def bundle(self) -> str:
        """Key, certificate and chain in one text, as servers read it."""
        return "".join(part.strip() + "\n" for part in (self.key, self.certificate, self.chain) if part)


class Use(msgspec.Struct, frozen=True):
    """``holder`` presents the certificate (the ARN of a listener); ``by`` is the resource that its owner shows for it (the
    ARN of the load balancer)."""

    certificate: str
    holder: str
    by: str


KeyPairR = Resource[KeyPair, NoStatus]
KEY_PAIR: Kind[KeyPair, NoStatus] = Kind("tls.key-pair", KeyPair, NoStatus, {"arn": lambda r: r.meta.arn})
USE: Kind[Use, NoStatus] = Kind(
    "tls.use", Use, NoStatus, {"certificate": lambda r: r.spec.certificate, "holder": lambda r: r.spec.holder}
)
KINDS = (KEY_PAIR, USE)


def key_pair(reader: Reader, arn: str) -> KeyPairR | None:
    """The key pair of the certificate with this ARN, of whichever service."""
    return reader.first(KEY_PAIR, "arn", arn)


def users(reader: Reader, arn: str) -> list[str]:
    """ARNs of what uses this certificate."""
    return sorted({use.spec.by for use in reader.find(USE, "certificate", arn)})


def held(reader: Reader, holder: str) -> set[str]:
    """ARNs of the certificates that a holder presents."""
    return {use.spec.certificate for use in reader.find(USE, "holder", holder)}


def hold(tx: Transaction, holder: str, by: str, certificates: Iterable[str]) -> None:
    """From now on the holder presents these certificates and no others; none when it is given up."""
    wanted = set(certificates)
    for use in tx.find(USE, "holder", holder):
        if use.spec.certificate in wanted and use.spec.by == by:
            wanted.discard(use.spec.certificate)
        else:
            tx.remove(use)
    for arn in sorted(wanted):
        name = hashlib.sha256(f"{holder} {arn}".encode()).hexdigest()[:40]
        tx.create(USE, account="", region="", name=name, arn="", spec=Use(arn, holder, by), status=NoStatus())
