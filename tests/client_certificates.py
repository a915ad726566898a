"""Certificates of clients, and what revokes them, for tests of mutual TLS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def _name(common: str) -> x509.Name:
    attributes = ((NameOID.COUNTRY_NAME, "US"), (NameOID.ORGANIZATION_NAME, "Client"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


class Clients:
    """An authority of clients. ``certificate`` is its own, as PEM."""

    def __init__(self, name: str = "clients") -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        built = (
            self._begin(self._name, self._key, 1, -1, 3000)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = built.public_bytes(Encoding.PEM)

    def _begin(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int, first: int, last: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(self._now + timedelta(days=first))
            .not_valid_after(self._now + timedelta(days=last))
        )

    def issue(self, path: Path, serial: int = 0x03A5B1, first: int = -1, last: int = 30) -> Path:
        """Key and certificate in one file; valid from and until so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = self._begin(_name(path.stem), key, serial, first, last).sign(self._key, hashes.SHA256())
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + built.public_bytes(Encoding.PEM)
        path.write_bytes(text)
        return path

    def revoke(self, *serials: int) -> bytes:
        """A list of revocations, as PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(self._now - timedelta(days=1))
            .next_update(self._now + timedelta(days=30))
        )
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self._now).build()
            builder = builder.add_revoked_certificate(revoked)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
