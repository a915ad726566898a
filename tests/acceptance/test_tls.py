"""HTTPS as its users have it: certificates asked for with the AWS CLI, a load balancer that presents them, curl and openssl
that trust what `havre ca` names."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client_certificates import Clients
from tests.ports import free_port

from .conftest import AWS, HAVRE, Instance, Starter, eventually, kill
from .test_load_balancers import Balancer, Server, balancer, healthy

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
SOON = {"Delay": 1, "MaxAttempts": 120}


class Tls:
    """A load balancer for the module's tests, its target, and the commands of a user."""

    def __init__(self, instance: Instance) -> None:
        self.instance, self.environment = instance, instance.env
        self.acm, self.elb = instance.client("acm"), instance.client("elbv2")
        self.ca = subprocess.run(
            [HAVRE, "ca", "--state", str(instance.state)], capture_output=True, check=True, text=True
        ).stdout.strip()
        self.balancer: Balancer = balancer(instance, "tls")
        self.server = Server("the target")
        self.balancer.register(self.server)

    def aws(self, *words: str) -> Any:
        """What the AWS CLI prints. Raises CalledProcessError."""
        ran = subprocess.run([AWS, *words], env=self.environment, capture_output=True, check=True, text=True)
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def certificate(self, domain: str, *more: str) -> str:
        asked = self.aws("acm", "request-certificate", "--domain-name", domain, "--validation-method", "DNS", *more)
        arn: str = asked["CertificateArn"]
        self.acm.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig=SOON)
        return arn

    def open(self, port: int) -> None:
        """Let this machine's clients in."""
        anyone = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}
        ec2 = self.instance.client("ec2")
        ec2.authorize_security_group_ingress(GroupId=self.balancer.security, IpPermissions=[anyone])

    def listener(self, certificate: str, *more: str) -> tuple[str, int]:
        """An HTTPS listener in front of the target: its ARN and its port."""
        port = free_port()
        self.open(port)
        action = f"Type=forward,TargetGroupArn={self.balancer.group}"
        where = ("--load-balancer-arn", self.balancer.arn, "--protocol", "HTTPS", "--port", str(port))
        how = ("--certificates", f"CertificateArn={certificate}", "--default-actions", action, *more)
        made = self.aws("elbv2", "create-listener", *where, *how)["Listeners"][0]
        assert made["Certificates"] == [{"CertificateArn": certificate}]
        eventually(lambda: presented(port))
        return made["ListenerArn"], port

    def curl(self, url: str, *more: str, ca: str = "") -> subprocess.CompletedProcess[str]:
        """By the name in the URL, at 127.0.0.1."""
        where = ("--connect-to", "::127.0.0.1:", "--max-time", "60")
        return subprocess.run(
            ["curl", "-sS", "--cacert", ca or self.ca, *where, *more, url], capture_output=True, text=True, check=False
        )


def presented(port: int, name: str = "nobody.invalid", *more: str) -> str:
    """What openssl is told when it asks for this name: "" while nothing answers."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *more]
    told = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=60).stdout
    return told if "BEGIN CERTIFICATE" in told else ""


def subject(port: int, name: str = "nobody.invalid") -> str:
    found = re.search(r"subject=.*CN ?= ?(\S+)", presented(port, name))
    return found.group(1) if found else ""


@pytest.fixture(scope="module")
def tls(shared: Instance) -> Iterator[Tls]:
    found = Tls(shared)
    yield found
    found.server.shutdown()


def test_two_certificates_behind_one_listener_and_http_redirected(tls: Tls) -> None:
    one = tls.certificate("one.example.com", "--subject-alternative-names", "www.one.example.com")
    two = tls.certificate("two.example.com", "--subject-alternative-names", "*.two.example.com")
    listener, port = tls.listener(one, "--ssl-policy", "ELBSecurityPolicy-TLS13-1-2-2021-06")
    tls.aws("elbv2", "add-listener-certificates", "--listener-arn", listener, "--certificates", f"CertificateArn={two}")
    eventually(lambda: subject(port, "two.example.com") == "two.example.com")
    for name in ("one.example.com", "www.one.example.com", "two.example.com", "deep.two.example.com"):
        found = tls.curl(f"https://{name}:{port}/")
        assert (found.returncode, found.stdout) == (0, "the target"), found.stderr
    assert subject(port) == subject(port, "one.example.com") == "one.example.com"
    assert tls.curl(f"https://other.example.com:{port}/").returncode == 60, "no certificate is for that name"
    assert tls.curl(f"https://one.example.com:{port}/", "--tls-max", "1.1").returncode == 35
    told = tls.curl(f"https://one.example.com:{port}/", "-o", "/dev/null", "-w", "%{http_version}").stdout
    assert told == "2"

    plain = free_port()
    tls.open(plain)
    to = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": str(port), "StatusCode": "HTTP_301"}}
    tls.elb.create_listener(LoadBalancerArn=tls.balancer.arn, Protocol="HTTP", Port=plain, DefaultActions=[to])
    url = f"http://two.example.com:{plain}/path?q=1"
    eventually(lambda: tls.curl(url, "-o", "/dev/null", "-w", "%{http_code}").stdout == "301")
    where = tls.curl(url, "-o", "/dev/null", "-w", "%{redirect_url}").stdout
    assert where == f"https://two.example.com:{port}/path?q=1"
    assert tls.curl(url, "-L").stdout == "the target"


def test_a_certificate_in_use_stays_and_its_key_goes_with_the_listener(tls: Tls) -> None:
    arn = tls.certificate("kept.example.com")
    listener, port = tls.listener(arn)

    def with_keys() -> int:
        files = list((tls.instance.state / "haproxy" / "files").glob("*.pem"))
        assert {file.stat().st_mode & 0o777 for file in files} <= {0o600}
        return len(files)

    before = with_keys()
    assert before
    with pytest.raises(tls.acm.exceptions.ResourceInUseException):
        tls.acm.delete_certificate(CertificateArn=arn)
    assert tls.acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"] == [tls.balancer.arn]
    tls.elb.delete_listener(ListenerArn=listener)
    tls.acm.delete_certificate(CertificateArn=arn)
    eventually(lambda: not presented(port))
    eventually(lambda: with_keys() == before - 1)
    log = tls.instance.log()
    assert "PRIVATE KEY" not in log


def test_a_certificate_is_replaced_at_once(tls: Tls, tmp_path: Path) -> None:
    """First by another one, of somebody else; then by a new one under the same ARN."""
    own = tls.certificate("own.example.com", "--options", "Export=ENABLED", "--key-algorithm", "EC_prime256v1")
    listener, port = tls.listener(own)
    brought = self_signed(tmp_path, "brought.example.com")
    files = {"certificate": brought, "private-key": brought.with_suffix(".key")}
    words = [word for name, path in files.items() for word in (f"--{name}", f"fileb://{path}")]
    imported = tls.aws("acm", "import-certificate", *words)["CertificateArn"]
    change = ("--listener-arn", listener, "--certificates", f"CertificateArn={imported}")
    tls.aws("elbv2", "modify-listener", *change)
    eventually(lambda: subject(port) == "brought.example.com")
    url = f"https://brought.example.com:{port}/"
    assert tls.curl(url, ca=str(brought)).stdout == "the target"
    assert tls.curl(url).returncode == 60, "this installation's authority did not issue it"

    tls.elb.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": own}])
    eventually(lambda: subject(port) == "own.example.com")
    before = presented(port)
    told = tls.acm.export_certificate(CertificateArn=own, Passphrase=b"a passphrase")
    assert told["PrivateKey"].startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    tls.acm.renew_certificate(CertificateArn=own)
    serial = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END", before, re.S)
    assert serial is not None
    eventually(lambda: (now := presented(port)) and serial.group(0) not in now)
    assert tls.curl(f"https://own.example.com:{port}/").stdout == "the target"


def test_it_is_presented_on_while_the_server_is_killed_and_the_same_after(tls: Tls) -> None:
    arn = tls.certificate("firm.example.com")
    _, port = tls.listener(arn)
    before = tls.acm.get_certificate(CertificateArn=arn)["Certificate"]
    kill(tls.instance.run_file["pids"]["server"])
    assert tls.curl(f"https://firm.example.com:{port}/").stdout == "the target"
    eventually(lambda: healthy(tls.instance))
    assert tls.acm.get_certificate(CertificateArn=arn)["Certificate"] == before
    assert before.strip() in presented(port, "firm.example.com")


def test_clients_are_verified_by_a_trust_store_from_s3(tls: Tls, tmp_path: Path) -> None:
    clients, s3 = Clients(), tls.instance.client("s3")
    s3.create_bucket(Bucket="trust")
    s3.put_object(Bucket="trust", Key="ca.pem", Body=clients.certificate)
    s3.put_object(Bucket="trust", Key="crl.pem", Body=clients.revoke(77))
    bundle = ("--ca-certificates-bundle-s3-bucket", "trust", "--ca-certificates-bundle-s3-key", "ca.pem")
    made = tls.aws("elbv2", "create-trust-store", "--name", "clients", *bundle)["TrustStores"][0]
    mutual = f"Mode=verify,TrustStoreArn={made['TrustStoreArn']}"
    _, port = tls.listener(tls.certificate("mutual.example.com"), "--mutual-authentication", mutual)
    client, revoked = clients.issue(tmp_path / "client.pem"), clients.issue(tmp_path / "revoked.pem", 77)

    def answer(*certificate: str) -> str:
        return tls.curl(f"https://mutual.example.com:{port}/", *certificate).stdout

    eventually(lambda: answer("--cert", str(client)) == "the target")
    assert answer() == "" and answer("--cert", str(revoked)) == "the target"
    lists = [{"S3Bucket": "trust", "S3Key": "crl.pem", "RevocationType": "CRL"}]
    tls.elb.add_trust_store_revocations(TrustStoreArn=made["TrustStoreArn"], RevocationContents=lists)
    eventually(lambda: answer("--cert", str(revoked)) == "")
    assert answer("--cert", str(client)) == "the target"


def test_an_http_api_behind_a_name_of_its_own(tls: Tls) -> None:
    """At port 443, where AWS has domain names, and beside whatever load balancers have there."""
    api = tls.instance.client("apigatewayv2")
    made = api.create_api(Name="web", ProtocolType="HTTP", Target=f"http://127.0.0.1:{tls.server.port}/")
    configuration = [{"CertificateArn": tls.certificate("api.example.com")}]
    api.create_domain_name(DomainName="api.example.com", DomainNameConfigurations=configuration)
    api.create_api_mapping(DomainName="api.example.com", ApiId=made["ApiId"], Stage="$default", ApiMappingKey="shop")

    def state() -> str:
        (shown,) = api.get_domain_name(DomainName="api.example.com")["DomainNameConfigurations"]
        return str(shown["DomainNameStatus"])

    eventually(lambda: state() == "AVAILABLE")
    eventually(lambda: tls.curl("https://api.example.com/shop/x").stdout == "the target")
    assert tls.curl("https://api.example.com/other", "-w", " %{http_code}").stdout.endswith("403")
    api.delete_domain_name(DomainName="api.example.com")
    eventually(lambda: not presented(443, "api.example.com"))


def test_the_endpoint_itself_speaks_https(havre: Starter) -> None:
    """At the same port as HTTP, to clients that `havre env` tells whom to trust."""
    instance = havre("--tls")
    environment = instance.env
    assert environment["AWS_ENDPOINT_URL"] == f"https://127.0.0.1:{instance.port}"
    who = [AWS, "sts", "get-caller-identity"]
    told = subprocess.run(who, env=environment, capture_output=True, check=True, text=True).stdout
    assert json.loads(told)["Account"] == "000000000000"
    plain = {**environment, "AWS_ENDPOINT_URL": instance.endpoint}
    subprocess.run(who, env=plain, capture_output=True, check=True)
    stranger = {k: v for k, v in environment.items() if k != "AWS_CA_BUNDLE"}
    assert subprocess.run(who, env=stranger, capture_output=True, check=False).returncode != 0
    api = instance.client("apigatewayv2").create_api(Name="a", ProtocolType="HTTP")["ApiEndpoint"]
    trust = environment["AWS_CA_BUNDLE"]
    asked = ["curl", "-sS", "--cacert", trust, "-o", "/dev/null", "-w", "%{http_code} %{http_version}", f"{api}/"]
    assert api.startswith("https://") and subprocess.run(asked, capture_output=True, text=True).stdout == "404 2"


def self_signed(where: Path, name: str) -> Path:
    """The path of a certificate, with its key beside it."""
    path = where / "brought.pem"
    keys = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(path.with_suffix(".key")))
    names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    subprocess.run(
        ["openssl", "req", "-x509", *keys, "-out", str(path), "-days", "30", *names], check=True, capture_output=True
    )
    return path
