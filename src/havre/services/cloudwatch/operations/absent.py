"""What can be said truly of what Havre does not make: there is none. Making it is not declared, so it is refused by name."""

from __future__ import annotations

from havre.control.operation import Operations

ops = Operations()
NONE = {
    "DescribeAnomalyDetectors": "AnomalyDetectors",
    "DescribeInsightRules": "InsightRules",
    "ListAlarmMuteRules": "AlarmMuteRuleSummaries",
    "ListManagedInsightRules": "ManagedRules",
    "ListMetricDataQueryDefinitions": "Items",
    "ListMetricStreams": "Entries",
}
ops.nothing(NONE)
