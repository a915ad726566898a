"""HTTPS listeners: their certificates and policies, as clients see them and as a node is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.elbv2.elb_harness import ACCOUNT, REGION, Harness

from havre.control.certificates import records
from havre.control.certificates.authority import Authority
from havre.control.certificates.records import KEY_PAIR, KeyPair
from havre.kernel.balancer import BalancerListener
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


class Certificates:
    """A harness, with certificates as ACM keeps them."""

    def __init__(self, h: Harness, authority: Authority) -> None:
        self.h, self._authority, self._number = h, authority, 0

    async def certificate(self, *names: str, pair: KeyPair | None = None, account: str = ACCOUNT) -> str:
        """The ARN of a new one."""
        self._number += 1
        id = f"{self._number:08d}-0000-0000-0000-000000000000"
        arn = f"arn:aws:acm:{REGION}:{account}:certificate/{id}"
        made = pair or self.pair(*names)
        where: Any = {"account": account, "region": REGION, "name": id, "arn": arn}
        await self.h.store.transact(lambda tx: tx.create(KEY_PAIR, **where, spec=made, status=NoStatus()))
        return arn

    def pair(self, *names: str, algorithm: str = "EC_prime256v1") -> KeyPair:
        return self._authority.issue(names, algorithm, self.h.now)

    async def put(self, arn: str, pair: KeyPair) -> None:
        """Another key pair in its place, as a renewal does."""
        found = records.key_pair(self.h.store, arn)
        assert found is not None
        await self.h.store.transact(lambda tx: tx.update(found, spec=pair))
        await self.h.settle()

    async def listener(self, certificate: str, port: int = 443, balancer: str = "web", **more: Any) -> str:
        wanted = {"Protocol": "HTTPS", "Port": port, "DefaultActions": [FIXED], **more}
        given = [{"CertificateArn": certificate}]
        arn = await self.h.balancer(balancer)
        made = await self.h.elb("CreateListener", LoadBalancerArn=arn, Certificates=given, **wanted)
        await self.h.settle()
        return str(made["Listeners"][0]["ListenerArn"])

    async def described(self, listener: str) -> dict[str, Any]:
        (found,) = (await self.h.elb("DescribeListeners", ListenerArns=[listener]))["Listeners"]
        return dict(found)

    def told(self) -> BalancerListener:
        """The only listener that a node is told of."""
        ((found,),) = [balancer.listeners for balancer in self.h.told()]
        return found

    async def code(self, operation: str, **request: Any) -> str:
        with pytest.raises(ApiError) as caught:
            await self.h.elb(operation, **request)
        return caught.value.code


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture
async def c(authority: Authority) -> Certificates:
    harness = Harness()
    await harness.node()
    return Certificates(harness, authority)


async def test_a_node_is_told_of_the_certificate_and_the_policy(c: Certificates) -> None:
    arn = await c.certificate("www.example.com", "*.example.com")
    listener = await c.listener(arn)
    shown = await c.described(listener)
    assert shown["Protocol"] == "HTTPS" and shown["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert shown["Certificates"] == [{"CertificateArn": arn}] and shown["MutualAuthentication"] == {"Mode": "off"}
    told = c.told()
    found = records.key_pair(c.h.store, arn)
    assert found is not None and told.certificates == (found.spec.bundle,)
    assert told.names == ("www.example.com", "*.example.com")
    assert (told.tls.oldest, told.tls.newest) == ("TLSv1", "TLSv1.2") and not told.tls.suites
    assert "PRIVATE" not in str(shown)


async def test_more_certificates_come_and_go_and_the_default_one_stays(c: Certificates) -> None:
    first, second = await c.certificate("a.example.com"), await c.certificate("b.example.com")
    listener = await c.listener(first)
    added = await c.h.elb(
        "AddListenerCertificates",
        ListenerArn=listener,
        Certificates=[{"CertificateArn": second}, {"CertificateArn": first}],
    )
    assert [each["CertificateArn"] for each in added["Certificates"]] == [second, first]
    await c.h.elb("AddListenerCertificates", ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    listed = (await c.h.elb("DescribeListenerCertificates", ListenerArn=listener))["Certificates"]
    assert [(each["CertificateArn"], each["IsDefault"]) for each in listed] == [
        (first, True),
        (first, False),
        (second, False),
    ]
    await c.h.settle()
    assert len(c.told().certificates) == 2 and c.told().names == ("a.example.com", "b.example.com")
    page = await c.h.elb("DescribeListenerCertificates", ListenerArn=listener, PageSize=1)
    rest = await c.h.elb("DescribeListenerCertificates", ListenerArn=listener, Marker=page["NextMarker"])
    assert [*page["Certificates"], *rest["Certificates"]] == listed
    gone = {"ListenerArn": listener, "Certificates": [{"CertificateArn": first}]}
    await c.h.elb("RemoveListenerCertificates", **gone)
    assert await c.code("RemoveListenerCertificates", **gone) == "OperationNotPermitted"
    await c.h.elb("RemoveListenerCertificates", ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    await c.h.settle()
    assert c.told().names == ("a.example.com",) and records.users(c.h.store, second) == []


async def test_who_keeps_certificates_learns_what_uses_them(c: Certificates) -> None:
    first, second = await c.certificate("a.example.com"), await c.certificate("b.example.com")
    one, other = await c.listener(first), await c.listener(first, 8443)
    balancer = await c.h.balancer()
    assert records.users(c.h.store, first) == [balancer]
    await c.h.elb("ModifyListener", ListenerArn=one, Certificates=[{"CertificateArn": second}])
    assert records.users(c.h.store, first) == records.users(c.h.store, second) == [balancer]
    await c.h.elb("ModifyListener", ListenerArn=one, Protocol="HTTP")
    assert records.users(c.h.store, second) == []
    assert "Certificates" not in await c.described(one)
    await c.h.elb("DeleteListener", ListenerArn=other)
    assert records.users(c.h.store, first) == []
    await c.listener(first, 9443)
    await c.h.elb("DeleteLoadBalancer", LoadBalancerArn=balancer)
    assert records.users(c.h.store, first) == []


async def test_a_renewed_certificate_reaches_the_node_at_once(c: Certificates) -> None:
    arn = await c.certificate("a.example.com")
    await c.listener(arn)
    before = c.told().certificates
    await c.put(arn, c.pair("a.example.com", "new.example.com"))
    assert c.told().certificates != before and c.told().names == ("a.example.com", "new.example.com")


async def test_a_listener_turns_to_https_and_to_another_policy(c: Certificates) -> None:
    arn = await c.certificate("a.example.com")
    listener = await c.h.listener(await c.h.balancer(), await c.h.group())
    changed = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": arn}]}
    await c.h.elb("ModifyListener", ListenerArn=listener, **changed)
    shown = await c.described(listener)
    assert (shown["Protocol"], shown["Port"], shown["SslPolicy"]) == ("HTTPS", 443, "ELBSecurityPolicy-2016-08")
    await c.h.elb("ModifyListener", ListenerArn=listener, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    await c.h.settle()
    assert (c.told().tls.oldest, c.told().tls.ciphers) == ("TLSv1.3", ()) and c.told().certificates
    assert await c.code("ModifyListener", ListenerArn=listener, SslPolicy="nonsense") == "SSLPolicyNotFound"
    await c.h.elb("ModifyListener", ListenerArn=listener, Port=444)
    assert (await c.described(listener))["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-3-2021-06"


async def test_certificates_that_a_listener_cannot_have(c: Certificates) -> None:
    good = await c.certificate("a.example.com")
    listener = await c.listener(good)
    none = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/nothing"
    pending = await c.certificate(pair=KeyPair())
    foreign = await c.certificate("a.example.com", account="999999999999")
    balancer = {"LoadBalancerArn": await c.h.balancer(), "Protocol": "HTTPS", "Port": 8443, "DefaultActions": [FIXED]}
    for arn, code in (
        (none, "CertificateNotFound"),
        (foreign, "CertificateNotFound"),
        (pending, "UnsupportedCertificate"),
    ):
        given = {"Certificates": [{"CertificateArn": arn}]}
        assert await c.code("CreateListener", **balancer, **given) == code
        assert await c.code("AddListenerCertificates", ListenerArn=listener, **given) == code
        assert await c.code("ModifyListener", ListenerArn=listener, **given) == code
    two = [{"CertificateArn": good}, {"CertificateArn": good}]
    assert await c.code("CreateListener", **balancer, Certificates=two) == "TooManyCertificates"
    default = [{"CertificateArn": good, "IsDefault": True}]
    assert await c.code("CreateListener", **balancer, Certificates=default) == "ValidationError"
    policy = {"Certificates": two[:1], "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04"}
    assert await c.code("CreateListener", **balancer, **policy) == "NotImplementedException"
    plain = await c.h.listener(balancer["LoadBalancerArn"], await c.h.group())
    assert await c.code("AddListenerCertificates", ListenerArn=plain, Certificates=two[:1]) == "ValidationError"
    assert records.users(c.h.store, good) == [balancer["LoadBalancerArn"]]
    assert len((await c.h.elb("DescribeListeners", LoadBalancerArn=balancer["LoadBalancerArn"]))["Listeners"]) == 2


async def test_weak_keys_and_signatures_are_unsupported(c: Certificates) -> None:
    weak = await c.certificate(pair=c.pair("a.example.com", algorithm="RSA_1024"))
    wanted = {"LoadBalancerArn": await c.h.balancer(), "Protocol": "HTTPS", "Port": 443, "DefaultActions": [FIXED]}
    code = await c.code("CreateListener", **wanted, Certificates=[{"CertificateArn": weak}])
    assert code == "UnsupportedCertificate"


async def test_a_load_balancer_has_25_certificates_at_most(c: Certificates) -> None:
    pair = c.pair("a.example.com")
    arns = [await c.certificate(pair=pair) for _ in range(27)]
    one, other = await c.listener(arns[0]), await c.listener(arns[0], 8443)
    first = [{"CertificateArn": arn} for arn in arns[1:21]]
    await c.h.elb("AddListenerCertificates", ListenerArn=one, Certificates=first)
    rest = [{"CertificateArn": arn} for arn in arns[21:27]]
    assert await c.code("AddListenerCertificates", ListenerArn=other, Certificates=rest) == "TooManyCertificates"
    await c.h.elb("AddListenerCertificates", ListenerArn=other, Certificates=rest[:5])


async def test_policies_name_what_they_allow(c: Certificates) -> None:
    found = {each["Name"]: each for each in (await c.h.elb("DescribeSSLPolicies"))["SslPolicies"]}
    assert found["ELBSecurityPolicy-2016-08"]["SslProtocols"] == ["TLSv1", "TLSv1.1", "TLSv1.2"]
    strict = found["ELBSecurityPolicy-TLS13-1-2-Res-2021-06"]
    assert strict["SslProtocols"] == ["TLSv1.2", "TLSv1.3"] and len(strict["Ciphers"]) == 7
    assert all("GCM" in each["Name"] or "POLY1305" in each["Name"] for each in strict["Ciphers"])
    assert [each["Priority"] for each in strict["Ciphers"]] == [1, 2, 3, 4, 5, 6, 7]
    assert await c.code("DescribeSSLPolicies", Names=["nonsense"]) == "SSLPolicyNotFound"


async def test_server_certificates_of_iam_serve_as_well(c: Certificates) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:server-certificate/web"
    where: Any = {"account": ACCOUNT, "region": "", "name": "server-certificate/web", "arn": arn}
    spec = c.pair("a.example.com")
    await c.h.store.transact(lambda tx: tx.create(KEY_PAIR, **where, spec=spec, status=NoStatus()))
    listener = await c.listener(arn)
    assert c.told().certificates == (spec.bundle,)
    assert (await c.described(listener))["Certificates"] == [{"CertificateArn": arn}]


async def test_groups_that_speak_http2_are_behind_https_only(c: Certificates) -> None:
    calls = await c.h.group("calls", ProtocolVersion="GRPC", Matcher={"GrpcCode": "0-5,12"})
    plain = await c.h.group("plain")
    (shown,) = (await c.h.elb("DescribeTargetGroups", TargetGroupArns=[calls]))["TargetGroups"]
    assert shown["ProtocolVersion"] == "GRPC" and shown["Matcher"] == {"GrpcCode": "0-5,12"}
    assert shown["HealthCheckPath"] == "/AWS.ALB/healthcheck"
    two = await c.h.group("two", ProtocolVersion="HTTP2")
    (shown,) = (await c.h.elb("DescribeTargetGroups", TargetGroupArns=[two]))["TargetGroups"]
    assert shown["Matcher"] == {"HttpCode": "200"} and shown["HealthCheckPath"] == "/"

    def to(group: str) -> list[dict[str, str]]:
        return [{"Type": "forward", "TargetGroupArn": group}]

    balancer = await c.h.balancer()
    http = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80}
    assert await c.code("CreateListener", **http, DefaultActions=to(calls)) == "InvalidConfigurationRequest"
    listener = await c.listener(await c.certificate("a.example.com"), DefaultActions=to(calls))
    (pool,) = c.h.told()[0].pools
    assert (pool.version, pool.health_check.version, pool.health_check.matcher) == ("GRPC", "GRPC", "0-5,12")
    change = {"ListenerArn": listener, "Protocol": "HTTP"}
    assert await c.code("ModifyListener", **change) == "InvalidConfigurationRequest"
    await c.h.elb("ModifyListener", **change, DefaultActions=to(plain))
    condition = [{"Field": "path-pattern", "Values": ["/x"]}]
    rule = {"ListenerArn": listener, "Priority": 1, "Conditions": condition, "Actions": to(two)}
    assert await c.code("CreateRule", **rule) == "InvalidConfigurationRequest"
    await c.h.elb("ModifyTargetGroup", TargetGroupArn=calls, Matcher={"GrpcCode": "0"})
    wrong = {"TargetGroupArn": calls, "Matcher": {"HttpCode": "200"}}
    assert await c.code("ModifyTargetGroup", **wrong) == "InvalidConfigurationRequest"
