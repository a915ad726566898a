"""AWS/Events: which rules were set off, and what became of it at their targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.services.events.events_harness import Events, function_arn, queue_arn
from tests.unit.services.metrics_fakes import CountedMetrics

from havre.kernel.errors import ApiError


class Counted(Events):
    def __init__(self) -> None:
        self.metrics = CountedMetrics()
        super().__init__(metrics=self.metrics)

    def of(self, metric: str, **where: str) -> dict[float, float]:
        return self.metrics.of(metric, "AWS/Events", **(where or {"RuleName": "r"}))


@pytest.fixture
def buses() -> Iterator[Counted]:
    found = Counted()
    yield found
    found.close()


def test_rules_that_are_set_off(buses: Counted) -> None:
    targets = [{"Id": "1", "Arn": queue_arn("q")}, {"Id": "2", "Arn": function_arn("f")}]
    buses.rule("r", {"source": ["app"]}, targets)
    buses.put()
    buses.put(source="else")
    buses.quiet()
    assert buses.of("MatchedEvents") == buses.of("TriggeredRules") == {1.0: 1.0}
    assert buses.of("Invocations") == {1.0: 2.0}
    assert buses.of("FailedInvocations") == {}


def test_rules_of_other_buses(buses: Counted) -> None:
    buses.client.create_event_bus(Name="b")
    buses.rule("r", {"source": ["app"]}, [{"Id": "1", "Arn": queue_arn("q")}], EventBusName="b")
    buses.put(EventBusName="b")
    buses.quiet()
    assert buses.of("Invocations", EventBusName="b", RuleName="r") == {1.0: 1.0}
    assert buses.of("Invocations") == {}


def test_targets_that_refuse(buses: Counted) -> None:
    dead = {"DeadLetterConfig": {"Arn": queue_arn("dead")}}
    buses.rule("r", {"source": ["app"]}, [{"Id": "1", "Arn": queue_arn("q"), **dead}])
    buses.sqs.failures = {"q": [ApiError("AccessDenied", "no")]}
    buses.put()
    buses.quiet()
    assert buses.of("Invocations") == buses.of("FailedInvocations") == buses.of("InvocationsSentToDlq") == {1.0: 1.0}
    buses.sqs.failures = {"q": [ApiError("AccessDenied", "no")], "dead": [ApiError("AccessDenied", "no")]}
    buses.put()
    buses.quiet()
    assert buses.of("InvocationsFailedToBeSentToDlq") == {1.0: 1.0} and buses.of("FailedInvocations") == {1.0: 2.0}
