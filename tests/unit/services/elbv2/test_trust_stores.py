"""Trust stores, and listeners that ask clients for certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.client_certificates import Clients
from tests.unit.services.elbv2.elb_harness import Harness
from tests.unit.services.elbv2.test_tls import FIXED, Certificates

from havre.control.certificates.authority import Authority

FROM = {"CaCertificatesBundleS3Bucket": "b", "CaCertificatesBundleS3Key": "ca.pem"}


class Trust(Certificates):
    def __init__(self, h: Harness, authority: Authority, clients: Clients) -> None:
        super().__init__(h, authority)
        self.clients = clients
        h.objects |= {"ca.pem": clients.certificate, "crl.pem": clients.revoke(1, 2, 3), "bad.pem": b"nothing"}

    async def made(self, name: str = "clients", **more: Any) -> str:
        (store,) = (await self.h.elb("CreateTrustStore", Name=name, **FROM, **more))["TrustStores"]
        return str(store["TrustStoreArn"])

    async def store(self, arn: str) -> dict[str, Any]:
        (found,) = (await self.h.elb("DescribeTrustStores", TrustStoreArns=[arn]))["TrustStores"]
        return dict(found)

    async def verifying(self, arn: str, **more: Any) -> str:
        mutual = {"Mode": "verify", "TrustStoreArn": arn, **more}
        return await self.listener(await self.certificate("a.example.com"), MutualAuthentication=mutual)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture(scope="module")
def clients() -> Clients:
    return Clients()


@pytest.fixture
async def t(authority: Authority, clients: Clients) -> Trust:
    harness = Harness()
    await harness.node()
    return Trust(harness, authority, clients)


async def test_it_is_made_from_s3_shown_changed_and_deleted(t: Trust) -> None:
    arn = await t.made(Tags=[{"Key": "a", "Value": "1"}])
    assert ":truststore/clients/" in arn
    shown = await t.store(arn)
    assert (shown["Status"], shown["NumberOfCaCertificates"], shown["TotalRevokedEntries"]) == ("ACTIVE", 1, 0)
    tagged = (await t.h.elb("DescribeTags", ResourceArns=[arn]))["TagDescriptions"]
    assert tagged[0]["Tags"] == [{"Key": "a", "Value": "1"}]
    t.h.objects["ca.pem"] = t.clients.certificate + Clients("more").certificate
    (changed,) = (await t.h.elb("ModifyTrustStore", TrustStoreArn=arn, **FROM))["TrustStores"]
    assert changed["NumberOfCaCertificates"] == 2
    assert [each["Name"] for each in (await t.h.elb("DescribeTrustStores", Names=["clients"]))["TrustStores"]]
    await t.h.elb("DeleteTrustStore", TrustStoreArn=arn)
    assert await t.code("DescribeTrustStores", TrustStoreArns=[arn]) == "TrustStoreNotFound"
    assert await t.code("DescribeTrustStores", Names=["clients"]) == "TrustStoreNotFound"


async def test_what_no_trust_store_is_made_of(t: Trust) -> None:
    for key, code in (("none.pem", "CaCertificatesBundleNotFound"), ("bad.pem", "InvalidCaCertificatesBundle")):
        wanted = {**FROM, "CaCertificatesBundleS3Key": key}
        assert await t.code("CreateTrustStore", Name="clients", **wanted) == code
    t.h.objects["large.pem"] = b"x" * (65 << 10)
    large = {**FROM, "CaCertificatesBundleS3Key": "large.pem"}
    assert await t.code("CreateTrustStore", Name="clients", **large) == "InvalidCaCertificatesBundle"
    await t.made()
    assert await t.code("CreateTrustStore", Name="clients", **FROM) == "DuplicateTrustStoreName"
    assert len((await t.h.elb("DescribeTrustStores"))["TrustStores"]) == 1


async def test_a_node_is_told_whom_a_listener_trusts_and_of_each_change(t: Trust) -> None:
    arn = await t.made()
    listener = await t.verifying(arn, IgnoreClientCertificateExpiry=True, AdvertiseTrustStoreCaNames="on")
    shown = (await t.described(listener))["MutualAuthentication"]
    assert shown == {
        "Mode": "verify",
        "TrustStoreArn": arn,
        "IgnoreClientCertificateExpiry": True,
        "AdvertiseTrustStoreCaNames": "on",
    }
    told = t.told().mutual
    assert told is not None and told.mode == "verify" and told.expired and told.advertised
    assert told.authorities.encode() == t.clients.certificate and told.revocations == ()
    content = [{"S3Bucket": "b", "S3Key": "crl.pem", "RevocationType": "CRL"}]
    added = await t.h.elb("AddTrustStoreRevocations", TrustStoreArn=arn, RevocationContents=content)
    assert added["TrustStoreRevocations"][0]["NumberOfRevokedEntries"] == 3
    await t.h.settle()
    told = t.told().mutual
    assert told is not None and len(told.revocations) == 1
    assert (await t.store(arn))["TotalRevokedEntries"] == 3
    id = added["TrustStoreRevocations"][0]["RevocationId"]
    await t.h.elb("RemoveTrustStoreRevocations", TrustStoreArn=arn, RevocationIds=[id])
    assert await t.code("RemoveTrustStoreRevocations", TrustStoreArn=arn, RevocationIds=[id]) == "RevocationIdNotFound"
    again = await t.h.elb("AddTrustStoreRevocations", TrustStoreArn=arn, RevocationContents=content)
    assert again["TrustStoreRevocations"][0]["RevocationId"] != id
    listed = await t.h.elb("DescribeTrustStoreRevocations", TrustStoreArn=arn)
    assert len(listed["TrustStoreRevocations"]) == 1


async def test_one_in_use_stays(t: Trust) -> None:
    arn = await t.made()
    listener = await t.verifying(arn)
    held = (await t.h.elb("DescribeTrustStoreAssociations", TrustStoreArn=arn))["TrustStoreAssociations"]
    assert held == [{"ResourceArn": listener}]
    assert await t.code("DeleteTrustStore", TrustStoreArn=arn) == "TrustStoreInUse"
    await t.h.elb("ModifyListener", ListenerArn=listener, MutualAuthentication={"Mode": "passthrough"})
    await t.h.settle()
    told = t.told().mutual
    assert told is not None and (told.mode, told.authorities) == ("passthrough", "")
    assert (await t.described(listener))["MutualAuthentication"] == {"Mode": "passthrough"}
    await t.h.elb("ModifyListener", ListenerArn=listener, Port=8443)
    assert (await t.described(listener))["MutualAuthentication"] == {"Mode": "passthrough"}
    await t.h.elb("ModifyListener", ListenerArn=listener, MutualAuthentication={"Mode": "off"})
    await t.h.settle()
    assert t.told().mutual is None
    await t.h.elb("DeleteTrustStore", TrustStoreArn=arn)


@pytest.mark.parametrize(
    ("mutual", "code"),
    [
        ({"Mode": "verify"}, "ValidationError"),
        ({"Mode": "sometimes"}, "ValidationError"),
        ({"Mode": "passthrough", "IgnoreClientCertificateExpiry": True}, "ValidationError"),
        ({"Mode": "verify", "TrustStoreArn": "nothing"}, "ValidationError"),
        (
            {
                "Mode": "verify",
                "TrustStoreArn": "arn:aws:elasticloadbalancing:us-east-1:000000000000:truststore/none/0123456789abcdef",
            },
            "TrustStoreNotFound",
        ),
    ],
)
async def test_how_no_listener_verifies(t: Trust, mutual: dict[str, Any], code: str) -> None:
    given = [{"CertificateArn": await t.certificate("a.example.com")}]
    wanted = {"LoadBalancerArn": await t.h.balancer(), "Protocol": "HTTPS", "Port": 443, "DefaultActions": [FIXED]}
    assert await t.code("CreateListener", **wanted, Certificates=given, MutualAuthentication=mutual) == code
    plain = {**wanted, "Protocol": "HTTP", "MutualAuthentication": {"Mode": "passthrough"}}
    assert await t.code("CreateListener", **plain) == "ValidationError"
