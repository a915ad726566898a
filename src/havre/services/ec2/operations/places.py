"""Regions, zones, account attributes, and the instances that there are: Havre's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control import nodes
from havre.control.operation import Answer, Call, Request
from havre.kernel.errors import ApiError
from havre.services.ec2 import errors, filters, find
from havre.services.ec2.declare import Ec2Operations
from havre.services.ec2.filters import Values
from havre.services.ec2.listing import ACCEPTS
from havre.services.ec2.paging import page
from havre.services.ec2.zones import REGIONS, zone_id, zones

ops = Ec2Operations()


def _no_tags(_: object) -> Mapping[str, str]:
    return {}


@ops.on("DescribeRegions", "RegionNames AllRegions Filters", region=False)
async def describe_regions(call: Call, request: Request) -> Answer:
    known: dict[str, Values[str]] = {
        "endpoint": lambda name: f"ec2.{name}.amazonaws.com",
        "opt-in-status": lambda name: "opt-in-not-required",
        "region-name": lambda name: name,
    }
    all_names = sorted({*REGIONS, call.region})
    asked: Sequence[str] = request.get("RegionNames", ())
    for name in asked:
        if name not in all_names:
            raise errors.invalid(f"Invalid region name: {name}")
    chosen = [name for name in all_names if not asked or name in asked]
    return {
        "Regions": [
            {
                "RegionName": name,
                "Endpoint": f"ec2.{name}.amazonaws.com",
                "OptInStatus": "opt-in-not-required",
            }
            for name in filters.matching(chosen, request.get("Filters", ()), known, _no_tags)
        ]
    }


@ops.on("DescribeAvailabilityZones", "ZoneNames ZoneIds AllAvailabilityZones Filters", region=False)
async def describe_availability_zones(call: Call, request: Request) -> Answer:
    known: dict[str, Values[str]] = {
        "group-name": lambda z: f"{call.region}-zg-1",
        "message": lambda z: (),
        "opt-in-status": lambda z: "opt-in-not-required",
        "parent-zone-id": lambda z: (),
        "parent-zone-name": lambda z: (),
        "region-name": lambda z: call.region,
        "state": lambda z: "available",
        "zone-id": zone_id,
        "zone-name": lambda z: z,
        "zone-type": lambda z: "availability-zone",
    }
    have = zones(call.region)
    names, ids = request.get("ZoneNames", ()), request.get("ZoneIds", ())
    _refuse_unknown(names, have)
    _refuse_unknown(ids, [zone_id(z) for z in have])
    chosen = [z for z in have if (not names or z in names) and (not ids or zone_id(z) in ids)]
    return {
        "AvailabilityZones": [
            {
                "State": "available",
                "OptInStatus": "opt-in-not-required",
                "Messages": [],
                "RegionName": call.region,
                "ZoneName": zone,
                "ZoneId": zone_id(zone),
                "GroupName": f"{call.region}-zg-1",
                "NetworkBorderGroup": call.region,
                "ZoneType": "availability-zone",
            }
            for zone in filters.matching(chosen, request.get("Filters", ()), known, _no_tags)
        ]
    }


def _refuse_unknown(asked: Sequence[str], known: Sequence[str]) -> None:
    for each in asked:
        if each not in known:
            raise errors.invalid(f"Invalid availability zone: [{each}]")


@ops.on("DescribeAccountAttributes", "AttributeNames")
async def describe_account_attributes(call: Call, request: Request) -> Answer:
    vpc = find.default_vpc(call, call.store)
    values = {
        "supported-platforms": "VPC",
        "default-vpc": vpc.meta.name if vpc else "none",
        "vpc-max-security-groups-per-interface": "5",
        "max-instances": "0",
        "max-elastic-ips": "0",
        "vpc-max-elastic-ips": "0",
    }
    asked: Sequence[str] = request.get("AttributeNames") or list(values)
    for name in asked:
        if name not in values:
            raise errors.invalid(f"Value ({name}) for parameter attributeName is invalid. Unknown attribute.")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]} for name in asked
        ]
    }


def _instance(call: Call, node: Any) -> dict[str, Any]:
    """A node as the instance that ECS says its container instances run on."""
    seen: nodes.NodeStatus = node.status
    return {
        "InstanceId": nodes.ec2_instance(node.meta.name),
        "InstanceType": "havre",
        "Architecture": seen.architecture,
        "LaunchTime": node.meta.created,
        "Placement": {"AvailabilityZone": call.region + seen.zone, "Tenancy": "default"},
        "PrivateIpAddress": seen.address,
        "State": {"Code": 16, "Name": "running"} if seen.connected else {"Code": 80, "Name": "stopped"},
        "SecurityGroups": [],
        "NetworkInterfaces": [],
        "BlockDeviceMappings": [],
        "Tags": [{"Key": "Name", "Value": node.meta.name}],
    }


_INSTANCE_FILTERS: dict[str, Values[dict[str, Any]]] = {
    "architecture": lambda i: i["Architecture"],
    "availability-zone": lambda i: i["Placement"]["AvailabilityZone"],
    "instance-id": lambda i: i["InstanceId"],
    "instance-state-code": lambda i: str(i["State"]["Code"]),
    "instance-state-name": lambda i: i["State"]["Name"],
    "instance-type": lambda i: i["InstanceType"],
    "private-ip-address": lambda i: i["PrivateIpAddress"],
    "tenancy": lambda i: "default",
    "vpc-id": lambda i: (),
    "subnet-id": lambda i: (),
    "instance.group-id": lambda i: (),
    "instance-lifecycle": lambda i: (),
}


def _tags_of_instance(instance: dict[str, Any]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}


def _instances(call: Call, request: Request) -> list[dict[str, Any]]:
    """Those that were asked for, by id. Raises InvalidInstanceID.NotFound, Malformed."""
    have = {i["InstanceId"]: i for i in (_instance(call, node) for node in call.store.list(nodes.NODE))}
    ids: Sequence[str] = request.get("InstanceIds", ())
    for id in ids:
        if not id.startswith("i-"):
            raise ApiError("InvalidInstanceID.Malformed", f'Invalid id: "{id}"')
        if id not in have:
            raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{id}' does not exist")
    return sorted((i for id, i in have.items() if not ids or id in ids), key=_id_of)


def _id_of(instance: Mapping[str, Any]) -> str:
    return str(instance["InstanceId"])


@ops.on("DescribeInstances", f"InstanceIds IncludeManagedResources {ACCEPTS}", region=False)
async def describe_instances(call: Call, request: Request) -> Answer:
    chosen = _instances(call, request)
    chosen = filters.matching(chosen, request.get("Filters", ()), _INSTANCE_FILTERS, _tags_of_instance)
    shown, token = page(call, request, chosen, _id_of, "InstanceIds")
    reservations = [
        {"ReservationId": "r-" + i["InstanceId"][2:], "OwnerId": call.account, "Groups": [], "Instances": [i]}
        for i in shown
    ]
    return {"Reservations": reservations, "NextToken": token}


@ops.on("DescribeInstanceStatus", f"InstanceIds IncludeAllInstances IncludeManagedResources {ACCEPTS}", region=False)
async def describe_instance_status(call: Call, request: Request) -> Answer:
    """Of running instances, unless all are asked for."""
    every = request.get("IncludeAllInstances", False)
    chosen = [i for i in _instances(call, request) if every or i["State"]["Name"] == "running"]
    known = {name: _INSTANCE_FILTERS[name] for name in _STATUS_FILTERS}
    chosen = filters.matching(chosen, request.get("Filters", ()), known, _tags_of_instance)
    shown, token = page(call, request, chosen, _id_of, "InstanceIds")
    return {"InstanceStatuses": [_status(i) for i in shown], "NextToken": token}


_STATUS_FILTERS = ("availability-zone", "instance-state-code", "instance-state-name")


def _status(instance: Mapping[str, Any]) -> dict[str, Any]:
    running = instance["State"]["Name"] == "running"
    checks: dict[str, Any] = {"Status": "ok" if running else "not-applicable", "Details": []}
    return {
        "InstanceId": instance["InstanceId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "InstanceState": instance["State"],
        "InstanceStatus": checks,
        "SystemStatus": checks,
    }
