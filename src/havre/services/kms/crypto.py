"""What keys do, by their spec: on ``cryptography``, which is loaded when a key is first used.

Symmetric ciphertext is AES-256-GCM: version, account, id of the key, id of its material, nonce, ciphertext and tag. What is
before the nonce, and the encryption context, are authenticated with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from havre.services.kms.errors import bad_ciphertext, invalid
from havre.services.kms.resources import AGREE, ENCRYPT, MAC, SIGN, SYMMETRIC

RSA = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
ECC = {
    "ECC_NIST_P256": ("SECP256R1", "ECDSA_SHA_256"),
    "ECC_NIST_P384": ("SECP384R1", "ECDSA_SHA_384"),
    "ECC_NIST_P521": ("SECP521R1", "ECDSA_SHA_512"),
    "ECC_SECG_P256K1": ("SECP256K1", "ECDSA_SHA_256"),
}
HMAC = {
    "HMAC_224": ("HMAC_SHA_224", 28),
    "HMAC_256": ("HMAC_SHA_256", 32),
    "HMAC_384": ("HMAC_SHA_384", 48),
    "HMAC_512": ("HMAC_SHA_512", 64),
}
"""Spec: its algorithm, and bytes of the material."""
RSA_ENCRYPTION = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
RSA_SIGNING = tuple(f"RSASSA_{how}_SHA_{bits}" for how in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512))
USAGES = {
    SYMMETRIC: (ENCRYPT,),
    **dict.fromkeys(RSA, (ENCRYPT, SIGN)),
    **dict.fromkeys(ECC, (SIGN, AGREE)),
    "ECC_SECG_P256K1": (SIGN,),
    **dict.fromkeys(HMAC, (MAC,)),
}
"""What keys of each spec may be for: the specs that are built."""
MATERIAL_ID = 8
_NONCE, _TAG, _KEY_ID, _ACCOUNT = 12, 16, 36, 12
_HEAD = 1 + _ACCOUNT + _KEY_ID + MATERIAL_ID
_VERSION = b"\x01"


class Blob(NamedTuple):
    """What symmetric ciphertext says of itself."""

    account: str
    key: str
    material: bytes


def make(spec: str) -> bytes:
    """New material. Of RSA it takes a tenth of a second and more: call it in a thread."""
    if spec == SYMMETRIC:
        return secrets.token_bytes(32)
    if spec in HMAC:
        return secrets.token_bytes(HMAC[spec][1])
    return private_der(_generate(spec))


def pair(spec: str) -> tuple[bytes, bytes]:
    """A key pair for data (DER): private and public."""
    made = _generate(spec)
    return private_der(made), public_der(made)


def _generate(spec: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if spec in RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA[spec])
    return ec.generate_private_key(getattr(ec, ECC[spec][0])())


def private_der(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    der: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der


def public_der(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def load(material: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    return load_der_private_key(material, None)


# Symmetric


def encrypt(material: bytes, blob: Blob, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = _VERSION + blob.account.encode() + blob.key.encode() + blob.material
    nonce = secrets.token_bytes(_NONCE)
    return head + nonce + AESGCM(material).encrypt(nonce, plaintext, head + canonical(context))


def decrypt(material: bytes, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
    """Raises ApiError InvalidCiphertextException."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head, nonce, rest = ciphertext[:_HEAD], ciphertext[_HEAD : _HEAD + _NONCE], ciphertext[_HEAD + _NONCE :]
    try:
        return AESGCM(material).decrypt(nonce, rest, head + canonical(context))
    except InvalidTag:
        raise bad_ciphertext() from None


def read(ciphertext: bytes) -> Blob | None:
    """None for what no key here has made."""
    if len(ciphertext) < _HEAD + _NONCE + _TAG or ciphertext[:1] != _VERSION:
        return None
    try:
        account, key = ciphertext[1:13].decode("ascii"), ciphertext[13:49].decode("ascii")
    except UnicodeDecodeError:
        return None
    return Blob(account, key, ciphertext[49:_HEAD])


def canonical(context: Mapping[str, str]) -> bytes:
    """The same bytes for the same context and for no other."""
    parts: list[bytes] = []
    for name in sorted(context):
        for text in (name.encode(), context[name].encode()):
            parts += [len(text).to_bytes(4, "big"), text]
    return b"".join(parts)


# RSA


def rsa_encrypt(material: bytes, spec: str, algorithm: str, plaintext: bytes) -> bytes:
    """Raises ApiError for more than the key takes."""
    size = 20 if algorithm == "RSAES_OAEP_SHA_1" else 32
    most = RSA[spec] // 8 - 2 * size - 2
    if len(plaintext) > most:
        raise invalid(f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes.")
    ciphertext: bytes = load(material).public_key().encrypt(plaintext, _oaep(algorithm))
    return ciphertext


def rsa_decrypt(material: bytes, algorithm: str, ciphertext: bytes) -> bytes:
    """Raises ApiError InvalidCiphertextException."""
    try:
        plaintext: bytes = load(material).decrypt(ciphertext, _oaep(algorithm))
    except ValueError:
        raise bad_ciphertext() from None
    return plaintext


def _oaep(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    digest = hashes.SHA1() if algorithm == "RSAES_OAEP_SHA_1" else hashes.SHA256()  # noqa: S303  as AWS names it
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


# Signatures


def sign(material: bytes, algorithm: str, message: bytes, digested: bool) -> bytes:
    """Raises ApiError for a digest of the wrong length."""
    key, arguments = load(material), _how(algorithm, message, digested)
    signature: bytes = key.sign(message, *arguments)
    return signature


def verify(material: bytes, algorithm: str, message: bytes, signature: bytes, digested: bool) -> bool:
    from cryptography.exceptions import InvalidSignature

    arguments = _how(algorithm, message, digested)
    try:
        load(material).public_key().verify(signature, message, *arguments)
    except InvalidSignature:
        return False
    return True


def _how(algorithm: str, message: bytes, digested: bool) -> tuple[Any, ...]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[-3:]]
    if digested and len(message) != digest.digest_size:
        raise invalid(f"Digest is invalid length for algorithm {algorithm}.")
    hashed: Any = Prehashed(digest) if digested else digest
    if algorithm.startswith("ECDSA"):
        return (ec.ECDSA(hashed),)
    if "PSS" in algorithm:
        return (padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size), hashed)
    return (padding.PKCS1v15(), hashed)


def mac(material: bytes, algorithm: str, message: bytes) -> bytes:
    return hmac.digest(material, message, getattr(hashlib, f"sha{algorithm[-3:]}"))


def agree(material: bytes, public: bytes) -> bytes:
    """The raw shared secret. Raises ApiError for a public key that is not on the key's curve."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        theirs: Any = load_der_public_key(public)
        shared: bytes = load(material).exchange(ec.ECDH(), theirs)
    except (ValueError, TypeError):
        raise invalid("The public key is not valid for the key spec of the KMS key.") from None
    return shared
