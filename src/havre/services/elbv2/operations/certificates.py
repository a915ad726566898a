"""The certificates that a listener presents besides its default one, to clients that ask for their names (SNI)."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.certificates.records import hold
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.elbv2 import queries, tls
from havre.services.elbv2 import resources as r
from havre.services.elbv2.declare import ElbOperations, arns
from havre.services.elbv2.errors import not_permitted, validation
from havre.services.elbv2.paging import page
from havre.store.ports import Transaction

ops = ElbOperations()


@ops.on("AddListenerCertificates", "ListenerArn Certificates", resources=arns("ListenerArn"))
async def add_listener_certificates(call: Call, request: Request) -> Answer:
    """Those that the listener has already are not added again."""
    wanted = tls.arns_of(request["Certificates"])

    def change(tx: Transaction) -> None:
        listener = _secure(call, tx, request)
        for arn in wanted:
            tls.check_certificate(call, tx, arn)
        more = tuple(dict.fromkeys((*listener.spec.more_certificates, *wanted)))
        _set(tx, listener, more)

    await call.store.transact(change)
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in wanted]}


@ops.on("RemoveListenerCertificates", "ListenerArn Certificates", resources=arns("ListenerArn"))
async def remove_listener_certificates(call: Call, request: Request) -> Answer:
    gone = set(tls.arns_of(request["Certificates"]))

    def change(tx: Transaction) -> None:
        listener = _secure(call, tx, request)
        left = tuple(arn for arn in listener.spec.more_certificates if arn not in gone)
        if listener.spec.certificate in gone - set(listener.spec.more_certificates):
            raise not_permitted(
                f"The default certificate '{listener.spec.certificate}' of a listener cannot be removed"
            )
        _set(tx, listener, left)

    await call.store.transact(change)
    return {}


@ops.on("DescribeListenerCertificates", "ListenerArn Marker PageSize")
async def describe_listener_certificates(call: Call, request: Request) -> Answer:
    """The default one first; it comes again among the others if it was added to them."""
    spec = queries.listener(call, call.store, request["ListenerArn"]).spec
    listed = [f"0 {spec.certificate}"] if spec.certificate else []
    listed += sorted(f"1 {arn}" for arn in spec.more_certificates)
    shown, marker = page(call, request, listed, lambda each: each)
    found = [{"CertificateArn": each[2:], "IsDefault": each.startswith("0 ")} for each in shown]
    return {"Certificates": found, "NextMarker": marker}


def _secure(call: Call, tx: Transaction, request: Request) -> r.ListenerR:
    listener = queries.listener(call, tx, request["ListenerArn"])
    if listener.spec.protocol != "HTTPS":
        raise validation(f"Certificates cannot be specified for {listener.spec.protocol} listeners")
    return listener


def _set(tx: Transaction, listener: r.ListenerR, more: tuple[str, ...]) -> None:
    """Raises TooManyCertificates."""
    lb = queries.load_balancer_of(tx, listener)
    assert lb is not None
    others = [each for each in queries.listeners_of(tx, lb) if each.meta.name != listener.meta.name]
    if sum(len(each.spec.more_certificates) for each in others) + len(more) > tls.MOST_CERTIFICATES:
        raise ApiError(
            "TooManyCertificates",
            f"The maximum number of certificates has been reached for load balancer '{lb.meta.arn}'",
        )
    tx.update(listener, spec=replace(listener.spec, more_certificates=more))
    hold(tx, listener.meta.arn, lb.meta.arn, {listener.spec.certificate, *more})
