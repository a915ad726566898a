"""Subscription filters: what of a group's events is sent on to a function or a stream."""

from __future__ import annotations

import re

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError, not_built
from havre.kernel.resource import scoped
from havre.services.logs import names, queries
from havre.services.logs.errors import invalid
from havre.services.logs.operations.filters import forget, keep
from havre.services.logs.operations.patterns import compiled
from havre.services.logs.paging import page
from havre.services.logs.resources import SUBSCRIPTION, Subscription
from havre.services.logs.subscriptions import PRINCIPAL, invocation
from havre.store.ports import Transaction

ops = Operations()
MOST = 2
"""Filters of one group."""
_DESTINATION = re.compile(r"arn:aws[\w-]*:(lambda|kinesis|firehose|logs):[a-z0-9-]+:\d{12}:.+\Z")
_UNREACHABLE = (
    "Could not execute the lambda function. "
    "Make sure you have given CloudWatch Logs permission to execute your function."
)
_NO_STREAM = (
    "Could not deliver test message to specified Kinesis stream. Check if the given kinesis stream is in ACTIVE state."
)


@ops("PutSubscriptionFilter", resources=names.of_group, conditions=names.conditions)
async def put_subscription_filter(call: Call, request: Request) -> Answer:
    wanted = _wanted(request)
    queries.group(call, wanted.group)
    await _check(call, wanted)

    def change(tx: Transaction) -> None:
        keep(tx, SUBSCRIPTION, queries.group(call, wanted.group, tx), wanted, MOST)

    await call.store.transact(change)
    return None


def _wanted(request: Request) -> Subscription:
    for member in ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFields"):
        if request.get(member):
            raise not_built("logs", f"PutSubscriptionFilter {member}")
    compiled(request["filterPattern"])
    destination, role = request["destinationArn"], request.get("roleArn") or ""
    found = _DESTINATION.match(destination)
    if found is None:
        raise invalid("Invalid destinationArn: it names neither a function nor a stream.")
    if found[1] in ("firehose", "logs"):
        raise not_built("logs", f"subscription filters with a destination of {found[1]}")
    if found[1] == "kinesis" and not role:
        raise invalid("destinationArn for vendor kinesis cannot be used without roleArn")
    if found[1] == "lambda" and role:
        raise invalid("destinationArn for vendor lambda cannot be used with roleArn")
    distribution = request.get("distribution") or "ByLogStream"
    return Subscription(
        request["logGroupName"], request["filterName"], request["filterPattern"], destination, role, distribution
    )


async def _check(call: Call, wanted: Subscription) -> None:
    """That the destination can be reached, before anything is written."""
    assert call.as_service is not None
    if wanted.role:
        await call.authorize("iam:PassRole", [wanted.role], {"iam:PassedToService": PRINCIPAL})
        try:
            await call.as_service(PRINCIPAL)("kinesis", "DescribeStreamSummary", {"StreamARN": wanted.destination})
        except ApiError as refusal:
            raise invalid(_NO_STREAM) from refusal
        return
    source = f"{names.group_arn(call, wanted.group)}:*"
    try:
        aws = call.as_service(PRINCIPAL, source)
        await aws("lambda", "Invoke", {**invocation(wanted, b""), "InvocationType": "DryRun"})
    except ApiError as refusal:
        raise invalid(_UNREACHABLE) from refusal


@ops("DescribeSubscriptionFilters", resources=names.of_group, conditions=names.conditions)
async def describe_subscription_filters(call: Call, request: Request) -> Answer:
    queries.group(call, request["logGroupName"])
    prefix = request.get("filterNamePrefix") or ""
    every = call.store.find(SUBSCRIPTION, "group", scoped(call.account, call.region, request["logGroupName"]))
    found = [each for each in every if each.spec.name.startswith(prefix)]
    shown, token = page(call, request, found, lambda each: each.spec.name)
    filters = [
        {
            "filterName": each.spec.name,
            "logGroupName": each.spec.group,
            "filterPattern": each.spec.pattern,
            "destinationArn": each.spec.destination,
            "roleArn": each.spec.role or None,
            "distribution": each.spec.distribution,
            "creationTime": int(each.meta.created * 1000),
        }
        for each in shown
    ]
    return {"subscriptionFilters": filters, "nextToken": token}


@ops("DeleteSubscriptionFilter", resources=names.of_group, conditions=names.conditions)
async def delete_subscription_filter(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        group = queries.group(call, request["logGroupName"], tx)
        forget(tx, SUBSCRIPTION, group, request["filterName"], "subscription")

    await call.store.transact(change)
    return None
