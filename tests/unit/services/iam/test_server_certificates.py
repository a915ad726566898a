"""Server certificates, with boto3 against a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, Running, code

from havre.control.certificates import records
from havre.control.certificates.authority import Authority
from havre.control.certificates.records import KeyPair


@pytest.fixture
def gateway() -> Iterator[Running]:
    running = Running(kinds=records.KINDS)
    yield running
    running.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


def given(pair: KeyPair, name: str = "web", **more: Any) -> dict[str, Any]:
    texts = {"CertificateBody": pair.certificate, "PrivateKey": pair.key, "CertificateChain": pair.chain}
    return {"ServerCertificateName": name, **texts, **more}


def test_it_is_uploaded_shown_renamed_tagged_and_deleted(gateway: Running, authority: Authority) -> None:
    iam = gateway.client("iam")
    pair = authority.issue(("web.example.com",), "EC_prime256v1", gateway.world.now())
    made = iam.upload_server_certificate(**given(pair, Path="/sites/", Tags=[{"Key": "a", "Value": "1"}]))
    shown = made["ServerCertificateMetadata"]
    assert shown["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/sites/web" and made["Tags"]
    assert shown["ServerCertificateId"].startswith("ASCA")
    got = iam.get_server_certificate(ServerCertificateName="WEB")["ServerCertificate"]
    assert got["CertificateBody"] == pair.certificate.strip() or got["CertificateBody"] == pair.certificate
    assert "PRIVATE" not in str(got) and got["ServerCertificateMetadata"]["Expiration"] == shown["Expiration"]
    assert code(iam.upload_server_certificate, **given(pair)) == "EntityAlreadyExists"
    iam.tag_server_certificate(ServerCertificateName="web", Tags=[{"Key": "b", "Value": "2"}])
    iam.untag_server_certificate(ServerCertificateName="web", TagKeys=["a"])
    assert iam.list_server_certificate_tags(ServerCertificateName="web")["Tags"] == [{"Key": "b", "Value": "2"}]
    iam.update_server_certificate(ServerCertificateName="web", NewServerCertificateName="new", NewPath="/")
    (listed,) = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert listed["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/new"
    found = records.key_pair(gateway.store, listed["Arn"])
    assert found is not None and found.spec.names == ("web.example.com",)
    assert code(iam.get_server_certificate, ServerCertificateName="web") == "NoSuchEntity"
    iam.delete_server_certificate(ServerCertificateName="new")
    assert records.key_pair(gateway.store, listed["Arn"]) is None
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []


def test_one_in_use_stays_under_its_name(gateway: Running, authority: Authority) -> None:
    iam = gateway.client("iam")
    pair = authority.issue(("web.example.com",), "EC_prime256v1", gateway.world.now())
    arn = iam.upload_server_certificate(**given(pair))["ServerCertificateMetadata"]["Arn"]
    gateway.wait(gateway.store.transact(lambda tx: records.hold(tx, "listener", "arn:balancer", [arn])))
    assert code(iam.delete_server_certificate, ServerCertificateName="web") == "DeleteConflict"
    renamed = {"ServerCertificateName": "web", "NewServerCertificateName": "new"}
    assert code(iam.update_server_certificate, **renamed) == "NotImplementedException"


def test_what_does_not_belong_together_is_refused(gateway: Running, authority: Authority) -> None:
    iam = gateway.client("iam")
    now = gateway.world.now()
    one, other = (authority.issue((n,), "EC_prime256v1", now) for n in ("a.example.com", "b.example.com"))
    mixed = {**given(one), "PrivateKey": other.key}
    assert code(iam.upload_server_certificate, **mixed) == "KeyPairMismatch"
    assert code(iam.upload_server_certificate, **{**given(one), "CertificateBody": "x"}) == "MalformedCertificate"
    wrong = {**given(one), "CertificateChain": other.certificate}
    assert code(iam.upload_server_certificate, **wrong) == "MalformedCertificate"
    old = authority.issue(("a.example.com",), "EC_prime256v1", now - 300 * 86400)
    assert code(iam.upload_server_certificate, **given(old)) == "MalformedCertificate"
    alone = {k: v for k, v in given(one).items() if k != "CertificateChain"}
    iam.upload_server_certificate(**alone)
    (event, *_) = gateway.events("UploadServerCertificate")
    assert event["requestParameters"]["privateKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
