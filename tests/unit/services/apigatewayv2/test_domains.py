"""Custom domain names: certificates, mappings, and what a request for one becomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, code
from tests.unit.services.apigatewayv2.http_world import World

from havre.control.certificates import records
from havre.control.certificates.authority import Authority
from havre.control.certificates.records import KEY_PAIR, KeyPair
from havre.control.nodes import BALANCER, NODE, NodeSpec, NodeStatus
from havre.control.runner import Runner
from havre.kernel.resource import NoStatus
from havre.services import apigatewayv2


class Domains:
    def __init__(self, world: World, authority: Authority) -> None:
        self.world, self.authority, self.api = world, authority, world.api
        self.store = world.running.store
        deps: Any = type("Deps", (), {"store": self.store})()
        self.runner = Runner(apigatewayv2.reconcilers(deps), self.store, world.running.world)
        status = NodeStatus(connected=True)
        self.write(lambda tx: tx.create(NODE, account="", region="", name="n", arn="", spec=NodeSpec(), status=status))

    def write(self, change: Any) -> Any:
        return self.world.running.wait(self.store.transact(change))

    def settle(self) -> None:
        async def steps() -> None:
            for _ in range(1000):
                if not await self.runner.step():
                    return
            raise RuntimeError("does not settle")

        self.world.running.wait(steps())

    def certificate(self, *names: str, pair: KeyPair | None = None) -> str:
        count = len(self.store.list(KEY_PAIR))
        id = f"{count:08d}-0000-0000-0000-000000000000"
        arn = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/{id}"
        spec = pair or self.authority.issue(names, "EC_prime256v1", self.world.running.world.now())
        where = {"account": ACCOUNT, "region": "us-east-1", "name": id, "arn": arn}
        self.write(lambda tx: tx.create(KEY_PAIR, **where, spec=spec, status=NoStatus()))
        return arn

    def domain(self, name: str = "api.example.com", *names: str, **more: Any) -> dict[str, Any]:
        configuration = [{"CertificateArn": self.certificate(*(names or (name,)))}]
        made: dict[str, Any] = self.api.create_domain_name(
            DomainName=name, DomainNameConfigurations=configuration, **more
        )
        return made

    def stage(self, name: str = "$default", version: str = "2.0") -> str:
        """The id of an API with a function behind it, deployed to this stage."""
        id = self.world.make()
        self.world.integrate(id, version=version)
        self.api.create_stage(ApiId=id, StageName=name, AutoDeploy=True)
        return id

    def map(self, api: str, key: str = "", stage: str = "$default", domain: str = "api.example.com") -> str:
        made = self.api.create_api_mapping(DomainName=domain, ApiId=api, Stage=stage, ApiMappingKey=key)
        return str(made["ApiMappingId"])

    def ask(self, path: str, domain: str = "api.example.com") -> tuple[int, Any]:
        """(status, the event that the function got)."""
        arn = f"arn:aws:apigateway:us-east-1::/domainnames/{domain}"
        before = len(self.world.events)
        headers = {
            "X-Havre-Target-Group": arn,
            "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
            "Host": "a.proxy.localhost",
        }
        status, _, _ = self.world.ask("unused", path, **{k.replace("-", "_"): v for k, v in headers.items()})
        return status, self.world.events[-1] if len(self.world.events) > before else None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(Path(tmp_path_factory.mktemp("ca")), "test")


@pytest.fixture
def d(world: World, authority: Authority) -> Iterator[Domains]:
    yield Domains(world, authority)


def test_it_is_made_shown_presented_changed_and_deleted(d: Domains) -> None:
    made = d.domain(Tags={"a": "1"})
    (configuration,) = made["DomainNameConfigurations"]
    assert configuration["DomainNameStatus"] == "UPDATING" and configuration["SecurityPolicy"] == "TLS_1_2"
    assert configuration["ApiGatewayDomainName"].endswith(".execute-api.us-east-1.localhost")
    assert made["DomainNameArn"] == "arn:aws:apigateway:us-east-1::/domainnames/api.example.com"
    assert d.api.get_tags(ResourceArn=made["DomainNameArn"])["Tags"] == {"a": "1"}
    first = configuration["CertificateArn"]
    assert records.users(d.store, first) == [made["DomainNameArn"]]
    d.settle()
    (told,) = d.store.list(BALANCER)
    (listener,) = told.spec.balancer.listeners
    assert listener.protocol == "HTTPS" and listener.port == 443 and listener.names == ("api.example.com",)
    assert told.spec.balancer.pools[0].function == made["DomainNameArn"]

    second = d.certificate("*.example.com")
    change = [{"CertificateArn": second, "SecurityPolicy": "TLS_1_2", "EndpointType": "REGIONAL"}]
    d.api.update_domain_name(DomainName="api.example.com", DomainNameConfigurations=change)
    d.settle()
    (told,) = d.store.list(BALANCER)
    assert told.spec.balancer.listeners[0].names == ("*.example.com",)
    assert records.users(d.store, first) == [] and records.users(d.store, second)
    assert [each["DomainName"] for each in d.api.get_domain_names()["Items"]] == ["api.example.com"]

    d.api.delete_domain_name(DomainName="api.example.com")
    d.settle()
    assert d.store.list(BALANCER) == [] and records.users(d.store, second) == []
    assert code(d.api.get_domain_name, DomainName="api.example.com") == "NotFoundException"


def test_one_that_is_made_anew_under_its_name_is_another(d: Domains) -> None:
    d.domain()
    d.settle()
    d.api.delete_domain_name(DomainName="api.example.com")
    again = d.domain()
    d.settle()
    (told,) = d.store.list(BALANCER)
    assert again["DomainNameConfigurations"][0]["ApiGatewayDomainName"] == told.spec.balancer.dns_name


@pytest.mark.parametrize(
    ("configuration", "error"),
    [
        ({}, "BadRequestException"),
        ({"EndpointType": "EDGE"}, "NotImplementedException"),
        ({"SecurityPolicy": "TLS_1_0"}, "BadRequestException"),
        ({"CertificateName": "x"}, "NotImplementedException"),
        ({"CertificateArn": f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/none"}, "BadRequestException"),
    ],
)
def test_what_a_domain_name_cannot_be_configured_with(d: Domains, configuration: Any, error: str) -> None:
    wanted = {"DomainName": "api.example.com", "DomainNameConfigurations": [configuration]}
    assert code(d.api.create_domain_name, **wanted) == error
    assert d.api.get_domain_names()["Items"] == []


def test_names_and_certificates_that_are_refused(d: Domains) -> None:
    other = [{"CertificateArn": d.certificate("other.example.com")}]
    pending = [{"CertificateArn": d.certificate(pair=KeyPair())}]
    for given in (other, pending):
        wanted = {"DomainName": "api.example.com", "DomainNameConfigurations": given}
        assert code(d.api.create_domain_name, **wanted) == "BadRequestException"
    for name in ("API.example.com", "nodots", "a..b", "-a.example.com"):
        wanted = {"DomainName": name, "DomainNameConfigurations": other}
        assert code(d.api.create_domain_name, **wanted) == "BadRequestException"
    d.domain()
    assert code(d.domain) == "ConflictException"
    mutual = {"DomainName": "m.example.com", "MutualTlsAuthentication": {"TruststoreUri": "s3://b/k"}}
    wanted = {**mutual, "DomainNameConfigurations": [{"CertificateArn": d.certificate("m.example.com")}]}
    assert code(d.api.create_domain_name, **wanted) == "NotImplementedException"


def test_the_longest_mapping_decides_and_the_function_does_not_see_it(d: Domains) -> None:
    d.domain()
    root, orders, deep = d.stage(), d.stage("v1"), d.stage()
    d.map(root)
    d.map(orders, "orders", "v1")
    d.map(deep, "orders/deep")
    for path, api, raw in (
        ("/", root, "/"),
        ("/ordersx/1", root, "/ordersx/1"),
        ("/orders", orders, "/"),
        ("/orders/7", orders, "/7"),
        ("/orders/v1/7", orders, "/v1/7"),
        ("/orders/deep/x", deep, "/x"),
    ):
        status, event = d.ask(path)
        assert status == 200 and event["requestContext"]["apiId"] == api, path
        assert event["rawPath"] == raw
    status, event = d.ask("/orders/7")
    assert event["requestContext"]["stage"] == "v1"
    assert event["requestContext"]["http"]["sourceIp"] == "198.51.100.7"
    assert "x-havre-target-group" not in event["headers"]


def test_the_older_format_shows_the_whole_path(d: Domains) -> None:
    d.domain()
    d.map(d.stage(version="1.0"), "orders")
    _, event = d.ask("/orders/7")
    assert event["path"] == "/orders/7"


def test_what_is_not_mapped_is_forbidden(d: Domains) -> None:
    d.domain()
    api = d.stage()
    mapping = d.map(api, "orders")
    assert d.ask("/other")[0] == 403 and d.ask("/orders", "nobody.example.com")[0] == 403
    d.api.update_api(ApiId=api, DisableExecuteApiEndpoint=True)
    assert d.ask("/orders")[0] == 200
    d.api.delete_api_mapping(DomainName="api.example.com", ApiMappingId=mapping)
    assert d.ask("/orders")[0] == 403


def test_mappings_are_changed_and_hold_their_api(d: Domains) -> None:
    d.domain()
    one, other = d.stage(), d.stage("v1")
    mapping = d.map(one, "a/b")
    where = {"DomainName": "api.example.com", "ApiMappingId": mapping}
    assert code(d.map, api=one, key="a/b") == "ConflictException"
    assert code(d.map, api=one, key="/a") == code(d.map, api=one, key="a b") == "BadRequestException"
    assert code(d.map, api=one, stage="none") == code(d.map, api="none") == "NotFoundException"
    assert code(d.api.delete_api, ApiId=one) == code(d.api.delete_stage, ApiId=one, StageName="$default")
    assert code(d.api.delete_api, ApiId=one) == "BadRequestException"
    d.api.update_api_mapping(**where, ApiId=other, Stage="v1")
    shown = d.api.get_api_mapping(**where)
    assert (shown["ApiId"], shown["Stage"], shown["ApiMappingKey"]) == (other, "v1", "a/b")
    assert len(d.api.get_api_mappings(DomainName="api.example.com")["Items"]) == 1
    d.api.delete_api(ApiId=one)
    d.api.delete_domain_name(DomainName="api.example.com")
    assert code(d.api.get_api_mapping, **where) == "NotFoundException"
    d.api.delete_api(ApiId=other)
