"""Signatures of notifications, by a key of this installation, and the certificate to check them with.

The form is AWS's: PKCS #1 v1.5 over the notification's fields, SHA-1 (SignatureVersion 1) or SHA-256 (2). The certificate is
this installation's own, so clients have to be told to trust the host that serves it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.kernel.resource import NoStatus
from havre.services.sns.resources import SIGNER, Signing
from havre.store.ports import Reader, Transaction

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PATH = "/_havre/sns"
NAME = "signer"
BITS = 2048
YEARS = 20
REMEMBERED = 64
"""Signatures."""
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_SIGNED["UnsubscribeConfirmation"] = _SIGNED["SubscriptionConfirmation"]


def to_sign(notification: Mapping[str, Any]) -> bytes:
    """Names and values, a line each, in AWS's order."""
    names = [name for name in _SIGNED[notification["Type"]] if notification.get(name) is not None]
    return "".join(f"{name}\n{notification[name]}\n" for name in names).encode()


class Signer:
    """Makes its key when it first signs; the store keeps it."""

    def __init__(self, deps: ReconcilerDeps) -> None:
        self._deps = deps
        self._key: RSAPrivateKey | None = None
        self._url = ""
        self._recent: dict[tuple[bytes, str, str], str] = {}

    async def sign(self, notification: Mapping[str, Any], version: str) -> dict[str, str]:
        """SignatureVersion, Signature and SigningCertURL. What many subscribers get is signed once."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        there = self._deps.store.get(SIGNER, "", "", NAME) is not None  # a reset takes it
        key = self._key if self._key is not None and there else await self._load()
        text = to_sign(notification)
        known = (hashlib.sha256(text).digest(), version, self._url)
        signature = self._recent.get(known)
        if signature is None:
            how = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 (what SignatureVersion 1 says)
            signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), how)).decode()
            if len(self._recent) >= REMEMBERED:
                del self._recent[next(iter(self._recent))]
            self._recent[known] = signature
        return {"SignatureVersion": version, "Signature": signature, "SigningCertURL": self._url}

    async def _load(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        kept = self._deps.store.get(SIGNER, "", "", NAME)
        if kept is None:
            made = _make(self._deps.site.instance, self._deps.world.now())

            def change(tx: Transaction) -> None:
                if tx.get(SIGNER, "", "", NAME) is None:
                    tx.create(SIGNER, account="", region="", name=NAME, arn="", spec=made, status=NoStatus())

            await self._deps.store.transact(change)
            kept = self._deps.store.get(SIGNER, "", "", NAME)
        assert kept is not None
        key = load_pem_private_key(kept.spec.key.encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key, self._url = key, f"{self._deps.site.endpoint}{PATH}/{file_name(kept.spec)}"
        return key


def file_name(signing: Signing) -> str:
    return f"SimpleNotificationService-{hashlib.sha256(signing.certificate.encode()).hexdigest()[:32]}.pem"


def certificate(reader: Reader, path: str) -> bytes | None:
    """What is at this path below ``/_havre/sns``; None for nothing."""
    kept = reader.get(SIGNER, "", "", NAME)
    if kept is None or path != f"{PATH}/{file_name(kept.spec)}":
        return None
    return kept.spec.certificate.encode()


async def serve(reader: Reader, scope: Mapping[str, Any], send: Any) -> None:
    """As an ASGI application: the certificate, for everyone."""
    found = certificate(reader, scope["path"]) if scope["method"] in ("GET", "HEAD") else None
    body = found or b"there is nothing here\n"
    kind = b"application/x-pem-file" if found is not None else b"text/plain"
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200 if found is not None else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _make(instance: str, now: float) -> Signing:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(65537, BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"SNS of the Havre {instance}")])
    begin = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form, none = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Signing(key.private_bytes(pem, form, none).decode(), built.public_bytes(pem).decode())
