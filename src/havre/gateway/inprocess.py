"""AWS within the process: how services, reconcilers and data planes call operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from havre.control.operation import Aws, Principal, Request
from havre.control.patient import patient
from havre.gateway.authorize import Authorize
from havre.gateway.context import Context

if TYPE_CHECKING:
    from havre.gateway.app import Gateway

LINKED_ROLES = {
    "application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "lambda.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "replication.ecr.amazonaws.com": "AWSServiceRoleForECRReplication",
}
"""Services that act by a linked role of the account; any other acts as itself."""


def service_principal(service: str, account: str, region: str, source: str = "") -> Principal:
    """With the keys by which policies tell for whose sake the service comes (the confused deputy)."""
    if source:
        owner = source.split(":")[4] or account  # a bucket's ARN names no account
        keys = {"aws:SourceAccount": owner, "aws:SourceArn": source}
        return Principal("AWSService", account, service, service, service=service, source=source, context=keys)
    role = LINKED_ROLES.get(service)
    if role is None:
        what = service.partition(".")[0].removesuffix("-tasks")
        keys = {"aws:SourceAccount": account, "aws:SourceArn": f"arn:aws:{what}:{region}:{account}:*"}
        return Principal("AWSService", account, service, service, service=service, context=keys)
    session = role.removeprefix("AWSServiceRoleFor")
    return Principal(
        "AssumedRole",
        account,
        f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        f"{role}:{session}",
        role=f"arn:aws:iam::{account}:role/aws-service-role/{service}/{role}",
        service=service,
    )


class InProcess:
    """``Aws``: calls as one principal in one account and region."""

    __slots__ = ("_account", "_gateway", "_parent", "_principal", "_region", "_trace")

    def __init__(
        self,
        gateway: Gateway,
        principal: Principal,
        account: str,
        region: str,
        parent: Context | None = None,
        trace: str = "",
    ) -> None:
        """``parent`` is the call that this one is made within."""
        self._gateway = gateway
        self._principal = principal
        self._account = account
        self._region = region
        self._parent = parent
        self._trace = trace if parent is None else parent.trace

    async def __call__(self, service: str, operation: str, request: Request) -> Mapping[str, Any]:
        parent = self._parent
        context = self._gateway.context()
        context.principal, context.account, context.region = self._principal, self._account, self._region
        context.trace = self._trace
        if parent is not None:
            context.source_ip, context.user_agent = parent.source_ip, parent.user_agent
            context.invoked_by = f"{parent.source}.amazonaws.com"
        elif self._principal.service:
            context.invoked_by = self._principal.service
            context.source_ip = context.user_agent = self._principal.service
        return await self._gateway.call(context, service, operation, request)


def as_service_within(gateway: Gateway, context: Context, service: str, source: str = "") -> Aws:
    """``call.as_service``: AWS as an AWS service sees it in the call's account. The calls carry on its trace."""
    return patient(gateway.as_service(service, context.account, context.region, source, context.trace))


async def further(
    authorize: Authorize,
    within: Context,
    action: str,
    resources: Sequence[str],
    context: Mapping[str, str | Sequence[str]],
) -> None:
    """``call.authorize``: further decisions within a call, such as iam:PassRole."""
    authorize.check(within, action, resources, (lambda: context) if context else None)
