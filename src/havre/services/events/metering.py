"""AWS/Events: which rules were set off, and what became of it at their targets."""

from __future__ import annotations

from collections.abc import Iterable

from havre.control.metrics import Metrics

NAMESPACE = "AWS/Events"
MATCHED, TRIGGERED = "MatchedEvents", "TriggeredRules"
INVOKED, FAILED = "Invocations", "FailedInvocations"
SENT_TO_DLQ, NOT_SENT_TO_DLQ = "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"


def matched(metrics: Metrics, rules: Iterable[str]) -> None:
    """By events; the ARN of a rule for each."""
    for rule in rules:
        count(metrics, rule, MATCHED)
        count(metrics, rule, TRIGGERED)


def count(metrics: Metrics, rule: str, metric: str) -> None:
    """By the rule's name; of other buses than the default one by theirs as well."""
    _, _, _, region, account, resource = rule.split(":", 5)
    bus, _, name = resource.removeprefix("rule/").rpartition("/")
    where = (("RuleName", name),)
    metrics.add(account, region, NAMESPACE, metric, (("EventBusName", bus), *where) if bus else where)
