"""Reads certificates and keys that users bring: what is in them, and whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from havre.control.certificates.records import KeyPair

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

RSA_SIZES = (1024, 2048, 3072, 4096)
CURVES = {"secp256r1": "prime256v1", "secp384r1": "secp384r1", "secp521r1": "secp521r1"}
KEY_USAGES = {
    "digital_signature": "DIGITAL_SIGNATURE",
    "content_commitment": "NON_REPUDIATION",
    "key_encipherment": "KEY_ENCIPHERMENT",
    "data_encipherment": "DATA_ENCIPHERMENT",
    "key_agreement": "KEY_AGREEMENT",
    "key_cert_sign": "CERTIFICATE_SIGNING",
    "crl_sign": "CRL_SIGNING",
}
EXTENDED_USAGES = {
    "1.3.6.1.5.5.7.3.1": "TLS_WEB_SERVER_AUTHENTICATION",
    "1.3.6.1.5.5.7.3.2": "TLS_WEB_CLIENT_AUTHENTICATION",
    "1.3.6.1.5.5.7.3.3": "CODE_SIGNING",
    "1.3.6.1.5.5.7.3.4": "EMAIL_PROTECTION",
    "1.3.6.1.5.5.7.3.8": "TIME_STAMPING",
    "1.3.6.1.5.5.7.3.9": "OCSP_SIGNING",
    "1.3.6.1.5.5.7.3.5": "IPSEC_END_SYSTEM",
    "1.3.6.1.5.5.7.3.6": "IPSEC_TUNNEL",
    "1.3.6.1.5.5.7.3.7": "IPSEC_USER",
    "2.5.29.37.0": "ANY",
}
LONGEST_CHAIN = 16


class Facts(msgspec.Struct, frozen=True):
    """What a certificate says, in ACM's words. Times: seconds since the epoch. ``extended``: (name, object identifier).
    ``fingerprint``: SHA-256 of the whole. ``issued_by``: the issuer's (common name, organization)."""

    subject: str
    issuer: str
    serial: str
    not_before: float
    not_after: float
    algorithm: str
    signature: str
    names: tuple[str, ...]
    common_name: str = ""
    usages: tuple[str, ...] = ()
    extended: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    issued_by: tuple[str, str] = ("", "")


class Unreadable(Exception):
    """Something that was brought cannot be used; ``reason`` is fit for a user's eyes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def certificate_of(pem: bytes) -> Certificate:
    """The one certificate. Raises Unreadable."""
    found = _certificates(pem, "Unable to parse certificate. Please ensure the certificate is in PEM format.")
    if len(found) > 1:
        raise Unreadable(
            "The certificate field contains more than one certificate. You can specify only one certificate in this field."
        )
    return found[0]


def chain_of(pem: bytes, most: int = LONGEST_CHAIN) -> list[Certificate]:
    """Its certificates, in order. Raises Unreadable."""
    found = _certificates(
        pem, "Unable to parse certificate chain. Please ensure the certificate chain is in PEM format."
    )
    if len(found) > most:
        raise Unreadable(f"The certificate chain has more than {most} certificates.")
    return found


def _certificates(pem: bytes, words: str) -> list[Certificate]:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(pem)
        for each in found:
            _ = each.subject, each.issuer, each.extensions, each.public_key()
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and others of each version of the library's own
        raise Unreadable(words) from error
    if not found:
        raise Unreadable(words)
    return list(found)


def key_of(pem: bytes) -> Any:
    """The private key. Raises Unreadable, also for a kind or size that AWS takes no certificates of."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except TypeError as error:
        raise Unreadable("The private key must not be encrypted: remove its passphrase.") from error
    except Exception as error:
        raise Unreadable("The private key is not in PEM format or is not valid.") from error
    algorithm_of(key.public_key())
    return key


def algorithm_of(public: Any) -> str:
    """RSA_2048, EC_prime256v1 and so on. Raises Unreadable for others."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size in RSA_SIZES:
            return f"RSA_{public.key_size}"
        sizes = ", ".join(f"{size}-bit" for size in RSA_SIZES[:-1])
        raise Unreadable(f"The private key is not supported. Only RSA {sizes} and {RSA_SIZES[-1]}-bit are allowed.")
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES:
        return f"EC_{CURVES[public.curve.name]}"
    raise Unreadable("The private key is not supported. Only RSA and ECDSA (P-256, P-384, P-521) keys are allowed.")


def facts(certificate: Certificate) -> Facts:
    """Raises Unreadable for a key of a kind that AWS does not take."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    names = _alternative_names(certificate) or tuple(common[:1])
    serial = f"{certificate.serial_number:x}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    return Facts(
        subject=certificate.subject.rfc4514_string(),
        issuer=_issuer(certificate),
        serial=":".join(serial[i : i + 2] for i in range(0, len(serial), 2)),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        algorithm=algorithm_of(certificate.public_key()),
        signature=_signature(certificate),
        names=tuple(dict.fromkeys(name.lower() for name in names)),
        common_name=common[0].lower() if common else "",
        usages=_usages(certificate),
        extended=_extended(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        issued_by=_issued_by(certificate),
    )


def _alternative_names(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = tuple(str(each) for each in found.get_values_for_type(x509.IPAddress))
    return tuple(found.get_values_for_type(x509.DNSName)) + addresses


def _issuer(certificate: Certificate) -> str:
    """As ACM names it: by its organization, or its common name."""
    common, organization = _issued_by(certificate)
    return organization or common or certificate.issuer.rfc4514_string()


def _issued_by(certificate: Certificate) -> tuple[str, str]:
    from cryptography.x509.oid import NameOID

    told = (certificate.issuer.get_attributes_for_oid(o) for o in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME))
    common, organization = (str(each[0].value) if each else "" for each in told)
    return common, organization


def _signature(certificate: Certificate) -> str:
    """SHA256WITHRSA and the like."""
    from cryptography.hazmat.primitives.asymmetric import ec

    algorithm = certificate.signature_hash_algorithm
    ecdsa = isinstance(certificate.signature_algorithm_parameters, ec.ECDSA)
    return f"{algorithm.name.upper() if algorithm else ''}WITH{'ECDSA' if ecdsa else 'RSA'}"


def _usages(certificate: Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(told for name, told in KEY_USAGES.items() if getattr(found, name))


def _extended(certificate: Certificate) -> tuple[tuple[str, str], ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple((EXTENDED_USAGES.get(each.dotted_string, "CUSTOM"), each.dotted_string) for each in found)


def check(certificate: Certificate, key: Any, chain: Sequence[Certificate], now: float) -> None:
    """Whether the key is the certificate's, the chain certifies it, and it is valid now. Raises Unreadable."""
    if not matches(certificate, key):
        raise Unreadable("The certificate and the private key do not match.")
    for each in (certificate, *chain):
        check_validity(each, now, "certificate" if each is certificate else "certificate chain")
    if not chain and not _issued(certificate, certificate):
        raise Unreadable(
            "Provided certificate is not a valid self signed. Please provide either a valid self-signed certificate or "
            "certificate chain."
        )
    if broken_link(certificate, chain) is not None:
        raise Unreadable("Could not validate the certificate with the certificate chain.")


def matches(certificate: Certificate, key: Any) -> bool:
    """Whether the key is the certificate's."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    how = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return bool(key.public_key().public_bytes(*how) == certificate.public_key().public_bytes(*how))


def check_validity(certificate: Certificate, now: float, what: str) -> None:
    """Raises Unreadable for one that is not valid now."""
    if certificate.not_valid_after_utc.timestamp() < now:
        raise Unreadable(f"The {what} has expired, is not valid.")
    if certificate.not_valid_before_utc.timestamp() > now:
        raise Unreadable(f"The {what} is not in effect yet, is not valid.")


def broken_link(certificate: Certificate, chain: Sequence[Certificate]) -> int | None:
    """The place in the chain of the first certificate that does not certify the one before it; None when all do."""
    for index, (subject, issuer) in enumerate(zip((certificate, *chain), chain, strict=False)):
        if not _issued(subject, issuer):
            return index
    return None


def _issued(subject: Certificate, issuer: Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except Exception:  # InvalidSignature, ValueError (other names), TypeError (a kind of key that cannot sign)
        return False
    return True


def texts(certificate: Certificate, chain: Sequence[Certificate], key: Any) -> tuple[str, str, str]:
    """Certificate, chain and key as PEM: what was brought, without what stood around it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    own = certificate.public_bytes(Encoding.PEM).decode()
    others = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)
    return own, others, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def encrypted(key: str, passphrase: bytes) -> str:
    """The key's PEM text, to be read with the passphrase only."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    loaded = load_pem_private_key(key.encode(), None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)).decode()


def weakness(pair: KeyPair) -> str:
    """Why servers refuse to present it, in words ("" when they do not): OpenSSL asks for 112 bits of security."""
    try:
        found = [certificate_of(pair.certificate.encode()), *(chain_of(pair.chain.encode()) if pair.chain else ())]
        algorithms = [algorithm_of(each.public_key()) for each in found]
    except Unreadable as refusal:
        return refusal.reason
    if "RSA_1024" in algorithms:
        return "An RSA key of 1024 bits is too small."
    for each in found:
        how = each.signature_hash_algorithm
        if each.issuer != each.subject and how is not None and how.digest_size < 28:
            return f"A signature with {how.name.upper()} is too weak."
    return ""


def pem_of(certificates: Sequence[Certificate]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def revocations_of(pem: bytes) -> tuple[str, int]:
    """(the list's PEM text, how many entries it has). Raises Unreadable."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_crl(pem)
        return found.public_bytes(Encoding.PEM).decode(), len(found)
    except Exception as error:
        raise Unreadable("Unable to parse the list of revocations. Please ensure that it is in PEM format.") from error
