"""What this installation's authority issues, read back; and what users bring, checked."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from havre.control.certificates import reading
from havre.control.certificates.authority import Authority
from havre.control.certificates.reading import Unreadable

NOW = 1_900_000_000.0


def signed(name: str, key: Any, by: Any = None, issuer: str = "", days: tuple[int, int] = (-1, 30)) -> x509.Certificate:
    """Self-signed unless ``by`` and ``issuer`` are given; valid from and until so many days from NOW."""
    begin = datetime.fromtimestamp(NOW, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)]))
        .public_key(key.public_key())
        .serial_number(0x1234)
        .not_valid_before(begin + timedelta(days=days[0]))
        .not_valid_after(begin + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    algorithm = None if isinstance(by or key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(by or key, algorithm)


def pem(thing: Any) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(Encoding.PEM)
    return bytes(thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP384R1())


def test_the_authority_is_made_once_and_its_key_is_for_its_owner_only(tmp_path: Path) -> None:
    first = Authority(tmp_path, "one")
    text = first.certificate(NOW)
    assert Authority(tmp_path, "one").certificate(NOW + 1000) == text
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca.pem").read_text() == text and "PRIVATE" not in text
    (tmp_path / "ca.pem").unlink()
    Authority(tmp_path, "one").certificate(NOW)
    assert (tmp_path / "ca.pem").read_text() == text


@pytest.mark.parametrize("algorithm", ["RSA_2048", "EC_prime256v1", "EC_secp384r1"])
def test_what_it_issues_is_a_valid_chain_for_these_names(tmp_path: Path, algorithm: str) -> None:
    authority = Authority(tmp_path, "one")
    pair = authority.issue(["www.example.com", "*.example.org"], algorithm, NOW)
    own = reading.certificate_of(pair.certificate.encode())
    reading.check(own, reading.key_of(pair.key.encode()), reading.chain_of(pair.chain.encode()), NOW)
    facts = reading.facts(own)
    assert facts.names == ("www.example.com", "*.example.org") and facts.algorithm == algorithm
    assert facts.subject == "CN=www.example.com" and facts.issuer == "Havre" and facts.signature == "SHA256WITHRSA"
    assert facts.not_after == NOW + 198 * 86400 and facts.not_before < NOW
    assert facts.extended == (("TLS_WEB_SERVER_AUTHENTICATION", "1.3.6.1.5.5.7.3.1"),)
    file = tmp_path / "bundle.pem"
    file.write_text(pair.bundle)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    assert pair.key not in repr(pair)


def test_nothing_that_it_issues_outlives_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "one")
    end = reading.facts(reading.certificate_of(authority.certificate(NOW).encode())).not_after
    issued = authority.issue(["a.example.com"], "EC_prime256v1", end - 86400)
    assert reading.facts(reading.certificate_of(issued.certificate.encode())).not_after == end


def refusal(certificate: Any, key: Any, chain: Any = ()) -> str:
    with pytest.raises(Unreadable) as caught:
        reading.check(certificate, key, list(chain), NOW)
    return caught.value.reason


def test_a_certificate_is_taken_with_its_own_key_and_a_chain_that_certifies_it() -> None:
    root = signed("root", OTHER)
    leaf = signed("a.example.com", KEY, by=OTHER, issuer="root")
    reading.check(leaf, KEY, [root], NOW)
    reading.check(signed("self", KEY), KEY, [], NOW)
    assert "do not match" in refusal(leaf, OTHER, [root])
    assert refusal(leaf, KEY).startswith("Provided certificate is not a valid self signed.")
    assert "Could not validate" in refusal(leaf, KEY, [signed("root", KEY)])
    assert "Could not validate" in refusal(leaf, KEY, [signed("another", OTHER)])
    assert "Could not validate" in refusal(leaf, KEY, [root, leaf])


def test_what_is_not_valid_now_is_refused() -> None:
    assert refusal(signed("a", KEY, days=(-9, -1)), KEY) == "The certificate has expired, is not valid."
    assert refusal(signed("a", KEY, days=(1, 9)), KEY) == "The certificate is not in effect yet, is not valid."
    leaf = signed("a.example.com", KEY, by=OTHER, issuer="root")
    assert "chain has expired" in refusal(leaf, KEY, [signed("root", OTHER, days=(-9, -1))])


def test_what_cannot_be_read_is_refused_with_the_reason() -> None:
    for bad in (b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pem(KEY)):
        with pytest.raises(Unreadable, match="Unable to parse certificate"):
            reading.certificate_of(bad)
    two = pem(signed("a", KEY)) + pem(signed("b", KEY))
    with pytest.raises(Unreadable, match="more than one certificate"):
        reading.certificate_of(two)
    assert len(reading.chain_of(two)) == 2
    with pytest.raises(Unreadable, match="not in PEM format"):
        reading.key_of(b"nothing")
    with pytest.raises(Unreadable, match="encrypted"):
        reading.key_of(reading.encrypted(pem(KEY).decode(), b"passphrase").encode())


def test_only_the_kinds_of_keys_that_aws_takes_are_taken() -> None:
    assert reading.algorithm_of(rsa.generate_private_key(65537, 1024).public_key()) == "RSA_1024"
    assert reading.algorithm_of(ec.generate_private_key(ec.SECP521R1()).public_key()) == "EC_secp521r1"
    for odd in (rsa.generate_private_key(65537, 1536), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(Unreadable, match="not supported"):
            reading.key_of(pem(odd))
    with pytest.raises(Unreadable, match="not supported"):
        reading.key_of(pem(ed25519.Ed25519PrivateKey.generate()))


def test_serials_are_told_in_pairs_of_digits() -> None:
    assert reading.facts(signed("A.Example.com", KEY)).serial == "12:34"
    assert reading.facts(signed("A.Example.com", KEY)).names == ("a.example.com",)
