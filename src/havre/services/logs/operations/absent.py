"""What can be said truly of what Havre does not make: there is none. Making it is not declared, so it is refused by name."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.logs import names, queries

ops = Operations()
NONE = {
    "DescribeAccountPolicies": "accountPolicies",
    "DescribeDeliveries": "deliveries",
    "DescribeDeliveryDestinations": "deliveryDestinations",
    "DescribeDeliverySources": "deliverySources",
    "DescribeDestinations": "destinations",
    "DescribeExportTasks": "exportTasks",
    "DescribeQueries": "queries",
    "DescribeQueryDefinitions": "queryDefinitions",
    "ListLogAnomalyDetectors": "anomalyDetectors",
}
ops.nothing(NONE)


@ops("GetDataProtectionPolicy", resources=names.of_group, conditions=names.conditions)
async def get_data_protection_policy(call: Call, request: Request) -> Answer:
    name = names.identified(call, request["logGroupIdentifier"])
    queries.group(call, name)
    return {"logGroupIdentifier": request["logGroupIdentifier"]}
