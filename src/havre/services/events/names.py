"""ARNs of buses, rules, archives and replays, and what IAM decides on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from havre.control.operation import Call, Request, Resources
from havre.kernel.arn import arn
from havre.services.events.errors import no_bus, validation
from havre.services.events.resources import BUS, DEFAULT
from havre.store.ports import Reader


class Place(NamedTuple):
    """Of a bus."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return arn("events", self.region, self.account, f"event-bus/{self.name}")

    def rule_arn(self, rule: str) -> str:
        return arn(
            "events", self.region, self.account, f"rule/{rule if self.name == DEFAULT else f'{self.name}/{rule}'}"
        )


def bus_place(call: Call, text: str | None) -> Place:
    """Of a bus's name or ARN, the default one of the caller when there is none. Raises ApiError."""
    if not text:
        return Place(call.account, call.region, DEFAULT)
    if not text.startswith("arn:"):
        return Place(call.account, call.region, text)
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[2] != "events" or not parts[5].startswith("event-bus/"):
        raise validation(f"Parameter {text} is not valid. Reason: Provided Arn is not in correct format.")
    return Place(parts[4], parts[3], parts[5].removeprefix("event-bus/"))


def own_bus(call: Call, text: str | None, reader: Reader) -> Place:
    """A bus that is there, and whose Region is the call's. Raises ApiError."""
    place = bus_place(call, text)
    if place.region != call.region or not is_there(reader, place):
        raise no_bus(place.name)
    return place


def is_there(reader: Reader, place: Place) -> bool:
    return place.name == DEFAULT or reader.get(BUS, *place) is not None


def of_bus(member: str = "EventBusName") -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (bus_place(call, request.get(member)).arn,)

    return resources


def of_named_bus(call: Call, request: Request) -> Sequence[str]:
    return (bus_place(call, request.get("Name")).arn,)


def of_rule(member: str = "Rule") -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (bus_place(call, request.get("EventBusName")).rule_arn(str(request[member])),)

    return resources


def of_entries(call: Call, request: Request) -> Sequence[str]:
    """The buses that events are put on, each once."""
    return tuple(dict.fromkeys(bus_place(call, each.get("EventBusName")).arn for each in request["Entries"]))


def of_arn(member: str = "ResourceARN") -> Resources:
    def resources(call: Call, request: Request) -> Sequence[str]:
        return (str(request[member]),)

    return resources


def of_archive(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"archive/{request['ArchiveName']}"),)


def of_replay(call: Call, request: Request) -> Sequence[str]:
    return (call.arn(f"replay/{request['ReplayName']}"),)


def about_entry(call: Call, entry: Mapping[str, Any]) -> dict[str, str]:
    """Condition keys of PutEvents for one entry."""
    told = {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")}
    by_bus = "true" if call.principal.service == "events.amazonaws.com" else "false"
    return {"events:eventBusInvocation": by_bus, **{k: v for k, v in told.items() if v}}


def about_first_entry(call: Call, request: Request) -> dict[str, str]:
    return about_entry(call, request["Entries"][0])


def about_first_target(call: Call, request: Request) -> dict[str, str]:
    return about_target(request["Targets"][0])


def about_target(target: Mapping[str, Any]) -> dict[str, str]:
    """Condition keys of PutTargets for one target."""
    return {"events:TargetArn": str(target["Arn"])}
