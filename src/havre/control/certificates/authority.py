"""The certificate authority of this installation: who trusts its certificate trusts what ACM issues here.

Its key is made when it is first needed, lies in the state directory, mode 0600, and never leaves it. ``ca.pem`` beside it is
what clients are told to trust (``curl --cacert``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from havre.control.certificates.reading import CURVES
from havre.control.certificates.records import KeyPair

if TYPE_CHECKING:
    from cryptography import x509

KEY_FILE = "ca.key"
CERTIFICATE_FILE = "ca.pem"
ORGANIZATION = "Havre"
YEARS = 10
DAYS = 198
"""For how long what is issued is valid: as long as with AWS."""
EARLIER = 3600.0
"""Seconds by which validity begins before it is issued: clocks of clients differ."""


class Authority:
    def __init__(self, state: Path, instance: str) -> None:
        self._state, self._instance = state, instance
        self._loaded: tuple[Any, x509.Certificate] | None = None

    @property
    def certificate_file(self) -> Path:
        return self._state / CERTIFICATE_FILE

    def certificate(self, now: float) -> str:
        """The PEM text of its certificate."""
        return _pem(self._load(now)[1])

    def issue(self, names: Sequence[str], algorithm: str, now: float) -> KeyPair:
        """A new key and a certificate for these host names or addresses; takes up to a second for a long RSA key."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        own_key, own = self._load(now)
        key = _new_key(algorithm)
        begin = datetime.fromtimestamp(now - EARLIER, UTC)
        end = min(datetime.fromtimestamp(now, UTC) + timedelta(days=DAYS), own.not_valid_after_utc)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        usage = [ExtendedKeyUsageOID.SERVER_AUTH]
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(own.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(algorithm), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own_key.public_key()), critical=False)
            .sign(own_key, hashes.SHA256())
        )
        return KeyPair(_pem(built), _pem(own), _key_text(key), tuple(names), algorithm)

    def _load(self, now: float) -> tuple[Any, x509.Certificate]:
        """The key and the certificate, made when there are none. Raises ValueError for a damaged file."""
        if self._loaded is not None:
            return self._loaded
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self._state / KEY_FILE
        if not path.exists():
            _place(path, _make(self._instance, now))
        text = path.read_bytes()
        key, certificate = load_pem_private_key(text, None), x509.load_pem_x509_certificate(text)
        if not self.certificate_file.exists():
            _place(self.certificate_file, _pem(certificate).encode(), 0o644)
        self._loaded = key, certificate
        return self._loaded


def _make(instance: str, now: float) -> bytes:
    """A key and the certificate that it signed itself, in one text."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = _new_key("RSA_2048")
    attributes = ((NameOID.ORGANIZATION_NAME, ORGANIZATION), (NameOID.COMMON_NAME, f"Havre {instance} Root CA"))
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    begin = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
    off = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False, **off
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (_key_text(key) + _pem(built)).encode()


def _general(name: str) -> x509.GeneralName:
    """A host name, or an address."""
    import ipaddress

    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _new_key(algorithm: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    kind, _, rest = algorithm.partition("_")
    if kind == "RSA":
        return rsa.generate_private_key(65537, int(rest))
    curve = next(name for name, told in CURVES.items() if told == rest)
    return ec.generate_private_key({"secp256r1": ec.SECP256R1, "secp384r1": ec.SECP384R1}.get(curve, ec.SECP521R1)())


def _key_usage(algorithm: str) -> x509.KeyUsage:
    from cryptography import x509

    off = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"), False
    )
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=algorithm.startswith("RSA"),
        encipher_only=False,
        decipher_only=False,
        **off,
    )


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_text(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _place(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Whole, and not where another process was first: its file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
