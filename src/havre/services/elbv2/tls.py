"""TLS of listeners: AWS's security policies, as names of OpenSSL's, and which certificates a listener may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from havre.control.certificates import records
from havre.control.certificates.reading import weakness
from havre.control.certificates.records import KeyPairR
from havre.control.operation import Call
from havre.kernel.errors import ApiError, not_built
from havre.services.elbv2.errors import validation
from havre.services.elbv2.resources import ListenerR, Mutual
from havre.store.ports import Reader

DEFAULT = "ELBSecurityPolicy-2016-08"
MOST_CERTIFICATES = 25
"""Of a load balancer, without the default ones."""
_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_ORDER = (
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "gcm"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "gcm"),
    ("ECDHE-ECDSA-AES128-SHA256", "sha2"),
    ("ECDHE-RSA-AES128-SHA256", "sha2"),
    ("ECDHE-ECDSA-AES128-SHA", "sha"),
    ("ECDHE-RSA-AES128-SHA", "sha"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "gcm"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "gcm"),
    ("ECDHE-ECDSA-AES256-SHA384", "sha2"),
    ("ECDHE-RSA-AES256-SHA384", "sha2"),
    ("ECDHE-RSA-AES256-SHA", "sha"),
    ("ECDHE-ECDSA-AES256-SHA", "sha"),
    ("AES128-GCM-SHA256", "rsa2"),
    ("AES128-SHA256", "rsa2"),
    ("AES128-SHA", "rsa"),
    ("AES256-GCM-SHA384", "rsa2"),
    ("AES256-SHA256", "rsa2"),
    ("AES256-SHA", "rsa"),
)
"""All ciphers below TLS 1.3 in AWS's order of preference, with the family that policies take or leave."""
_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_ALL = "gcm sha2 sha rsa2 rsa"


class Policy(msgspec.Struct, frozen=True):
    """``protocols`` oldest first; ``suites`` are TLS 1.3's."""

    protocols: tuple[str, ...]
    ciphers: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()


def _policy(oldest: str, newest: str, families: str = "") -> Policy:
    wanted = set(families.split())
    versions = _VERSIONS[_VERSIONS.index(oldest) : _VERSIONS.index(newest) + 1]
    ciphers = tuple(cipher for cipher, family in _ORDER if family in wanted)
    return Policy(versions, ciphers, _TLS13 if newest == "TLSv1.3" else ())


POLICIES: Mapping[str, Policy] = {
    "ELBSecurityPolicy-2016-08": _policy("TLSv1", "TLSv1.2", _ALL),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": _policy("TLSv1.3", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06": _policy("TLSv1.2", "TLSv1.3", "gcm"),
    "ELBSecurityPolicy-TLS13-1-2-2021-06": _policy("TLSv1.2", "TLSv1.3", "gcm sha2"),
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06": _policy("TLSv1.2", "TLSv1.3", "gcm sha2 rsa2"),
    "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06": _policy("TLSv1.2", "TLSv1.3", _ALL),
    "ELBSecurityPolicy-TLS13-1-1-2021-06": _policy("TLSv1.1", "TLSv1.3", _ALL),
    "ELBSecurityPolicy-TLS13-1-0-2021-06": _policy("TLSv1", "TLSv1.3", _ALL),
    "ELBSecurityPolicy-TLS-1-2-2017-01": _policy("TLSv1.2", "TLSv1.2", "gcm sha2 rsa2"),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": _policy("TLSv1.2", "TLSv1.2", _ALL),
    "ELBSecurityPolicy-TLS-1-1-2017-01": _policy("TLSv1.1", "TLSv1.2", _ALL),
    "ELBSecurityPolicy-FS-1-2-Res-2020-10": _policy("TLSv1.2", "TLSv1.2", "gcm"),
    "ELBSecurityPolicy-FS-1-2-Res-2019-08": _policy("TLSv1.2", "TLSv1.2", "gcm sha2"),
    "ELBSecurityPolicy-FS-1-2-2019-08": _policy("TLSv1.2", "TLSv1.2", "gcm sha2 sha"),
    "ELBSecurityPolicy-FS-1-1-2019-08": _policy("TLSv1.1", "TLSv1.2", "gcm sha2 sha"),
    "ELBSecurityPolicy-FS-2018-06": _policy("TLSv1", "TLSv1.2", "gcm sha2 sha"),
}


def check_policy(name: str) -> str:
    """The name, or the default one for "". Raises SSLPolicyNotFound; those with FIPS or post-quantum keys are not built."""
    if not name:
        return DEFAULT
    if name not in POLICIES:
        if name.startswith("ELBSecurityPolicy-") and {"FIPS", "PQ", "RFC9151"} & set(name.split("-")):
            raise not_built("elbv2", f"the SSL policy {name}: OpenSSL here has no FIPS module and no post-quantum keys")
        raise ApiError("SSLPolicyNotFound", f"SSL policy '{name}' not found")
    return name


def default_certificate(given: Sequence[Mapping[str, Any]]) -> str:
    """The ARN of the one certificate of a listener. Raises ValidationError, TooManyCertificates."""
    if not given:
        raise validation("A certificate must be specified for HTTPS listeners")
    if len(given) > 1:
        raise ApiError(
            "TooManyCertificates", "Exactly one certificate, the default one, must be specified for a listener"
        )
    (arn,) = arns_of(given)
    return arn


def arns_of(given: Sequence[Mapping[str, Any]]) -> list[str]:
    """Raises ValidationError."""
    if any("IsDefault" in each for each in given):
        raise validation("The IsDefault parameter cannot be specified when you set certificates")
    arns = [each.get("CertificateArn") or "" for each in given]
    if not all(arns):
        raise validation("The ARN of a certificate must be specified")
    return arns


def check_certificate(call: Call, reader: Reader, arn: str) -> KeyPairR:
    """Raises CertificateNotFound, UnsupportedCertificate."""
    found = records.key_pair(reader, arn)
    if found is None or found.meta.account != call.account or found.meta.region not in ("", call.region):
        raise ApiError("CertificateNotFound", f"Certificate '{arn}' not found")
    if not found.spec.certificate or not found.spec.names or weakness(found.spec):
        raise ApiError(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported "
            "key size.",
        )
    return found


def mutual(given: Mapping[str, Any]) -> Mutual | None:
    """None for off. Raises ValidationError."""
    mode = given.get("Mode") or "off"
    if mode not in ("off", "passthrough", "verify"):
        raise validation(f"Mutual authentication mode '{mode}' must be one of '[off, passthrough, verify]'")
    store, advertise = given.get("TrustStoreArn") or "", given.get("AdvertiseTrustStoreCaNames") or "off"
    if mode == "verify" and not store:
        raise validation("A trust store ARN must be specified for the mutual authentication mode 'verify'")
    if mode != "verify" and (store or given.get("IgnoreClientCertificateExpiry") or advertise == "on"):
        raise validation("A trust store can be specified for the mutual authentication mode 'verify' only")
    if mode == "off":
        return None
    return Mutual(mode, store, bool(given.get("IgnoreClientCertificateExpiry")), advertise == "on")


def pairs_of(reader: Reader, listeners: Sequence[ListenerR]) -> dict[str, KeyPairR]:
    """The key pairs that these listeners present, by ARN."""
    arns = {arn for listener in listeners for arn in (listener.spec.certificate, *listener.spec.more_certificates)}
    return {arn: found for arn in sorted(arns - {""}) if (found := records.key_pair(reader, arn)) is not None}
