"""What can be said truly of what Havre does not make: there is none. Making it is not declared, so it is refused by name."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, queries

ops = Operations()


@ops("DescribeMetricFilters", resources=names.of_group, conditions=names.conditions)
async def describe_metric_filters(call: Call, request: Request) -> Answer:
    if request.get("logGroupName"):
        queries.group(call, request["logGroupName"])
    return {"metricFilters": []}


@ops("DescribeSubscriptionFilters", resources=names.of_group, conditions=names.conditions)
async def describe_subscription_filters(call: Call, request: Request) -> Answer:
    queries.group(call, request["logGroupName"])
    return {"subscriptionFilters": []}
