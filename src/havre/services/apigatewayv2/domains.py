"""Custom domain names: what is valid, how they are shown, and what a node is told to present. Pure but for reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.certificates import records
from havre.control.certificates.reading import weakness
from havre.control.certificates.records import KeyPair
from havre.control.nodes import BALANCER
from havre.control.operation import Call
from havre.kernel.balancer import (
    Balancer,
    BalancerAction,
    BalancerCondition,
    BalancerListener,
    BalancerPool,
    BalancerRule,
    BalancerTls,
)
from havre.services.apigatewayv2.errors import absent, bad, not_found
from havre.services.apigatewayv2.resources import DOMAIN, MAPPING, Domain, Mapped
from havre.store.ports import Reader

PORT = 443
ZONE = "Z2FDTNDATAQYW2"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}")
_KEY = re.compile(r"[A-Za-z0-9$\-_.+!*'()]+(/[A-Za-z0-9$\-_.+!*'()]+)*")
_CONFIGURATION = {"CertificateArn", "EndpointType", "SecurityPolicy", "IpAddressType"}
MOST_MAPPINGS = 200


def domain(call: Call, name: str, reader: Reader | None = None) -> Domain:
    """Raises NotFoundException."""
    found = (reader or call.store).get(DOMAIN, call.account, call.region, name)
    if found is None:
        raise not_found("Invalid domain name identifier specified")
    return found


def mapping(call: Call, domain_name: str, id: str, reader: Reader | None = None) -> Mapped:
    """Raises NotFoundException, of the domain name as well."""
    domain(call, domain_name, reader)
    found = (reader or call.store).get(MAPPING, call.account, call.region, f"{domain_name}/{id}")
    if found is None:
        raise not_found("Invalid API mapping identifier specified")
    return found


def check_name(name: str) -> None:
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise bad("Invalid domain name specified: it must be a name of lower-case letters, digits and hyphens")


def check_key(key: str) -> None:
    if key and (len(key) > 300 or not _KEY.fullmatch(key)):
        raise bad("API mapping key should not start or end with a '/', and has letters, digits and $-_.+!*'()/ only.")


def certificate(given: Sequence[Mapping[str, Any]]) -> str:
    """The ARN in the one configuration. Raises BadRequestException; what is not built is refused by name."""
    if len(given) != 1:
        raise bad("Exactly one domain name configuration must be specified")
    (one,) = given
    for member, value in one.items():
        if member not in _CONFIGURATION and value not in (None, ""):
            raise absent(f"a domain name configuration with {member}")
    if (one.get("EndpointType") or "REGIONAL") != "REGIONAL":
        raise absent(f"domain names of the endpoint type {one['EndpointType']}")
    if (one.get("SecurityPolicy") or "TLS_1_2") != "TLS_1_2":
        raise bad("The security policy of a domain name for HTTP APIs must be TLS_1_2")
    if (one.get("IpAddressType") or "ipv4") != "ipv4":
        raise absent(f"the IP address type {one['IpAddressType']}")
    if not one.get("CertificateArn"):
        raise bad("A certificate ARN must be specified for a regional domain name")
    return str(one["CertificateArn"])


def check_certificate(call: Call, reader: Reader, arn: str, name: str) -> None:
    """Raises BadRequestException for one that is not there, not issued, or not for this domain name."""
    found = records.key_pair(reader, arn)
    if found is None or found.meta.account != call.account or found.meta.region != call.region:
        raise bad("The provided certificate does not exist.")
    if not found.spec.certificate:
        raise bad(f"Certificate {arn} in account {call.account} not yet issued")
    if not covers(found.spec, name):
        raise bad("The domain name to be created is not covered by the provided certificate.")
    if why := weakness(found.spec):
        raise bad(f"Unsupported certificate: {why}")


def covers(pair: KeyPair, name: str) -> bool:
    """Whether the certificate is for this name, as itself or by a wildcard for its first label."""
    return name in pair.names or (not name.startswith("*") and f"*.{name.partition('.')[2]}" in pair.names)


def shown(reader: Reader, found: Domain) -> dict[str, Any]:
    spec, meta = found.spec, found.meta
    node = reader.get(BALANCER, meta.account, meta.region, spec.id)
    report = node.status.report if node is not None else None
    available = report is not None and report.state.startswith("active")
    configuration = {
        "ApiGatewayDomainName": host(found),
        "CertificateArn": spec.certificate,
        "DomainNameStatus": "AVAILABLE" if available else "UPDATING",
        "DomainNameStatusMessage": (report.reason or None) if report is not None else None,
        "EndpointType": "REGIONAL",
        "HostedZoneId": ZONE,
        "IpAddressType": "ipv4",
        "SecurityPolicy": "TLS_1_2",
    }
    return {
        "ApiMappingSelectionExpression": "$request.basepath",
        "DomainName": spec.name,
        "DomainNameArn": meta.arn,
        "DomainNameConfigurations": [configuration],
        "RoutingMode": "API_MAPPING_ONLY",
        "Tags": dict(spec.tags),
    }


def shown_mapping(found: Mapped) -> dict[str, Any]:
    spec = found.spec
    return {"ApiId": spec.api, "ApiMappingId": spec.id, "ApiMappingKey": spec.key, "Stage": spec.stage}


def host(found: Domain) -> str:
    """Resolves to this machine: what a record for the domain name would point to."""
    return f"{found.spec.id}.execute-api.{found.meta.region}.localhost"


def presented(found: Domain, pair: KeyPair) -> Balancer:
    """As a node runs it: the certificate at port 443 of 127.0.0.1, which load balancers share, and the server behind it."""
    spec = found.spec
    forward = BalancerAction("forward", ((spec.id, 1),))
    forbidden = BalancerAction(
        "fixed-response", status=403, content_type="application/json", body='{"message":"Forbidden"}'
    )
    listener = BalancerListener(
        spec.id,
        PORT,
        "HTTPS",
        (
            BalancerRule("domain", (BalancerCondition("host-header", (spec.name,)),), forward),
            BalancerRule("default", (), forbidden),
        ),
        (pair.bundle,),
        tls=BalancerTls("TLSv1.2", "TLSv1.3"),
        names=pair.names,
    )
    pool = BalancerPool(spec.id, "HTTP", function=found.meta.arn)
    return Balancer(spec.id, host(found), "", (), "", listeners=(listener,), pools=(pool,))
