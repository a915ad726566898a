"""Server certificates: the older way to bring one's own certificate to a load balancer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.certificates import reading
from havre.control.certificates.reading import Unreadable
from havre.control.certificates.records import KEY_PAIR, KeyPair, KeyPairR, users
from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import shown as shown_tags
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import Resource
from havre.services.iam.common import (
    NOTHING,
    QUOTAS,
    arn_of,
    by_path,
    conflict,
    everything,
    exists,
    no_such,
    page,
    path_of,
    quota_left,
    tags_of,
    unique_id,
    without_tags,
)
from havre.services.iam.resources import SERVER_CERTIFICATE, ServerCertificate
from havre.store.ports import Reader, Transaction

ops = Operations()
CertificateR = Resource[ServerCertificate, Any]


def _certificate(store: Reader, account: str, name: str) -> CertificateR:
    found = store.get(SERVER_CERTIFICATE, account, "", name.lower())
    if found is None:
        raise no_such(f"The Server Certificate with name {name} cannot be found.")
    return found


def _pair(store: Reader, found: CertificateR) -> KeyPairR:
    pair = store.get(KEY_PAIR, found.meta.account, "", _pair_name(found.spec.name))
    assert pair is not None
    return pair


def _pair_name(name: str) -> str:
    return f"server-certificate/{name.lower()}"


def _arns(call: Call, request: Request) -> Sequence[str]:
    name = request["ServerCertificateName"]
    found = call.store.get(SERVER_CERTIFICATE, call.account, "", name.lower())
    return (found.meta.arn if found else arn_of(call, "server-certificate", name, request.get("Path", "/")),)


def _read(request: Request, now: float) -> tuple[KeyPair, float]:
    """(key pair, when it expires). Raises MalformedCertificate, KeyPairMismatch."""
    try:
        certificate = reading.certificate_of(request["CertificateBody"].encode())
        key = reading.key_of(request["PrivateKey"].encode())
        chain = reading.chain_of(request["CertificateChain"].encode()) if request.get("CertificateChain") else []
        facts = reading.facts(certificate)
        reading.check_validity(certificate, now, "certificate")
    except Unreadable as refusal:
        raise ApiError("MalformedCertificate", refusal.reason) from refusal
    if not reading.matches(certificate, key):
        raise ApiError("KeyPairMismatch", "The public key in the certificate and the private key do not match.")
    broken = reading.broken_link(certificate, chain)
    if broken is not None:
        raise ApiError(
            "MalformedCertificate",
            "Unable to validate certificate chain. The certificate chain must start with the immediate signing "
            "certificate, followed by any intermediaries in order. The index within the chain of the invalid "
            f"certificate is: {broken}",
        )
    return KeyPair(*reading.texts(certificate, chain, key), facts.names, facts.algorithm), facts.not_after


def _metadata(found: CertificateR) -> dict[str, Any]:
    return {
        "Path": found.spec.path,
        "ServerCertificateName": found.spec.name,
        "ServerCertificateId": found.spec.id,
        "Arn": found.meta.arn,
        "UploadDate": found.meta.created,
        "Expiration": found.spec.expires,
    }


@ops("UploadServerCertificate", resources=_arns)
async def upload_server_certificate(call: Call, request: Request) -> Answer:
    name, path = request["ServerCertificateName"], path_of(request)
    pair, expires = await asyncio.to_thread(_read, request, call.now)
    tags = tags_of(request.get("Tags", ()))
    spec = ServerCertificate(name, unique_id(call.world, "ASCA"), path, expires, tags)

    def change(tx: Transaction) -> CertificateR:
        if tx.get(SERVER_CERTIFICATE, call.account, "", name.lower()) is not None:
            raise exists(f"The Server Certificate with name {name} already exists.")
        quota_left(
            tx, SERVER_CERTIFICATE, call.account, "ServerCertificatesPerAccount", QUOTAS["ServerCertificatesQuota"]
        )
        where = {"account": call.account, "region": "", "arn": arn_of(call, "server-certificate", name, path)}
        tx.create(KEY_PAIR, **where, name=_pair_name(name), spec=pair, status=NOTHING)
        return tx.create(SERVER_CERTIFICATE, **where, name=name.lower(), spec=spec, status=NOTHING)

    made = await call.store.transact(change)
    shown = {"Tags": shown_tags(tags)} if tags else {}
    return {"ServerCertificateMetadata": _metadata(made), **shown}


@ops("GetServerCertificate", resources=_arns)
async def get_server_certificate(call: Call, request: Request) -> Answer:
    found = _certificate(call.store, call.account, request["ServerCertificateName"])
    pair = _pair(call.store, found).spec
    body = {"CertificateBody": pair.certificate, "CertificateChain": pair.chain or None}
    told = {"ServerCertificateMetadata": _metadata(found), **body, "Tags": shown_tags(found.spec.tags)}
    return {"ServerCertificate": told}


@ops("ListServerCertificates", resources=everything("server-certificate"))
async def list_server_certificates(call: Call, request: Request) -> Answer:
    rows = by_path(call.store.list(SERVER_CERTIFICATE, call.account, ""), request)
    found, more = page(call, request, rows, lambda r: r.meta.name)
    return {"ServerCertificateMetadataList": [_metadata(r) for r in found], **more}


@ops("UpdateServerCertificate", resources=_arns)
async def update_server_certificate(call: Call, request: Request) -> Answer:
    """Its ARN changes with its name and path: of one that is in use that is refused by name."""

    def change(tx: Transaction) -> None:
        found = _certificate(tx, call.account, request["ServerCertificateName"])
        name = request.get("NewServerCertificateName") or found.spec.name
        path = path_of({"Path": request["NewPath"]}) if request.get("NewPath") else found.spec.path
        if (name, path) == (found.spec.name, found.spec.path):
            return
        if users(tx, found.meta.arn):
            raise not_built("iam", "UpdateServerCertificate of one that a load balancer presents")
        if name.lower() != found.meta.name and tx.get(SERVER_CERTIFICATE, call.account, "", name.lower()) is not None:
            raise exists(f"The Server Certificate with name {name} already exists.")
        pair = _pair(tx, found)
        tx.remove(pair)
        tx.remove(found)
        where = {"account": call.account, "region": "", "arn": arn_of(call, "server-certificate", name, path)}
        tx.create(KEY_PAIR, **where, name=_pair_name(name), spec=pair.spec, status=NOTHING)
        spec = replace(found.spec, name=name, path=path)
        tx.create(SERVER_CERTIFICATE, **where, name=name.lower(), spec=spec, status=NOTHING)

    await call.store.transact(change)
    return None


@ops("DeleteServerCertificate", resources=_arns)
async def delete_server_certificate(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = _certificate(tx, call.account, request["ServerCertificateName"])
        used_by = users(tx, found.meta.arn)
        if used_by:
            raise conflict(f"Certificate: {found.spec.id} is currently in use by {used_by[0]}. Please remove it first.")
        tx.remove(_pair(tx, found))
        tx.remove(found)

    await call.store.transact(change)
    return None


async def _retag(call: Call, request: Request, how: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
    def change(tx: Transaction) -> None:
        found = _certificate(tx, call.account, request["ServerCertificateName"])
        tx.update(found, spec=replace(found.spec, tags=how(found.spec.tags)))

    await call.store.transact(change)


@ops("TagServerCertificate", resources=_arns)
async def tag_server_certificate(call: Call, request: Request) -> Answer:
    await _retag(call, request, lambda old: tags_of(request["Tags"], old))
    return None


@ops("UntagServerCertificate", resources=_arns)
async def untag_server_certificate(call: Call, request: Request) -> Answer:
    await _retag(call, request, lambda old: without_tags(old, request["TagKeys"]))
    return None


@ops("ListServerCertificateTags", resources=_arns)
async def list_server_certificate_tags(call: Call, request: Request) -> Answer:
    found = _certificate(call.store, call.account, request["ServerCertificateName"])
    shown, more = page(call, request, shown_tags(found.spec.tags), lambda tag: tag["Key"])
    return {"Tags": shown, **more}
